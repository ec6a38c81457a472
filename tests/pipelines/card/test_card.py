import base64
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow.parquet as pq
import pytest
import xxhash

import tests.reference as reference
from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card import replay
from curate.pipelines.card import write as cards
from curate.pipelines.card.markdown import render_markdown, yaml_head
from curate.pipelines.card.page import render_page
from curate.pipelines.card.prose import md_cell
from curate.pipelines.card.stage import make_card
from curate.pipelines.card.write import CARDS
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

LANGS = {"en": 500, "de": 120, "ka": 30}
HOSTILE = [
    "a dog </script><script>window.hacked = 1</script>",
    "a dog \x1b[31mred\x1b[0m \u202egnp.tac",
    "a dog <img src=x onerror=alert(1)> | `code` | [x](javascript:alert(1))",
]


def write_workspace(folder, t=25, english=None, **options):
    """Match and balance texts of three languages, the last without metadata."""
    entries = [*WORDS, "<b>bold</b>", "never"]
    metadata = write_metadata(folder / "metadata", {"en": entries, "de": WORDS})
    values = {lang: texts(num, seed) for seed, (lang, num) in enumerate(LANGS.items())}
    values["en"] = english or [*values["en"], *HOSTILE, "nothing here", ""]
    files = [
        write_pairs(folder / f"{lang}.parquet", list(v), first=1000 * i, lang=[lang] * len(v))
        for i, (lang, v) in enumerate(values.items())
    ]
    match(files, metadata, folder / "matched", lang=None)
    options = BalanceOptions(t=t, **options)
    balance_pairs(matched=str(folder / "matched"), output=str(folder / "balanced"),
                  options=options, workers=2, quiet=True)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_workspace(tmp_path_factory.mktemp("card"))


def card_of(folder, **options):
    return make_card(matched=str(folder / "matched"), balanced=str(folder / "balanced"),
                     quiet=True, **options)  # fmt: skip


def read_card(folder):
    return json.loads((folder / "datacard.json").read_text("utf-8"))


def test_figures_are_those_of_the_kept_pairs_counted_one_by_one(workspace):
    card = read_card(workspace / "balanced")
    kept, all_pairs = read_pairs(workspace / "balanced"), read_pairs(workspace / "matched")
    kept_entries = Counter((row["lang"], i) for row in kept.to_pylist() for i in row["entry_ids"])
    for lang in ("en", "de"):
        counts = pq.read_table(workspace / f"matched/counts/{lang}.parquet").to_pylist()
        found, t = card["languages"][lang], card["t"]
        after = {row["entry"]: kept_entries[lang, row["entry_id"]] for row in counts}
        before = {row["entry"]: row["count"] for row in counts}
        head = [e for e, n in before.items() if n >= t]
        tail = [e for e, n in before.items() if 0 < n < t]
        assert head and tail
        for name, group in (("head", head), ("tail", tail)):
            assert found[name] == {
                "entries": len(group),
                "matches": sum(before[e] for e in group),
                "slots": sum(min(before[e], t) for e in group),
                "kept": sum(after[e] for e in group),
            }
        assert found["matches_kept"] == sum(after.values()) == found["curve"]["kept"][-1]
        assert found["kept"] == kept.column("lang").to_pylist().count(lang)
        rows = [row for row in all_pairs.to_pylist() if row["lang"] == lang]
        certain = sum(any(counts[i]["count"] <= t for i in row["entry_ids"]) for row in rows)
        assert found["certain"] == certain < found["matched"]
        for e in found["top_entries"] + found["top_entries_after"] + found["tail_entries"]:
            assert (e["count"], e["kept"]) == (before[e["entry"]], after[e["entry"]])
        assert found["kl_after_bits"] < found["kl_before_bits"]
    total = card["total"]
    assert total["matches"] == total["curve"]["matches"][-1]
    assert total["entries"] == total["curve"]["entries"][-1]
    assert total["kept"] == len(kept)


def test_examples_tell_what_decided(workspace):
    card = read_card(workspace / "balanced")
    kept = set(read_pairs(workspace / "balanced").column("pair_id").to_pylist())
    decided = {
        (row["text"], f"{draw_of(row['pair_id']):.6g}"): row["pair_id"] in kept
        for row in read_pairs(workspace / "matched").to_pylist()
    }
    for lang in ("en", "de"):
        examples = card["languages"][lang]["examples"]
        assert set(examples) == {"kept", "not_sampled"} and all(map(len, examples.values()))
        for e in examples["kept"] + examples["not_sampled"]:
            assert decided[e["text"], f"{e['draw']:.6g}"] == (e in examples["kept"])
            assert e["num_entries"] >= len(e["entries"]) > 0
            counts = [x["count"] for x in e["entries"]]
            assert counts == sorted(counts)
        assert all(e["draw"] < e["probability"] for e in examples["kept"])
        assert all(e["draw"] >= e["probability"] for e in examples["not_sampled"])
        expected = [1 - reference_missed(e, card["t"]) for e in examples["not_sampled"]]
        assert [e["probability"] for e in examples["not_sampled"]] == pytest.approx(
            expected, rel=1e-5
        )
    reasons = {e["reason"]: e for e in card["dropped_examples"]}
    assert reasons["no_match"]["text"] == "nothing here"
    assert reasons["no_metadata"]["lang"] == "ka" and reasons["no_metadata"]["text"]


def draw_of(pair_id):
    return (xxhash.xxh3_64_intdigest(pair_id.encode(), 0) >> 11) * 2.0**-53


def reference_missed(example, t):
    missed = 1.0
    for p in reference.sampling_probability([x["count"] for x in example["entries"]], t):
        missed *= 1 - p
    return missed


def test_the_card_made_again_has_the_same_bytes(workspace, tmp_path):
    for workers in (1, 3):
        card_of(workspace, output=str(tmp_path), workers=workers)
        for name in CARDS:
            expected = (workspace / "balanced" / name).read_bytes()
            assert (tmp_path / name).read_bytes() == expected, name
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(CARDS)


def test_without_examples_no_text_of_anyone_is_in_the_card(workspace, tmp_path):
    card_of(workspace, output=str(tmp_path), num_examples=0)
    rows = read_pairs(workspace / "matched").column("text").to_pylist()
    for name in CARDS:
        found = (tmp_path / name).read_text("utf-8")
        assert not any(text in found for text in {*rows, "nothing here"}), name


def test_filtered_pairs_are_counted_and_shown(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "filter_of_card_test.py").write_text(
        "import pyarrow.compute as pc\n"
        "def no_cats(batch):\n    return pc.invert(pc.match_substring(batch['text'], 'cat'))\n"
    )
    write_workspace(tmp_path, filters=("filter_of_card_test:no_cats",))
    card = read_card(tmp_path / "balanced")
    total, en = card["total"], card["languages"]["en"]
    assert sum(total["filtered"].values()) == total["num_filtered"] > 0
    ((name, num),) = total["filtered"].items()
    shown = (tmp_path / "balanced/datacard.md").read_text("utf-8").replace("\\", "")
    assert re.search(rf"\| filtered: {name} +\| +{num:,} \|", shown)
    assert total["matched"] == total["kept"] + total["not_sampled"] + total["num_filtered"]
    assert en["examples"]["filtered"] and all(
        "cat" in e["text"] for e in en["examples"]["filtered"]
    )
    assert not any("cat" in e["text"] for e in en["examples"]["kept"])
    kept = read_pairs(tmp_path / "balanced")
    assert en["matches_kept"] == sum(
        len(row["entry_ids"]) for row in kept.to_pylist() if row["lang"] == "en"
    )


def test_classes_are_covered_by_entries_spelled_like_them(workspace, tmp_path):
    listing = tmp_path / "classes.txt"
    listing.write_text("Dog\thound\nnever\nquokka\nSt. John\n\n", "utf-8")
    card = card_of(workspace, output=str(tmp_path / "c"), classes=str(listing))
    counts = {
        row["entry"]: row["count"]
        for row in pq.read_table(workspace / "matched/counts/en.parquet").to_pylist()
    }
    rows = {row["class"]: row for row in card["classes"]["rows"]}
    assert list(rows) == ["quokka", "never", "St. John", "Dog"]
    assert rows["Dog"]["entry"] == "dog" and rows["Dog"]["count"] == counts["dog"]
    assert rows["Dog"]["slots"] == min(counts["dog"], card["t"])
    assert rows["quokka"] == {"class": "quokka", "entry": None, "count": 0, "slots": 0, "kept": 0}
    figures = {k: card["classes"][k] for k in ("classes", "entries", "matched", "kept")}
    assert figures == {"classes": 4, "entries": 3, "matched": 2, "kept": 2}
    shown = (tmp_path / "c/datacard.md").read_text("utf-8")
    assert "Of 4 classes" in shown
    written = read_card(tmp_path / "c")
    assert written.pop("checksum") and card == written


@pytest.mark.parametrize(
    ("data", "lang", "error", "message"),
    [
        (b"\n\n", "en", InputError, "nothing in it; expected a class per line"),
        (b"a\xff", "en", InputError, "byte 1 is not UTF-8"),
        (b"dog\n", "fr", UsageError, "--classes-lang is 'fr'.*expected one of de, en"),
        (None, "en", InputError, "there is no such file"),
    ],
)
def test_a_list_of_classes_that_cannot_be_used(workspace, tmp_path, data, lang, error, message):
    path = tmp_path / "classes.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(error, match=message):
        card_of(workspace, output=str(tmp_path), classes=str(path), classes_lang=lang)


def test_cards_of_partial_runs_are_refused_with_what_to_do(workspace, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(workspace, copy)
    (copy / "balanced/datacard.json").unlink()
    with pytest.raises(ArtifactError, match="balancing has not come to its end.*goes on"):
        card_of(copy)
    (copy / "balanced/plan.json").unlink()
    with pytest.raises(ArtifactError, match="nothing is balanced here. Run `curate balance`"):
        card_of(copy)
    shutil.copytree(workspace / "balanced", copy / "balanced", dirs_exist_ok=True)
    more = write_pairs(copy / "more.parquet", ["a dog"], first=9000, lang=["en"])
    match([more], copy / "metadata", copy / "matched", lang=None)
    with pytest.raises(ArtifactError, match="other matches than those.*balance.*--overwrite"):
        card_of(copy)
    (copy / "matched/summary.json").unlink()
    with pytest.raises(ArtifactError, match="matching has not come to its end"):
        card_of(copy)
    with pytest.raises(ArtifactError, match="nothing is matched here"):
        make_card(matched=str(tmp_path / "none"), balanced=str(copy / "balanced"))


def test_the_card_of_another_set_is_not_overwritten_unasked(workspace, tmp_path):
    other = BalanceOptions(t=7)
    balance_pairs(matched=str(workspace / "matched"), output=str(tmp_path / "b"), options=other,
                  quiet=True)  # fmt: skip
    before = contents(tmp_path / "b")
    with pytest.raises(ArtifactError, match="card of another balanced set.*--overwrite"):
        card_of(workspace, output=str(tmp_path / "b"))
    assert contents(tmp_path / "b") == before
    plan = card_of(workspace, output=str(tmp_path / "b"), overwrite=True, dry_run=True)
    assert plan["pairs"] > 600 and contents(tmp_path / "b") == before
    assert card_of(workspace, output=str(tmp_path / "b"), overwrite=True)["t"] == 25
    with pytest.raises(UsageError, match="--examples is -1; expected 0 to 100"):
        card_of(workspace, num_examples=-1)


def test_the_markdown_is_a_dataset_card_that_the_hub_and_datasets_understand(workspace, tmp_path):
    shutil.copytree(workspace / "balanced", tmp_path / "hub")
    (tmp_path / "hub/datacard.md").rename(tmp_path / "hub/README.md")
    card = huggingface_hub.DatasetCard.load(tmp_path / "hub/README.md")
    head = card.data.to_dict()
    assert set(head) == {"pretty_name", "language", "multilinguality", "size_categories",
                         "task_categories", "tags", "configs"}  # fmt: skip
    assert head["language"] == ["de", "en"] and head["size_categories"] == ["n<1K"]
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "pairs/*.parquet"}]
    assert huggingface_hub.DatasetCardData(**head).to_yaml()
    assert card.text.strip().startswith("# Data card")
    for heading in ("From records to pairs", "Head and tail", "Cumulative entry counts",
                    "Languages", "Entries", "Examples", "How to make it again"):  # fmt: skip
        assert f"\n## {heading}\n" in card.text
    loaded = datasets.load_dataset(str(tmp_path / "hub"), split="train",
                                   cache_dir=str(tmp_path / "cache"))  # fmt: skip
    kept = read_pairs(workspace / "balanced")
    assert sorted(loaded["pair_id"]) == sorted(kept.column("pair_id").to_pylist())


def test_languages_without_a_matched_pair_stand_in_one_line(workspace):
    card = (workspace / "balanced/datacard.md").read_text("utf-8")
    table = card.split("\n## Languages\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows[0] == "language" and rows[2:] == ["de", "en"]
    assert len({len(line) for line in table.splitlines() if line.startswith("| ")}) == 1
    assert "\nNo pair of 2 more languages matched, of 31 records: ka 30, \\(none\\) 1.\n" in table


def test_the_card_says_how_the_metadata_was_built_too(workspace):
    lines = read_card(workspace / "balanced")["command"].splitlines()
    assert lines[0].startswith("# In a new workspace: data/, or add -w FOLDER")
    assert lines[1].startswith("# The options of the metadata stand in its manifest.json")
    assert lines[2] == "curate build-metadata --lang de,en"
    assert [line.split()[1] for line in lines[3:]] == ["match", "balance"]


def test_commands_that_make_it_again_ask_for_files_of_ones_own():
    fetched = {"file": "a", "url": "https://dumps.wikimedia.org/a"}
    made_from = {"kinds": ["wordnet", "unigram", "bigram", "title"], "dumps": [{"file": "b"}],
                 "pageviews": [{"file": "c"}], "wordnet": [{"file": "d"}],
                 "own_files": ["wordnet"]}  # fmt: skip
    own = ["--dumps", "DUMPS", "--pageviews", "PAGEVIEWS", "--wordnet-dir", "WORDNET"]
    assert list(replay._options("en", made_from)) == [*own, "--offline"]
    assert list(replay._options("en", {**made_from, "pageviews": [fetched]})) == own[:2] + own[4:]
    nltk = {**made_from, "own_files": [], "own_entries": {"file": "e"}}
    assert list(replay._options("en", nltk)) == [*own[:4], "--entries", "ENTRIES"]


def test_figures_in_markdown_have_no_exponents():
    assert [md_cell(v) for v in (29430.123, 0.12345, 12, None)] == ["29,430", "0.1235", "12", "–"]


def test_the_head_of_shards_names_tars_and_only_codes_that_iso_639_knows():
    languages = {"zh_yue": {"kept": 3}, "other": {"kept": 1}, "als": {"kept": 1}, "de": {"kept": 0}}
    card = {"languages": languages, "format": "shards", "t": 5, "total": {"kept": 10**6}}
    head = huggingface_hub.DatasetCard(yaml_head(card) + "\n# Card\n").data.to_dict()
    assert head["language"] == ["gsw", "yue"] and head["size_categories"] == ["1M<n<10M"]
    assert head["configs"][0]["data_files"][0]["path"] == "shards/*.tar"


def test_of_very_many_inputs_only_the_first_stand_on_the_page_and_in_markdown(workspace):
    card = read_card(workspace / "balanced")
    own, one = shlex.join(i["path"] for i in card["inputs"]), card["inputs"][0]
    card["inputs"] = [{**one, "path": f"crawl of May/{n:06d}.parquet"} for n in range(30_000)]
    command = card["command"]
    card["command"] = command.replace(own, shlex.join(i["path"] for i in card["inputs"]))
    page, markdown = render_page(card), render_markdown(card)
    for shown in (page, markdown):
        assert len(shown) < 200_000 and "000199.parquet" in shown
        assert "000200.parquet" not in shown
        assert "The first 200 of 30,000 inputs; datacard.json has all of them." in shown
        assert " … --normalization standard" in shown
    card["command"] = "curate match 'a\n```\n<b>'"
    code = re.search(r"\n(`+)\n(.*?)\n\1\n", render_markdown(card), re.DOTALL)
    assert code and code[1] == "````" and code[2].endswith(card["command"])


def test_the_file_that_says_that_all_is_whole_is_written_last(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "render_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_workspace(tmp_path)
    assert not (tmp_path / "balanced/datacard.json").exists()
    with pytest.raises(ArtifactError, match="balancing has not come to its end"):
        card_of(tmp_path)


def test_the_command_prints_where_the_card_is_and_what_it_covers(workspace, tmp_path):
    classes = tmp_path / "classes.txt"
    classes.write_text("dog\nquokka\n", "utf-8")
    curate = Path(sys.executable).with_name("curate")

    def run(*arguments):
        command = [curate, "card", "-w", workspace, "-o", tmp_path / "out", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    shown = run("--classes", classes)
    assert shown.returncode == 0, shown.stderr
    assert "classes 2: entries 1, matched 1, kept 1" in shown.stdout
    assert f"→ {tmp_path}/out/datacard.html" in shown.stdout
    failed = run("--classes", tmp_path / "none.txt", "--json")
    assert failed.returncode == 1 and failed.stdout == ""
    assert "there is no such file" in failed.stderr and "Traceback" not in failed.stderr


def test_markdown_shows_hostile_texts_inert(tmp_path):
    write_workspace(tmp_path, english=HOSTILE)
    text = (tmp_path / "balanced/datacard.md").read_text("utf-8")
    assert text.isprintable() or set(c for c in text if not c.isprintable()) == {"\n"}
    body = text.split("---\n", 2)[2]
    assert "<script" not in body and "<img" not in body and "<b>" not in body
    assert "&lt;img src=x" in body and "\\\\x1b" in body and "\\\\u202e" in body


def test_the_page_is_one_file_that_runs_nothing_but_its_own_script(workspace):
    page = (workspace / "balanced/datacard.html").read_text("utf-8")
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        source = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(source) == 1
        digest = base64.b64encode(hashlib.sha256(source[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    data = re.search('<script type="application/json" id="data">(.*?)</script>', page)[1]
    assert "<" not in data and json.loads(data)["t"] == 25
    assert not re.search(r'(src|href)="(?!#)', page) and "url(" not in page
    assert "%script%" not in page and "%data%" not in page


def test_name_and_license_stand_in_the_card_and_in_the_hubs_head(tmp_path):
    folder = write_workspace(tmp_path)
    card = card_of(folder, name='Dogs: "red" <b>', license="cc-by-4.0")
    assert (card["name"], card["license"]) == ('Dogs: "red" <b>', "cc-by-4.0")
    markdown = (folder / "balanced/datacard.md").read_text()
    assert 'pretty_name: "Dogs: \\"red\\" <b>"\nlicense: "cc-by-4.0"\n' in markdown
    head = huggingface_hub.DatasetCard(markdown).data
    assert (head.pretty_name, head.license) == (card["name"], "cc-by-4.0")
    assert "<b>" not in markdown.split("---", 2)[2].split("\n\n")[1]
    page = (folder / "balanced/datacard.html").read_text()
    assert "<title>Dogs: &quot;red&quot; &lt;b&gt;: " in page
    again = card_of(folder)
    assert "name" not in again and "license" not in again
    for wrong in ("", "a\nb", "x" * 201):
        with pytest.raises(UsageError, match="--name is"):
            card_of(folder, name=wrong)
