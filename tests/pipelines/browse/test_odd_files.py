"""Files of anybody, of whatever types: each question is answered, or refused with a sentence."""

import datetime
import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, CurateError, InputError
from curate.pipelines.browse.answers import ANSWERS
from curate.pipelines.browse.pairs import parse_place
from curate.pipelines.browse.thumbnails import Thumbnails
from tests.pipelines.browse.test_answers import ask, opened
from tests.pipelines.tar_helpers import write_tar

VALUES = {
    "time": [datetime.datetime(2020, 1, 1), None], "date": [datetime.date(2020, 1, 1), None],
    "clock": [datetime.time(1, 2), None], "duration": [datetime.timedelta(1), None],
    "decimal": [decimal.Decimal("1.25"), None], "bytes": [b"\xff\xfe", None],
    "list": [["a"], None], "structure": [{"a": 1}, None], "nothing": [None, None],
    "truth": [True, None], "number": [float("nan"), float("inf")], "text": ["\u202e evil", None],
}  # fmt: skip
ARRAYS = {
    **{name: pa.array(values) for name, values in VALUES.items()},
    "large number": pa.array([2**64 - 1, None], pa.uint64()),
    "half": pa.array([1.5, None], pa.float16()),
    "year 146 million": pa.array([2**62, None], pa.timestamp("ms")),
    "dictionary": pa.array(["x", None]).dictionary_encode(),
    "string view": pa.array(["v", None], pa.string_view()),
    "binary view": pa.array([b"v", None], pa.binary_view()),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
}
ROLES = ("text", "url", "lang", "lang_score", "uid", "entry_ids", "probability", "image",
         "image_size", "json", "own")  # fmt: skip
ASKED = ({}, {"text": "a"}, {"domain": "a.example"}, {"lang": "en"}, {"lang": "en", "entry": "1"},
         {"score_from": "0.5"})  # fmt: skip


def answers_all(path, columns=()):
    session = opened(path)
    state = session.state()
    own = [{"column": c, **asked} for c in state.sets["files"].columns
           for asked in ({"is": "1"}, {"from": "0"}, {"from": "nan", "to": "1e999"})]  # fmt: skip
    assert set(columns) <= set(state.sets["files"].columns)
    ask(session, "about")
    for asked in (*ASKED, *own):
        try:
            found = ANSWERS["pairs"](state, asked)
        except CurateError:  # a sentence; anything else fails
            continue
        json.dumps(found, allow_nan=False).encode()
    rows = ask(session, "pairs")["rows"]
    ask(session, "pair", at=rows[0]["at"])
    with pytest.raises(InputError):
        Thumbnails().image(state.name, state.sets["files"], parse_place(rows[0]["at"]), 224)
    session.close()
    return rows


@pytest.mark.parametrize("kind", ARRAYS)
def test_columns_of_any_type_in_any_role_are_shown_and_searched(tmp_path, kind):
    for role in ROLES:
        folder = tmp_path / role
        folder.mkdir()
        columns = {"url": ["http://a.example/b", "x"], "text": ["a", "b"], role: ARRAYS[kind]}
        pq.write_table(pa.table(columns), folder / "a.parquet")
        assert len(answers_all(folder)) == 2


def test_columns_that_differ_between_files_or_come_twice_are_shown(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [b"b"], "x": ["s"]}), tmp_path / "b.parquet")
    twice = pa.Table.from_arrays(list(map(pa.array, (["c"], ["d"], [1], [2]))),
                                 names=["text", "text", "x", "x"])  # fmt: skip
    pq.write_table(twice, tmp_path / "c.parquet")
    rows = answers_all(tmp_path, ["x"])
    assert [(row["text"], row["own"]["x"]) for row in rows] == [("a", 1), ("b", "s"), ("c", 1)]
    session = opened(tmp_path)
    found = ask(session, "pairs", column="x", **{"from": "1"})["rows"]
    assert [row["text"] for row in found] == ["a", "c"]
    session.close()


def test_what_is_shown_of_a_time_finds_it(tmp_path):
    times = pa.array([datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1)])
    pq.write_table(pa.table({"text": ["a", "b"], "when": times}), tmp_path / "a.parquet")
    session = opened(tmp_path)
    shown = ask(session, "pairs")["rows"][1]["own"]["when"]
    assert shown.startswith("2021-01-01 00:00:00")
    found = ask(session, "pairs", column="when", **{"is": shown})["rows"]
    assert [row["text"] for row in found] == ["b"]
    session.close()


def test_bytes_that_are_no_utf8_are_searched_for_the_text_that_is(tmp_path):
    pq.write_table(pa.table({"text": [b"\xff dog", b"cat"]}), tmp_path / "a.parquet")
    session = opened(tmp_path)
    assert [row["text"] for row in ask(session, "pairs", text="DOG")["rows"]] == ["\ufffd dog"]
    session.close()


def write_three(folder, damaged):
    """Write three tars of which the one in the middle is damaged."""
    write_tar(folder / "00000.tar", {"0.txt": "a dog", "1.txt": "a cat"})
    (folder / "00001.tar").write_bytes(damaged)
    write_tar(folder / "00002.tar", {"2.txt": "a dog", "3.txt": "a cow"})


def all_of(session, num, **asked):
    """Go through a list to its end; return the texts, and what was said of files."""
    texts, told, at = [], [], ""
    while at is not None:
        found = ask(session, "pairs", num=str(num), after=at, **asked)
        texts += [row["text"] for row in found["rows"]]
        told += found["unread"]
        at = found["following"]
    return texts, told


def test_an_empty_tar_is_no_obstacle(tmp_path):
    write_tar(tmp_path / "00000.tar", {})
    write_tar(tmp_path / "00001.tar", {"0.txt": "a dog", "1.txt": "a cat"})
    assert len(answers_all(tmp_path)) == 2


@pytest.mark.parametrize("content", [b"", b"x" * 5000, "cut"])
def test_a_damaged_tar_is_named_and_those_behind_it_are_shown(tmp_path, content):
    write_tar(tmp_path / "whole", {"0.txt": "a dog"})
    write_three(tmp_path, (tmp_path / "whole").read_bytes()[:700] if content == "cut" else content)
    session = opened(tmp_path)
    for num in (1, 2, 3, 60):  # the damage is told once, wherever an answer ends
        texts, (told,) = all_of(session, num)
        assert texts == ["a dog", "a cat", "a dog", "a cow"]
        assert "00001.tar: it holds no samples (" in told
    texts, (told,) = all_of(session, 1, text="dog")
    assert texts == ["a dog"] * 2 and "00001.tar" in told
    session.close()
    for name in ("00000.tar", "00002.tar"):
        (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=r"00001.tar: it holds no samples \("):
        opened(tmp_path)


def test_of_a_tar_that_is_damaged_further_on_it_is_said_how_many_samples_are_shown(tmp_path):
    write_tar(tmp_path / "whole", {"4.txt": "one", "5.txt": "two", "6.txt": "three"})
    write_three(tmp_path, (tmp_path / "whole").read_bytes()[: 5 * 512 + 100])
    session = opened(tmp_path)
    for num in (1, 2, 3, 60):
        texts, (told,) = all_of(session, num)
        assert texts == ["a dog", "a cat", "one", "two", "a dog", "a cow"]
        assert "00001.tar: only the first 2 samples can be read (" in told
    session.close()


def test_a_damaged_row_group_of_somebody_is_named_and_the_others_are_shown(tmp_path):
    table = pa.table({"text": [f"number {at}" for at in range(30)]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=10, use_dictionary=False, compression="zstd")
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(1).column(0)
    at = column.data_page_offset
    content = bytearray(path.read_bytes())
    content[at : at + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    session = opened(tmp_path)
    texts, (told,) = all_of(session, 7)
    assert texts == [f"number {at}" for at in (*range(10), *range(20, 30))]
    assert "a.parquet: row group 1, of 10 rows, cannot be read (" in told
    session.close()


def test_a_file_that_is_no_parquet_is_named_and_the_others_are_shown(tmp_path):
    (tmp_path / "b.parquet").write_bytes(b"x" * 5000)
    with pytest.raises(ArtifactError, match=r"b.parquet: no Parquet file that can be read \("):
        opened(tmp_path)
    for name in ("a", "c"):
        pq.write_table(pa.table({"text": [name]}), tmp_path / f"{name}.parquet")
    session = opened(tmp_path)
    for num in (1, 60):
        texts, (told,) = all_of(session, num)
        assert texts == ["a", "c"] and "b.parquet: no Parquet file" in told
    assert all_of(session, 60, text="c")[0] == ["c"]
    assert ask(session, "pairs")["of"] == 2
    session.close()


@pytest.mark.parametrize("kind", ARRAYS)
def test_what_is_shown_of_a_column_finds_its_pairs_and_no_others(tmp_path, kind):
    table = {"text": ["a", "b"], "own": ARRAYS[kind]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    session = opened(tmp_path)
    rows = ask(session, "pairs")["rows"]
    columns = session.state().sets["files"].columns
    assert ("own" in columns) is (kind not in ("bytes", "list", "structure", "nothing", "map",
                                               "binary view"))  # fmt: skip
    if "own" in columns:
        shown = rows[0]["own"]["own"]
        is_number = columns["own"] == "number"
        shown = "true" if shown is True else shown  # as a page writes it
        wanted = {"from": shown, "to": shown} if is_number else {"is": shown}
        found = ask(session, "pairs", column="own", **wanted)["rows"]
        assert [row["text"] for row in found] == ([] if shown == "nan" else ["a"]), shown
    session.close()
