import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.judge_captions.texts import repetition, units
from curate.pipelines.store import artifacts
from tests.pipelines.helpers import contents, png, write_metadata
from tests.pipelines.train_helpers import train, write_train_workspace
from tests.training.shard_files import sample, write_tar

ENTRIES = ["red", "dog", "cat", "green grass", "house"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("judge"))
    train(folder, "clip", steps=60)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_metadata(tmp_path / "metadata", {"en": ENTRIES})
    samples = []
    for key, alt in (("a", "a red dog"), ("b", "my cat"), ("c", "a red house"), ("d", "words"),
                     ("e", "unsaid"), ("f", None)):  # fmt: skip
        key, members = sample(key, image=png((220, 20, 20)), text=None, lang="en")
        samples.append((key, {**members, **({"txt": alt.encode()} if alt else {})}))
    samples.append(("g", {"png": b"broken", "txt": b"a cat"}))
    (tmp_path / "shards").mkdir()
    write_tar(tmp_path / "shards/0.tar", samples)
    return tmp_path


def judge(place, rows, **options):
    ids, texts = zip(*rows, strict=True)
    pq.write_table(pa.table({"pair_id": ids, "text": texts}), place / "said.parquet")
    return curate.judge_captions(
        captions=str(place / "said.parquet"), shards=place / "shards", workspace=place,
        quiet=True, **options,
    )  # fmt: skip


ROWS = [
    ("a", "a red dog on green grass"),
    ("b", "a small animal"),  # loses the cat
    ("c", "a red house and a red house and a red house and a red house and a red house"),
    ("d", "a dog in a house"),
    ("f", "a red <script>cat</script>"),
    ("g", "x"),
    ("unknown", "x"),
    ("a", ""),
]


def test_captions_that_lose_all_or_repeat_themselves_are_dropped_by_reason(place):
    found = judge(place, ROWS)
    assert found.captions == 5 == found.kept + sum(found.dropped.values())
    assert found.dropped == {"loses_all_entries": 1, "repeats_itself": 1}
    assert found["unknown_pairs"] == 1 and found["pairs_without"] == 1
    assert found["skipped"] == {"corrupt_image": 1} and found["left_out"] == {"empty": 1}
    kept = artifacts.read_table(str(place / "judged/pairs/00000.parquet")).to_pylist()
    assert [row["pair_id"] for row in kept] == ["a", "d", "f"]
    assert kept[0]["entries_kept"] == 1.0 and kept[0]["entries_gained"] == 1
    assert kept[1]["entries_kept"] is None and kept[1]["entries_gained"] == 2
    dropped = artifacts.read_table(str(place / "judged/dropped/00000.parquet")).to_pylist()
    assert {row["pair_id"]: row["reason"] for row in dropped} == {
        "b": "loses_all_entries", "c": "repeats_itself",
    }  # fmt: skip


def test_entries_that_gain_and_lose_are_listed_with_those_of_the_tail(place):
    entries = judge(place, ROWS, tail_below=1).entries["en"]
    gained = {e["entry"]: (e["alt"], e["caption"]) for e in entries["gained"]}
    lost = {e["entry"]: (e["alt"], e["caption"]) for e in entries["lost"]}
    assert gained == {"dog": (1, 2), "green grass": (0, 1), "house": (1, 2), "red": (2, 3)}
    assert lost == {} and entries["alt_matches"] == 5
    assert [e["entry"] for e in entries["tail_gained"]] == ["green grass"]


def test_similarities_are_those_of_the_model_and_the_page_is_inert(place, workspace):
    found = judge(place, ROWS, model=workspace / "clip")
    import torch
    from PIL import Image

    model, preprocess, tokenize = curate.load(workspace / "clip")
    with torch.no_grad():
        image = model.encode_image(preprocess(Image.new("RGB", (8, 8), (220, 20, 20)))[None])
        text = model.encode_text(tokenize([ROWS[0][1]]))
    expected = float(torch.nn.functional.cosine_similarity(image, text))
    (first, *_) = artifacts.read_table(str(place / "judged/pairs/00000.parquet")).to_pylist()
    assert first["similarity_caption"] == pytest.approx(expected, abs=1e-5)
    assert set(found.means) >= {"similarity_alt", "similarity_caption", "similarity_both"}
    page = (place / "judged/page.html").read_text()
    assert "<script" not in page and "&lt;script&gt;cat" in page and "default-src 'none'" in page
    assert page.count("<figure>") == 10 and not re.search(r"(src|href)=.http", page)
    assert "kept 3 + dropped 2" in str(found)


def test_captions_that_were_kept_can_be_trained_on(place):
    judge(place, ROWS)
    from curate.pipelines.caption_tables.join import CaptionOptions, caption_identity
    from curate.pipelines.caption_tables.join import joined_captions as joined

    options = CaptionOptions(tables=[str(place / "judged")], syn_ratio=0.5)
    index = joined(options, caption_identity(options)["tables"], quiet=True)
    assert index.note["pairs"] == 3 and index.places("a") and not index.places("b")


def test_what_cannot_be_judged_is_refused(place):
    with pytest.raises(UsageError, match="nothing to judge"):
        curate.judge_captions(shards=place / "shards", workspace=place)
    with pytest.raises(InputError, match="has a caption in"):
        judge(place, [("unknown", "x")])
    judge(place, ROWS)
    with pytest.raises(ArtifactError, match=r"parameters\.max_repetition: it was made with 0\.3"):
        judge(place, ROWS, max_repetition=0.5)
    with pytest.raises(ArtifactError, match=r"parameters\.captions: it was made with"):
        judge(place, ROWS[:1])
    judge(place, ROWS[:1], overwrite=True)
    assert json.loads((place / "judged/summary.json").read_text())["captions"] == 1
    for wrong in ({"max_repetition": 2.0}, {"tail_below": -1}, {"pairs_per_part": 0}):
        ((name, value),) = wrong.items()
        with pytest.raises(UsageError, match=f"{name} is {value}"):
            judge(place, ROWS, **wrong)


def test_repetition_is_told_in_any_script():
    assert repetition(units("the cat sat on the mat and the cat ran")) < 0.2
    assert repetition(units("赤い犬がいる" * 6)) > 0.7
    assert repetition(units("ha ha ha")) == 0.0


@pytest.mark.slow
def test_the_number_of_workers_decides_nothing(place, workspace):
    options = {"model": str(workspace / "clip"), "pairs_per_part": 2}
    judge(place, ROWS, output=place / "one", workers=1, **options)
    judge(place, ROWS, output=place / "two", workers=2, **options)
    assert contents(place / "one") == contents(place / "two")


def test_a_killed_judge_goes_on_and_what_is_done_is_not_done_again(place, monkeypatch):
    from curate.pipelines.judge_captions import stage

    options = {"pairs_per_part": 2}
    whole = {**judge(place, ROWS, output=place / "whole", workers=1, **options)}
    del whole["output"]
    assert not (place / "whole/examples").exists()
    assert len(list((place / "whole/pairs").iterdir())) == 4
    real, done = stage.judge_part, []

    def failing(worker, part):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(part.number)
        return real(worker, part)

    monkeypatch.setattr(stage, "judge_part", failing)
    with pytest.raises(KeyboardInterrupt):
        judge(place, ROWS, output=place / "killed", workers=1, **options)
    plan = judge(place, ROWS, output=place / "killed", dry_run=True, **options)
    assert (plan["parts"], plan["parts_to_do"]) == (4, 2)
    monkeypatch.setattr(stage, "judge_part", lambda *a: done.append(a[1].number) or real(*a))
    again = {**judge(place, ROWS, output=place / "killed", workers=1, **options)}
    assert again.pop("output") and again == whole
    assert done == [0, 1, 2, 3] and contents(place / "killed") == contents(place / "whole")
    monkeypatch.setattr(stage, "judge_part", None)
    judge(place, ROWS, output=place / "killed", **options)


def test_every_entry_that_an_alt_text_or_a_caption_has_stands_in_a_table(place):
    judge(place, ROWS)
    rows = artifacts.read_table(str(place / "judged/entries/en.parquet")).to_pylist()
    assert {row["entry"]: (row["alt"], row["caption"]) for row in rows} == {
        "red": (2, 3), "dog": (1, 2), "cat": (1, 1), "green grass": (0, 1), "house": (1, 2),
    }  # fmt: skip
    kept = artifacts.read_table(str(place / "judged/pairs/00000.parquet")).to_pylist()[0]
    assert set(kept["alt_entry_ids"]) < set(kept["entry_ids"]) and kept["pair_lang"] == "en"


def test_a_caption_in_another_script_is_told_and_keeps_its_language(place):
    texts = [
        "赤い犬が緑の芝生で走っています",
        "Собака бежит по траве",
        "ein roter Hund läuft über die Wiese",
    ]
    table = {"pair_id": ["a", "b", "d"], "text": texts, "lang": ["ja", None, "de"]}
    pq.write_table(pa.table(table), place / "said.parquet")
    curate.judge_captions(
        captions=str(place / "said.parquet"), shards=place / "shards", workspace=place, quiet=True
    )
    rows = [row for kind in ("pairs", "dropped")
            for row in artifacts.read_table(str(place / f"judged/{kind}/00000.parquet"))
            .to_pylist()]  # fmt: skip
    assert {row["pair_id"]: (row["lang"], row["same_lang"], row["reason"]) for row in rows} == {
        "a": ("ja", False, "loses_all_entries"), "b": ("ru", False, "loses_all_entries"),
        "d": ("de", False, None),
    }  # fmt: skip


def test_shards_that_lack_samples_are_judged_and_these_are_counted(place):
    (place / "shards/0_stats.json").write_text('{"successes": 9}')
    found = judge(place, ROWS)
    assert found["skipped"] == {"corrupt_image": 1, "missing_sample": 2} and found.captions == 5
