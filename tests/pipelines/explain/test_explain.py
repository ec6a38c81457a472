import io
import json
import os
import pty
import re
import shutil
import subprocess

import pyarrow.parquet as pq
import pytest

from curate.curation.hashing.ids import short_hash
from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.explain.stage import explain_text
from curate.pipelines.explain.view import explanation, highlighted
from curate.pipelines.match.stage import MatchOptions, match_inputs
from curate.pipelines.retract.stage import retract_pairs
from curate.pipelines.store.artifacts import StampedWriter
from curate.pipelines.views.terminal import colour_wanted
from tests.cli.test_cli import CURATE
from tests.pipelines.helpers import (
    WORDS,
    match,
    png,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

EVIL = "a red\x1b[31m dog\x1b]0;owned\x07 \u202egod\u202c \x9b2J 北京"
OVERRIDDEN = "house\u202e\u2066"  # an entry; `standard` ignores what is invisible


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    metadata = write_metadata(folder / "metadata", {"en": [*WORDS, OVERRIDDEN], "zh": ["北京"]})
    pairs = write_pairs(folder / "a.parquet", texts(200), lang=["en"] * 200)
    match([pairs], metadata, folder / "matched", lang=None)
    balance(folder)
    return folder


def balance(folder, **options):
    balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"), quiet=True,
        options=BalanceOptions(**{"t": 7, "seed": 3, **options}),
    )  # fmt: skip


def explain(folder, text=None, **options):
    return explain_text(
        text,
        metadata=str(folder / "metadata"),
        matched=str(folder / "matched"),
        balanced=str(folder / "balanced"),
        **options,
    )


def test_both_normalizations_are_shown_with_spans_counts_and_probability(workspace):
    found = explain(workspace, "St. John, (red dog)", lang="en", t=10)
    standard = found["normalizations"]["standard"]
    assert {m["entry"] for m in standard["matches"]} == {"St. John", "red", "dog", "red dog"}
    for m in standard["matches"]:
        start, stop = m["spans"][0]
        assert standard["normalized"][start:stop] in (m["entry"], "St . John")
        assert 0 < m["probability"] <= 1 and m["count"] > 0 and m["source"] == "unigram"
    assert 0 < standard["probability"] <= 1 and "kept with probability" in standard["decision"]
    metaclip = found["normalizations"]["metaclip"]
    assert metaclip["matches"] == [] and metaclip["decision"] == "dropped: no entry matches"
    assert found["normalization"] == "standard" and found["decision"] == standard["decision"]


def test_every_decision_is_that_of_the_balanced_set(workspace):
    kept = set(read_pairs(workspace / "balanced").column("pair_id").to_pylist())
    matched = read_pairs(workspace / "matched").to_pylist()
    for row in matched[::9]:
        found = explain(workspace, pair_id=row["pair_id"])
        assert found["status"] == ("kept" if row["pair_id"] in kept else "not_sampled")
        assert (found["text"], found["url"], found["lang"]) == (row["text"], row["url"], "en")
        ids = [m["entry_id"] for m in found["normalizations"]["standard"]["matches"]]
        assert ids == found["stored"]["entry_ids"] == row["entry_ids"]
        assert (found["t"], found["seed"]) == (7, 3) and 0 <= found["draw"] < 1
        again = explain(workspace, row["text"], url=row["url"], lang="en")
        assert (again["pair_id"], again["draw"]) == (row["pair_id"], found["draw"])


def test_only_the_row_groups_that_are_needed_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(StampedWriter, "ROW_GROUP_ROWS", 16)
    metadata = write_metadata(tmp_path / "metadata", {"en": WORDS})
    match([write_pairs(tmp_path / "a.parquet", texts(200))], metadata, tmp_path / "matched")
    wanted = read_pairs(tmp_path / "matched").to_pylist()[150]
    read = []
    original = pq.ParquetFile.read_row_group

    def recorded(self, i, columns=None, **options):
        read.append((i, columns))
        return original(self, i, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", recorded)
    found = explain(tmp_path, pair_id=wanted["pair_id"])
    assert found["stored"]["row"] == 150 and found["text"] == wanted["text"]
    groups = [i for i, columns in read if columns == ["pair_id"]]
    assert groups == list(range(150 // 16 + 1))
    assert [i for i, columns in read if columns and "text" in columns] == [150 // 16]


def test_a_pair_is_found_in_the_balanced_set_alone_be_it_parquet_or_shards(tmp_path):
    write_metadata(tmp_path / "metadata", {"en": WORDS})
    images = [png((i, 0, 0)) for i in range(40)]
    pairs = write_pairs(tmp_path / "a.parquet", texts(40), image=images)
    match([pairs], tmp_path / "metadata", tmp_path / "matched")
    row = read_pairs(tmp_path / "matched").to_pylist()[5]
    for output_format in ("parquet", "shards"):
        balance(tmp_path, output_format=output_format, t=1000)
        shutil.move(tmp_path / "matched", tmp_path / "away")
        found = explain(tmp_path, pair_id=row["pair_id"])
        assert (found["text"], found["url"]) == (row["text"], row["url"])
        assert found["status"] == "kept" and found["stored"]["entry_ids"] == row["entry_ids"]
        shutil.move(tmp_path / "away", tmp_path / "matched")
        shutil.rmtree(tmp_path / "balanced")


def test_what_was_retracted_is_said_to_be(tmp_path):
    write_metadata(tmp_path / "metadata", {"en": WORDS})
    match([write_pairs(tmp_path / "a.parquet", texts(50))], tmp_path / "metadata",
          tmp_path / "matched")  # fmt: skip
    row, other = read_pairs(tmp_path / "matched").to_pylist()[:2]
    (tmp_path / "list.txt").write_text(f"{row['pair_id']}\n{other['url']}\n")
    retract_pairs(
        str(tmp_path / "list.txt"), matched=str(tmp_path / "matched"), quiet=True,
        metadata=str(tmp_path / "metadata"), balanced=[],
    )  # fmt: skip
    assert explain(tmp_path, pair_id=row["pair_id"])["status"] == "retracted"
    assert "stays out" in explanation(explain(tmp_path, pair_id=row["pair_id"]))
    for gone in (row, other):
        found = explain(tmp_path, gone["text"], url=gone["url"], lang="en")
        assert found["status"] == "retracted"


def test_a_stale_balanced_set_is_noted(workspace, tmp_path):
    for name in ("metadata", "matched", "balanced"):
        shutil.copytree(workspace / name, tmp_path / name)
    late = write_pairs(tmp_path / "b.parquet", texts(9, 1), first=900, lang=["en"] * 9)
    match([workspace / "a.parquet", late], tmp_path / "metadata", tmp_path / "matched", lang=None)
    found = explain(tmp_path, "a red dog", lang="en")
    assert len(found["notes"]) == 1 and "run `curate balance` again" in explanation(found)
    assert explain(workspace, "a red dog", lang="en")["notes"] == []


def test_filters_of_both_stages_are_named(workspace, tmp_path):
    options = {"lang": None, "filters": ("url-length=90",)}
    match([workspace / "a.parquet"], workspace / "metadata", tmp_path / "matched", **options)
    balance(tmp_path, filters=("text-length=5:300",))
    found = explain_text(
        "a red dog", metadata=str(workspace / "metadata"), matched=str(tmp_path / "matched"),
        balanced=str(tmp_path / "balanced"), lang="en",
    )  # fmt: skip
    matched, balanced = found["notes"]
    assert "before it is matched: url-length=90" in matched
    assert "drop a pair that is drawn: text-length=5:300" in balanced
    assert f"note: {balanced}" in explanation(found)


def test_matches_by_the_released_rule_decide_by_it(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": WORDS})
    match_inputs(
        [str(write_pairs(tmp_path / "a.parquet", texts(50)))], metadata=str(metadata), quiet=True,
        output=str(tmp_path / "matched"), options=MatchOptions(lang="en", normalization="metaclip"),
    )  # fmt: skip
    found = explain(tmp_path, "(dog)", lang="en", t=5)
    assert (found["normalization"], found["status"]) == ("metaclip", "no_match")
    assert found["normalizations"]["standard"]["status"] == "matched"


def test_a_language_without_metadata_is_said_so(workspace):
    found = explain(workspace, "le chien court dans le parc avec les autres chiens")
    assert found["decision"].startswith("dropped: there is no metadata for fr. Build it with")
    assert explain(workspace, " \u3000\n")["status"] == "empty_text"
    assert 0.5 < found["lang_score"] <= 1
    with pytest.raises(UsageError, match="no metadata for language 'fr'"):
        explain(workspace, "x", lang="fr")


def test_a_caption_in_capitals_is_identified_as_in_small_letters(workspace):
    text = "MY FRIEND HAS A RED DOG AND A CAT"
    found, small = explain(workspace, text), explain(workspace, text.lower())
    assert (found["lang"], found["lang_score"]) == (small["lang"], small["lang_score"])
    assert f"  asked is: {text.lower()}" in explanation(found)
    assert not any("asked is" in step for step in small["lang_steps"])


def test_what_was_published_is_explained_so(workspace):
    text = "MY FRIEND HAS A RED DOG AND A CAT"
    found = explain(workspace, text, lid="published")
    small = explain(workspace, text.lower(), lid="published")
    assert (small["lang"], found["lang_steps"]) == ("en", [])
    assert found["lang_score"] != small["lang_score"]


def test_what_is_in_no_language_is_explained(workspace):
    found = explain(workspace, "IMG_1234")
    assert (found["lang"], found["status"]) == (None, "no_language")
    assert "none: a file's name" in explanation(found)
    assert explain(workspace, "IMG_1234", lid="published")["lang"] is not None


def test_an_empty_text_is_dropped_as_matching_drops_it(workspace):
    assert explain(workspace, " \u3000 ")["status"] == "empty_text"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"text": "x", "lang": "en", "t": 0}, UsageError, "--t is 0"),
        ({}, UsageError, "give either a text"),
        ({"text": "x", "pair_id": "y"}, UsageError, "give either a text"),
        ({"pair_id": "y", "url": "z"}, UsageError, "--url goes with a text"),
        ({"text": "\udcff"}, UsageError, "not valid UTF-8"),
        ({"text": "x", "lang": "en", "t": 2**60}, UsageError, "at most 2"),
        ({"pair_id": "nowhere"}, InputError, "pair 'nowhere' is not in .*matched"),
    ],
)
def test_what_cannot_be_meant_is_refused(workspace, options, error, message):
    with pytest.raises(error, match=message):
        explain(workspace, **options)


def test_counts_of_other_metadata_are_refused(workspace, tmp_path):
    write_metadata(tmp_path / "metadata", {"en": WORDS[:3]})
    for folder, words in (
        ("matched", "the metadata of en has changed since"),
        ("nowhere", "made with something else"),  # the balanced set's counts are looked at
    ):
        with pytest.raises(ArtifactError, match=words):
            explain_text(
                "red", lang="en", metadata=str(tmp_path / "metadata"),
                matched=str(workspace / folder), balanced=str(workspace / "balanced"),
            )  # fmt: skip


def test_what_matched_is_coloured_and_nothing_else():
    matches = [{"spans": [[3, 6]]}, {"spans": [[5, 8], [10, 11]]}]
    assert highlighted(" a bcd ef gh ", matches, colour=False) == "a bcd ef gh"
    coloured = highlighted(" a bcd ef gh ", matches, colour=True)
    assert re.findall(r"\x1b\[[0-9;]*m\x1b\[1m(.*?)\x1b\[0m", coloured) == ["bcd e", "g"]
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "a bcd ef gh"


def on_a_terminal(arguments, **environment):
    """Run the command in a pseudo-terminal and return all that it wrote there."""
    ours, theirs = pty.openpty()
    variables = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [CURATE, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**variables, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 1 << 16):
            written += piece
    except OSError:
        pass  # what Linux says when the other end is closed
    os.close(ours)
    process.wait()
    return written.decode()


OURS = re.compile(r"\x1b\[(?:0|1|32)m")
ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_texts_and_entries_are_inert_on_a_terminal(workspace):
    run = ["explain", EVIL + " house", "--lang", "en", "-w", workspace]
    shown = on_a_terminal(run).replace("\r\n", "\n")
    assert OURS.search(shown) and not ACTIVE.search(OURS.sub("", shown))
    assert r"\x1b[31m" in shown and r"\u202e" in shown and r"\x9b2J" in shown
    assert r"house\u202e\u2066" in shown  # the entry
    plain = on_a_terminal(run, NO_COLOR="1").replace("\r\n", "\n")
    assert plain.splitlines()[:-1] == OURS.sub("", shown).splitlines()[:-1]  # all but seconds
    assert "\x1b" not in plain


def test_json_and_errors_are_inert_on_a_terminal_too(workspace):
    found = on_a_terminal(["explain", EVIL, "--lang", "en", "--json", "-w", workspace])
    assert not ACTIVE.search(found.replace("\r\n", "\n")) and json.loads(found)["text"] == EVIL
    message = on_a_terminal(["explain", "--pair-id", EVIL, "-w", workspace])
    assert "Error: pair" in message and not ACTIVE.search(message.replace("\r\n", "\n"))


def test_colour_is_for_terminals_that_show_it(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour_wanted(Terminal()) and not colour_wanted(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not colour_wanted(Terminal())


def test_wide_letters_keep_the_columns_straight(workspace):
    found = explain(workspace, "北京", lang="zh")
    header, row = explanation(found).splitlines()[4:6]
    at = header.index("id") + 2 - len("100")  # the first entry after the numbers
    assert row.startswith("北京") and row.index("100") == at - 2  # each letter takes two cells
    assert short_hash("x\ty") == explain(workspace, "y", url="x", lang="zh")["pair_id"]


def test_texts_of_any_shape_give_json(workspace):
    for text in ("", "\x00", "a" * 9999, "👩‍👩‍👧", "e\u0301" * 50, "\u200b"):
        assert json.dumps(explain(workspace, text, lang="en"))
