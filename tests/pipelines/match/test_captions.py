"""`match --captions`: entries, counts and languages of captions instead of alt-texts."""

import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.errors import ArtifactError, InputError
from curate.pipelines.caption_tables.instead import CaptionsInstead
from curate.pipelines.diff import compare_folders
from curate.pipelines.explain import explain_text
from curate.pipelines.store import artifacts
from tests.pipelines.helpers import contents, match, read_pairs, write_metadata, write_pairs
from tests.training.shard_files import sample, write_tar

ALTS = ["a red dog", "IMG 001", "a blue cat on red", "", "ein Haus", "nothing", "a house"]
CAPTIONS = [
    ("1", "a cat in a tree", "en"),
    ("1", "a house", "en"),  # of the same source: the text that comes first is taken
    ("2", "a red cat", None),
    ("3", "a dog and a dog", None),
    ("4", "a tree in front of it", "en"),  # the alt-text is German
    ("5", "words alone", None),
    ("nobody", "a house", None),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_metadata(tmp_path / "metadata", {"en": ["red", "dog", "cat", "tree", "house"],
                                           "de": ["Haus"]})  # fmt: skip
    write_pairs(tmp_path / "in.parquet", ALTS, uid=[str(i) for i in range(7)],
                lang=["en", None, "en", "en", "de", "en", "en"])  # fmt: skip
    ids, texts, langs = zip(*CAPTIONS, strict=True)
    table = pa.table({"pair_id": ids, "text": texts, "lang": pa.array(langs, pa.string())})
    pq.write_table(table, tmp_path / "dense.parquet")
    return tmp_path


def matched(place, name="matched", inputs=None, **options):
    tables = (str(place / "dense.parquet"),) if options.pop("with_captions", True) else ()
    return match(inputs or [place / "in.parquet"], place / "metadata", place / name,
                 captions=tables, lang=None, **options)  # fmt: skip


def entries_of(place, name="matched"):
    names = {lang: artifacts.read_table(str(place / f"metadata/{lang}.parquet"), ["entry"])
             .column(0).to_pylist() for lang in ("en", "de")}  # fmt: skip
    return {
        row["pair_id"]: {names[row["lang"]][i] for i in row["entry_ids"]}
        for row in read_pairs(place / name).to_pylist()
    }


def counts(place, name="matched", lang="en"):
    table = artifacts.read_table(str(place / name / f"counts/{lang}.parquet"))
    return {row["entry"]: row["count"] for row in table.to_pylist() if row["count"]}


def test_entries_and_counts_are_those_of_captions_and_of_alt_texts_without_one(place):
    found = matched(place)
    assert entries_of(place) == {
        "0": {"red", "dog"}, "1": {"cat", "tree"}, "2": {"red", "cat"}, "3": {"dog"},
        "4": {"tree"}, "6": {"house"},
    }  # fmt: skip
    assert counts(place) == {"red": 2, "dog": 2, "cat": 2, "tree": 2, "house": 1}
    assert counts(place, lang="de") == {}
    assert (
        found["matched"] == 6 and found["by_caption"] == 4 and found["dropped"] == {"no_match": 1}
    )
    rows = {row["pair_id"]: row for row in read_pairs(place / "matched").to_pylist()}
    assert rows["0"]["text_source"] == "alt" and rows["1"]["text_source"] == "dense"
    assert rows["1"]["text"] == "IMG 001" and rows["4"]["lang"] == "en"


def test_without_the_option_nothing_changes_and_ids_stay_those_of_alt_texts(place):
    write_pairs(place / "hashed.parquet", ["a red dog", "a cat"])
    plain = matched(place, "plain", [place / "hashed.parquet"], with_captions=False)
    assert (
        "by_caption" not in plain and "text_source" not in read_pairs(place / "plain").schema.names
    )
    (first, second) = read_pairs(place / "plain").column("pair_id").to_pylist()
    pq.write_table(pa.table({"pair_id": [first], "text": ["a tree"]}), place / "dense.parquet")
    matched(place, "re", [place / "hashed.parquet"])
    assert entries_of(place, "re") == {first: {"tree"}, second: {"cat"}}
    # What was matched by captions, matched again by itself, has the ids of its rows.
    again = match([place / "re/pairs"], place / "metadata", place / "again", lang="en")
    assert again["matched"] == 2
    assert read_pairs(place / "again").column("pair_id").to_pylist() == [first, second]


def test_neither_workers_nor_parts_nor_the_order_of_tables_decide(place):
    write_pairs(place / "b.parquet", ALTS, first=100, uid=[str(i) for i in range(7, 14)])
    inputs = [place / "in.parquet", place / "b.parquet"]
    pq.write_table(pa.table({"pair_id": ["1", "9"], "text": ["a tree", "a dog"]}),
                   place / "a.parquet")  # fmt: skip
    tables = [str(place / "dense.parquet"), str(place / "a.parquet")]
    for name, some, workers, rows in (("x", tables, 1, None), ("y", tables[::-1], 2, 1)):
        match(inputs, place / "metadata", place / name, captions=tuple(some), lang=None,
              workers=workers, rows_per_part=rows)  # fmt: skip
    assert entries_of(place, "x") == entries_of(place, "y")
    assert entries_of(place, "x")["1"] == {"tree"}  # of source a, before dense
    job = CaptionsInstead.of((tables[0],), quiet=True)
    job._index  # noqa: B018
    assert pickle.loads(pickle.dumps(job)).digest == job.digest


def test_other_captions_are_other_matches_and_an_input_may_be_added(place):
    matched(place)
    write_pairs(place / "b.parquet", ["a dog"], first=100, uid=["8"], lang=["en"])
    found = matched(place, inputs=[place / "b.parquet"])
    assert found["matched"] == 7 and found["by_caption"] == 4
    matched(place, "whole", inputs=[place / "in.parquet", place / "b.parquet"])
    same = {n: h for n, h in contents(place / "matched").items() if n.startswith(("pairs", "co"))}
    assert same == {n: h for n, h in contents(place / "whole").items() if n in same}
    pq.write_table(pa.table({"pair_id": ["1"], "text": ["a cat"]}), place / "dense.parquet")
    with pytest.raises(ArtifactError, match=r"captions: it was made with"):
        matched(place)
    with pytest.raises(ArtifactError, match=r"captions: it was made with"):
        matched(place, with_captions=False)
    matched(place, overwrite=True)
    assert counts(place)["house"] == 1 and entries_of(place)["1"] == {"cat"}


def test_captions_of_no_pair_are_refused_and_told(place):
    pq.write_table(pa.table({"pair_id": ["x"], "text": ["a cat"]}), place / "dense.parquet")
    with pytest.raises(InputError, match=r"none of 4 pairs was matched by a caption.*such as '0'"):
        matched(place)


def test_retracted_captions_are_counted_no_more(place):
    matched(place)
    (place / "gone.txt").write_text("1\n")
    curate.retract(place / "gone.txt", workspace=place / "work", matched=place / "matched",
                   metadata=place / "metadata", quiet=True)  # fmt: skip
    found = artifacts.read_json(str(place / "matched/summary.json"))
    assert found["by_caption"] == 3 and counts(place)["tree"] == 1


def test_samples_of_tars_are_matched_by_captions_of_their_keys(place):
    write_tar(place / "0.tar", [sample("1", text="x"), sample("9", text="the dog runs home")])
    found = matched(place, inputs=[place / "0.tar"])
    assert (
        entries_of(place) == {"1": {"cat", "tree"}, "9": {"dog", "9"}} and found["by_caption"] == 1
    )


def test_explain_says_whose_entries_a_pair_has(place):
    matched(place)
    found = explain_text(
        pair_id="1", metadata=str(place / "metadata"), matched=str(place / "matched"),
        balanced=str(place / "none"),
    )  # fmt: skip
    assert any("caption of dense" in note for note in found["notes"])
    own = explain_text(
        pair_id="0", metadata=str(place / "metadata"), matched=str(place / "matched"),
        balanced=str(place / "none"),
    )  # fmt: skip
    assert not any("caption of" in note for note in own["notes"])


def test_the_difference_to_alt_texts_is_told_per_entry_with_the_tail(place, capsys):
    matched(place, "alts", with_captions=False)
    matched(place, "captions")
    found = compare_folders(str(place / "alts"), str(place / "captions"), t=2,
                            entries=str(place / "changes.parquet"))  # fmt: skip
    english = found["languages"]["en"]
    assert (english["entries_that_gain"], english["entries_that_lose"]) == (3, 0)
    assert english["tail_entries_that_gain"] == 3
    gained = {c["entry"]: (c["count_a"], c["count_b"]) for c in found["tail_gained"]}
    assert gained == {"tree": (0, 2), "cat": (1, 2), "dog": (1, 2)}
    assert found["tail_gained"][0]["entry"] == "tree"
    changes = artifacts.read_table(str(place / "changes.parquet")).to_pylist()
    columns = ("count_a", "count_b", "is_tail")
    assert {(c["lang"], c["entry"]): tuple(c[n] for n in columns) for c in changes} == {
        ("de", "Haus"): (1, 0, True), ("en", "cat"): (1, 2, True), ("en", "dog"): (1, 2, True),
        ("en", "tree"): (0, 2, True),
    }  # fmt: skip
    assert "of A's tail 3 gain: tree (en) 0→2" in str(
        curate.diff(place / "alts", place / "captions", t=2)
    )
