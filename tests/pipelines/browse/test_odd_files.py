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


def test_an_empty_tar_is_no_obstacle_and_a_damaged_one_is_named(tmp_path):
    write_tar(tmp_path / "00000.tar", {})
    write_tar(tmp_path / "00001.tar", {"0.txt": "a dog", "1.txt": "a cat"})
    assert len(answers_all(tmp_path)) == 2
    for content in (b"", b"x" * 5000, (tmp_path / "00001.tar").read_bytes()[:700]):
        (tmp_path / "00002.tar").write_bytes(content)
        session = opened(tmp_path)
        with pytest.raises(ArtifactError, match=r"00002.tar: it holds no samples \("):
            ask(session, "pairs")
        session.close()
    for name in ("00000.tar", "00001.tar"):
        (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=r"00002.tar: it holds no samples \("):
        opened(tmp_path)
