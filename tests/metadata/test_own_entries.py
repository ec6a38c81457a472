import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.metadata.entries import assemble_entries
from curate.metadata.own_entries import add_own_entries, read_own_entries, without_own_entries

BUILT, _ = assemble_entries({"unigram": [("dog", 9.0)], "title": [("Red Dog", 5.0)]}, 256)


def rows(table):
    return [(r["entry"], r["source"], r["score"]) for r in table.to_pylist()[100:]]


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.txt.gz"])
def test_a_list_is_text_of_one_entry_a_line(tmp_path, name):
    text = "\ufeffred dog\r\n\nSt. John\n# 1\u2028".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert read_own_entries(str(tmp_path / name)) == ["red dog", "", "St. John", "# 1\u2028"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary("int8", "utf8")])
def test_a_list_may_be_a_column_of_parquet(tmp_path, kind):
    values = pa.array(["a dog", None, "a dog"]).cast(kind)
    pq.write_table(pa.table({"n": [1, 2, 3], "entry": values}), tmp_path / "mine.parquet")
    assert read_own_entries(str(tmp_path / "mine.parquet")) == ["a dog", "", "a dog"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.txt", b"caf\xe9", r"mine\.txt: line 1 is not UTF-8.*iconv"),
        ("mine.txt.gz", b"no gzip", r"mine\.txt\.gz: not readable as a list of entries"),
        ("mine.parquet", b"no parquet", r"mine\.parquet: not readable as a list of entries"),
        ("mine.parquet", {"word": ["a"]}, "no column entry; it has word"),
        ("mine.parquet", {"entry": [1]}, "column entry is of int64; expected strings"),
        ("nowhere.txt", None, r"nowhere\.txt: not readable.*--entries takes UTF-8 text"),
    ],
)
def test_a_list_that_cannot_be_read_says_why(tmp_path, name, content, message):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        pq.write_table(pa.table(content), tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_own_entries(str(tmp_path / name))


def test_own_entries_come_last_each_once_and_clean():
    own = ["St.\u00a0 John",
           "cafe\u0301 ", "", "dog", "  ", "Red Dog", "?!", "a\tb", "x" * 257, "7",
           "café"]  # fmt: skip
    table, report = add_own_entries(BUILT, own, 256)
    assert rows(table) == [*rows(BUILT), ("St. John", "title", 0.0), ("café", "title", 0.0)]
    assert table.schema == BUILT.schema
    assert report == {
        "read": 11,
        "added": 2,
        "left_out": {"control_character": 1, "duplicate": 4, "empty": 2, "punctuation_only": 1,
                     "too_long": 1},
    }  # fmt: skip


def test_own_entries_can_be_taken_out_again():
    table, _ = add_own_entries(BUILT, ["b", "a"], 256)
    assert without_own_entries(table) == BUILT == without_own_entries(BUILT)


@pytest.mark.parametrize("own", [[], ["", "?"]])
def test_a_list_without_a_usable_entry_is_an_error(own):
    with pytest.raises(InputError, match=f"no usable entry among {len(own)}"):
        add_own_entries(BUILT, own, 256)
    table, report = add_own_entries(BUILT, ["dog"], 256)
    assert table == BUILT and report["added"] == 0
