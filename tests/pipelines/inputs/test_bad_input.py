"""Bad records are quarantined and counted; bad files and options are errors that say what to do."""

import gzip
import json
import tarfile
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, BadShareError, CurateError, InputError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.inputs.readers import input_kind, plan_parts, read_part
from tests.pipelines.helpers import WORDS, contents, match, texts, write_metadata, write_pairs


@pytest.fixture
def english(tmp_path):
    return write_metadata(tmp_path / "metadata", {"en": WORDS})


def rejected(folder):
    files = sorted((folder / "rejected").glob("*.parquet"))
    return [row for f in files for row in pq.read_table(f).to_pylist()]


def test_null_texts_are_rejected_with_their_row(tmp_path, english):
    values = [*texts(5), None, *texts(5)]
    summary = match(
        [write_pairs(tmp_path / "a.parquet", values)], english, tmp_path / "o", max_bad=0.1
    )
    assert summary["dropped"]["null_text"] == 1 and summary["read"] == 11
    assert [(r["row"], r["reason"]) for r in rejected(tmp_path / "o")] == [(5, "null_text")]


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [(b"\xff", "\\xff"), (b"\xed\xa0\x80", "\\xed\\xa0\\x80")],
    ids=["no UTF-8", "a lone surrogate"],
)
def test_invalid_utf8_is_rejected_and_shown(tmp_path, english, bytes_, shown):
    raw = pa.array([b"a dog", b"a " + bytes_ + b" cat", b"a cat"])
    text = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": raw}), tmp_path / "b.parquet")
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    summary = match(files, english, tmp_path / "o", max_bad=0.5)
    assert (summary["matched"], summary["dropped"]) == (4, {"invalid_utf8": 2})
    assert [(r["row"], r["text"]) for r in rejected(tmp_path / "o")] == [(1, f"a {shown} cat")] * 2


def test_a_lone_surrogate_in_json_is_rejected(tmp_path, english):
    lines = ['{"text": "a dog"}', '{"text": "a \\ud800 cat"}', '{"text": "\\ud83d\\ude00 a cat"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    summary = match([tmp_path / "a.jsonl"], english, tmp_path / "o", max_bad=0.5)
    assert (summary["matched"], sum(summary["dropped"].values())) == (2, 1)
    assert [r["row"] for r in rejected(tmp_path / "o")] == [1]


def test_texts_of_wrong_type_and_broken_json_are_rejected(tmp_path, english):
    lines = ['{"text": "a dog"}', '{"text": 7}', "{", '{"text": "a cat"}', '["a dog"]', ""]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    summary = match([tmp_path / "a.jsonl"], english, tmp_path / "o", max_bad=1)
    assert summary["dropped"] == {"bad_json": 2, "wrong_type": 1} and summary["matched"] == 2
    assert sorted((r["row"], r["reason"]) for r in rejected(tmp_path / "o")) == [
        (1, "wrong_type"), (2, "bad_json"), (4, "bad_json")
    ]  # fmt: skip


def test_a_column_that_is_no_text_is_an_error(tmp_path, english):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: column 'text' is int64, expected string"):
        match([tmp_path / "a.parquet"], english, tmp_path / "o")


def test_no_text_column_is_an_error_that_names_the_columns(tmp_path, english):
    pq.write_table(pa.table({"link": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no text column; expected one of text, .* it has link"):
        match([tmp_path / "a.parquet"], english, tmp_path / "o")


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv", "a.tsv"])
def test_an_empty_file_gives_no_pairs(tmp_path, english, name):
    if name == "a.parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(b"")
    good = write_pairs(tmp_path / "good.parquet", ["a dog"])
    summary = match([tmp_path / name, good], english, tmp_path / "o")
    assert (summary["read"], summary["matched"]) == (1, 1)


def test_a_file_of_no_bytes_named_parquet_is_a_bad_file(tmp_path, english):
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(BadShareError, match=r"1 of 1 files cannot be read whole"):
        match([tmp_path / "a.parquet"], english, tmp_path / "o")


def test_a_truncated_parquet_file_is_counted_and_fails_the_run_only_past_max_bad(tmp_path, english):
    good = write_pairs(tmp_path / "good.parquet", texts(50))
    whole = write_pairs(tmp_path / "cut.parquet", texts(50), first=50).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    files = [good, tmp_path / "cut.parquet"]
    with pytest.raises(BadShareError, match=r"cut\.parquet.*unreadable_file 1"):
        match(files, english, tmp_path / "o")
    summary = match(files, english, tmp_path / "o", max_bad=0.5)
    assert (summary["matched"], summary["dropped"]) == (50, {"unreadable_file": 1})


def test_a_corrupt_row_group_loses_its_rows_only(tmp_path, english):
    path = write_pairs(tmp_path / "a.parquet", texts(60))
    with pq.ParquetFile(path) as file:
        start = file.metadata.row_group(1).column(1).data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + 8] = b"\xff" * 8
    path.write_bytes(raw)
    summary = match([path], english, tmp_path / "o", max_bad=0.5)
    assert (summary["read"], summary["dropped"]) == (60, {"unreadable_rows": 20})
    (reject,) = rejected(tmp_path / "o")
    assert (reject["row"], reject["num_rows"]) == (20, 20)


def write_tar(path, num):
    with tarfile.open(path, "w") as tar:
        for i in range(num):
            data = b"a red dog"
            info = tarfile.TarInfo(f"{i}.txt")
            info.size = len(data)
            tar.addfile(info, BytesIO(data))


def test_a_truncated_tar_keeps_what_was_whole_and_is_counted(tmp_path, english):
    write_tar(tmp_path / "a.tar", 20)
    write_tar(tmp_path / "b.tar", 20)
    raw = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(raw[: 10 * 1024 + 100])
    files = [tmp_path / "a.tar", tmp_path / "b.tar"]
    summary = match(files, english, tmp_path / "o", max_bad=0.5)
    # The last sample before the cut may have had more members: nobody knows, so it is lost too.
    assert (summary["matched"], summary["dropped"]) == (29, {"unreadable_file": 1})
    with pytest.raises(BadShareError, match="1 of 2 files cannot be read whole"):
        match(files, english, tmp_path / "o2")


def test_a_truncated_gzip_is_counted(tmp_path, english):
    body = "".join(json.dumps({"text": t}) + "\n" for t in texts(5000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(body.encode())[:-2000])
    summary = match([tmp_path / "a.jsonl.gz"], english, tmp_path / "o", max_bad=1)
    assert summary["dropped"]["unreadable_file"] == 1


def test_a_text_of_ten_megabytes_matches_like_any_other(tmp_path, english):
    long = "x " * 5_000_000 + "red dog"
    summary = match([write_pairs(tmp_path / "a.parquet", [long, "a cat"])], english, tmp_path / "o")
    assert summary["matched"] == 2


def test_blank_texts_are_dropped_but_not_bad(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", ["", " \n", "a dog"])
    summary = match([a], english, tmp_path / "o")
    assert summary["dropped"] == {"empty_text": 2}


def test_ragged_csv_rows_are_counted(tmp_path, english):
    (tmp_path / "a.csv").write_text("url,text\nu,a dog\nu,a,b,c\nu,a cat\n")
    summary = match([tmp_path / "a.csv"], english, tmp_path / "o", max_bad=1)
    assert summary["dropped"] == {"bad_csv_row": 1} and summary["matched"] == 2


def test_an_input_that_is_not_there_is_an_error(tmp_path, english):
    with pytest.raises(InputError, match=r"nothing\*\.parquet: no such file"):
        match([tmp_path / "nothing*.parquet"], english, tmp_path / "o")


@pytest.mark.parametrize("name", ["a.docx", "a", "a.tar.gz"])
def test_a_file_of_unknown_kind_is_an_error(name):
    with pytest.raises(InputError, match="cannot tell what kind|decompress it first"):
        input_kind(name)


def test_missing_metadata_is_an_error_that_says_what_to_run(tmp_path):
    a = write_pairs(tmp_path / "a.parquet", ["a dog"])
    with pytest.raises(ArtifactError, match="Run `curate build-metadata --lang en` first"):
        match([a], tmp_path / "none", tmp_path / "o")


def test_damaged_metadata_is_an_error(tmp_path, english):
    other = write_metadata(tmp_path / "other", {"en": ["else"]})
    (english / "en.parquet").write_bytes((other / "en.parquet").read_bytes())
    a = write_pairs(tmp_path / "a.parquet", ["a dog"])
    with pytest.raises(ArtifactError, match=r"en\.parquet: its entries have sha256"):
        match([a], english, tmp_path / "o")


def test_a_folder_of_something_else_is_not_written_into(tmp_path, english):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").write_text("dear")
    a = write_pairs(tmp_path / "a.parquet", ["a dog"])
    for overwrite in (False, True):
        with pytest.raises(ArtifactError, match=r"home exists and is not an output.*thesis\.tex"):
            match([a], english, tmp_path / "home", overwrite=overwrite)
    assert contents(tmp_path / "home").keys() == {"thesis.tex"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t": 0}, "t is 0; expected"),
        ({"t": -5}, "t is -5; expected"),
        ({}, "give either --t or --target-pairs"),
        ({"t": 1, "target_pairs": 1}, "give either --t or --target-pairs"),
        ({"target_pairs": 0}, "--target-pairs is 0"),
        ({"t": 1, "seed": -1}, "seed is -1"),
        ({"t": 1, "output_format": "zip"}, "--format is 'zip'"),
        ({"t": 1, "pairs_per_shard": 0}, "--pairs-per-shard is 0"),
    ],
)
def test_options_of_balance_are_checked(options, message):
    with pytest.raises(UsageError, match=message):
        BalanceOptions(**options)


def test_balancing_what_is_not_matched_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="Run `curate match INPUTS` first"):
        balance_pairs(
            matched=str(tmp_path), output=str(tmp_path / "b"), options=BalanceOptions(t=1)
        )


def test_balancing_an_unfinished_match_is_an_error(tmp_path, english):
    match([write_pairs(tmp_path / "a.parquet", texts(9))], english, tmp_path / "o")
    (tmp_path / "o/summary.json").unlink()
    with pytest.raises(ArtifactError, match="matching has not come to its end"):
        balance_pairs(
            matched=str(tmp_path / "o"), output=str(tmp_path / "b"), options=BalanceOptions(t=1)
        )


@pytest.mark.parametrize("values", [["nothing at all here"] * 3, [" "], [None, "x"]])
def test_texts_without_a_url_may_match_nothing(tmp_path, english, values):
    pq.write_table(pa.table({"text": pa.array(values, pa.string())}), tmp_path / "a.parquet")
    summary = match([tmp_path / "a.parquet"], english, tmp_path / "o", max_bad=1)
    assert (summary["read"], summary["matched"]) == (len(values), 0)


def test_a_text_that_is_too_long_is_rejected(tmp_path, english, monkeypatch):
    monkeypatch.setattr("curate.pipelines.inputs.records.MAX_TEXT_BYTES", 1000)
    a = write_pairs(tmp_path / "a.parquet", ["a dog", "dog " * 300])
    summary = match([a], english, tmp_path / "o", max_bad=0.5)
    assert (summary["matched"], summary["dropped"]) == (1, {"text_too_long": 1})
    assert len(rejected(tmp_path / "o")[0]["text"]) == 200


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.Table.from_arrays([pa.array(["a dog"])] * 2, ["text", "text"]), "'text' occurs twice"),
        (pa.table({"text": ["a dog"], "uid": [[1]]}), "column 'uid' is list.*--uid-column"),
        (pa.table({"text": ["a dog"], "url": [{"a": 1}]}), "column 'url' is struct.*--url-column"),
    ],
)
def test_columns_that_cannot_be_meant_are_an_error_with_the_file(tmp_path, english, table, message):
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=rf"a\.parquet: .*{message}"):
        match([tmp_path / "a.parquet"], english, tmp_path / "o")


def test_what_arrow_cannot_do_is_an_error_with_the_file(tmp_path, english, monkeypatch):
    def fail(*_):
        raise pa.ArrowNotImplementedError("no kernel")

    monkeypatch.setattr("curate.pipelines.match.part.to_records", fail)
    a = write_pairs(tmp_path / "a.parquet", ["a dog"])
    with pytest.raises(CurateError, match=r"a\.parquet, from row 0 on: .*no kernel.*run the same"):
        match([a], english, tmp_path / "o")


def test_long_lines_and_long_dictionaries_come_in_small_batches(tmp_path):
    line = json.dumps({"text": "dog " * 25_000}) + "\n"
    (tmp_path / "a.jsonl").write_text(line * 1000)
    batches = list(read_part(plan_parts(str(tmp_path / "a.jsonl"), "")[0]))
    assert max(b.batch.nbytes for b in batches) < 40 << 20 and len(batches) > 2
    words = pa.array(["dog " * 25_000] * 5000).dictionary_encode().dictionary_decode()
    pq.write_table(pa.table({"text": words}), tmp_path / "b.parquet")
    batches = list(read_part(plan_parts(str(tmp_path / "b.parquet"), "")[0]))
    assert max(b.batch.nbytes for b in batches) < 40 << 20
    assert sum(b.batch.num_rows for b in batches) == 5000


def test_leftovers_of_killed_runs_go(tmp_path, english):
    a = write_pairs(tmp_path / "a.parquet", ["a dog"])
    match([a], english, tmp_path / "o")
    for folder in ("pairs", "rejected", "counts", "."):
        (tmp_path / "o" / folder).mkdir(exist_ok=True)
        (tmp_path / "o" / folder / ".tmp-1-x").write_text("half")
    b = write_pairs(tmp_path / "b.parquet", ["a cat"], first=1)
    match([a, b], english, tmp_path / "o")
    assert not list((tmp_path / "o").rglob(".tmp-*"))
