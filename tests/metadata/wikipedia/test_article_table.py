from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.metadata.wikipedia.article_table import read_articles, split_articles


def write(path, titles, texts, **options):
    table = pa.table(
        {"id": pa.array(range(len(titles))), "title": titles, "text": texts},
        schema=pa.schema([("id", pa.int64()), ("title", pa.string()), ("text", pa.string())]),
    )
    pq.write_table(table, path, **options)
    return path


def read(path, part_bytes=1 << 30):
    tally = Counter()
    parts = split_articles(str(path), part_bytes)
    return [row for part in parts for row in read_articles(part, tally)], tally, len(parts)


def test_articles_come_once_however_the_file_is_cut(tmp_path):
    titles = [f"Title {n}" for n in range(1000)]
    path = write(tmp_path / "a.parquet", titles, ["text"] * 1000, row_group_size=90)
    rows, tally, num_parts = read(path)
    assert rows == [(title, "text") for title in titles] and num_parts == 1
    assert tally == {"bytes": 4000}
    cut, _, num_parts = read(path, 1)
    assert cut == rows and num_parts == 12


def test_rows_without_title_or_text_are_broken(tmp_path):
    path = write(tmp_path / "a.parquet", ["A", None, "", "D"], ["x", "y", "z", None])
    rows, tally, _ = read(path)
    assert rows == [("A", "x")] and tally["broken"] == 3


def test_an_empty_file_has_no_articles(tmp_path):
    assert read(write(tmp_path / "a.parquet", [], []))[0] == []


def test_a_file_without_row_groups_has_no_articles(tmp_path):
    schema = pa.schema([("title", pa.string()), ("text", pa.string())])
    pq.ParquetWriter(tmp_path / "a.parquet", schema).close()
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 0
    assert read(tmp_path / "a.parquet")[0] == []


def test_strings_may_be_large_or_in_a_dictionary(tmp_path):
    texts = pa.array(["x", "x"]).dictionary_encode()
    titles = pa.array(["A", "B"], pa.large_string())
    pq.write_table(pa.table({"title": titles, "text": texts}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0] == [("A", "x"), ("B", "x")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"title": ["A"], "body": ["x"]}, r"no column 'text' of strings; .*title \(string\), body"),
        ({"title": [1], "text": ["x"]}, r"no column 'title' of strings; .*title \(int64\)"),
        ({}, "no column 'title' of strings; .* got none"),
    ],
)
def test_a_file_without_the_columns_is_refused_and_says_which_it_has(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "a.parquet")


def test_a_missing_or_corrupt_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no.parquet: there is no such file"):
        read(tmp_path / "no.parquet")
    path = write(tmp_path / "a.parquet", [f"T{n}" for n in range(5000)], ["text"] * 5000)
    whole = path.read_bytes()
    title = pq.read_metadata(path).row_group(0).column(1)
    hole = title.dictionary_page_offset + 40
    holed = whole[:hole] + bytes(3000) + whole[hole + 3000 :]
    for damaged in (whole[:-100], b"<html>", b"", holed):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="a.parquet: not readable as Parquet"):
            read(path)
