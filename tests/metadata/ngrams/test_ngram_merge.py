import resource
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import CurateError
from curate.metadata.ngrams import merge as ngram_merge
from curate.metadata.ngrams.merge import merge_runs
from curate.metadata.ngrams.runs import PAIRS, WORDS, Run, write_run
from tests.metadata.ngram_reference import counts_of
from tests.metadata.ngrams.test_ngram_counter import count, many_words


def contents(run):
    return run.words.read_bytes(), run.pairs.read_bytes()


@pytest.fixture(scope="module")
def texts():
    return list(many_words(150_000))


@pytest.fixture(scope="module")
def whole(texts, tmp_path_factory):
    """The counts of all texts in one run, merged once."""
    folder = tmp_path_factory.mktemp("whole")
    _, runs = count(texts, "en", folder, memory_bytes=1 << 28)
    merge_runs(runs, Run(folder / "all"), 1 << 28)
    return Run(folder / "all")


@pytest.mark.parametrize("num_parts", [2, 7])
@pytest.mark.parametrize("memory_bytes", [0, 1 << 28])
def test_the_merged_run_depends_neither_on_parts_nor_order_nor_memory(
    texts, whole, tmp_path, num_parts, memory_bytes
):
    runs = []
    for part in range(num_parts):
        (tmp_path / str(part)).mkdir()
        runs += count(texts[part::num_parts], "en", tmp_path / str(part), memory_bytes)[1]
    merge_runs(runs[::-1], Run(tmp_path / "all"), memory_bytes)
    assert contents(Run(tmp_path / "all")) == contents(whole)
    assert counts_of(Run(tmp_path / "all")) == counts_of(*runs)


def test_nothing_but_the_merged_run_is_left(texts, tmp_path):
    _, runs = count(texts, "en", tmp_path, memory_bytes=0)
    target = Run(tmp_path / "target" / "all")
    target.path.parent.mkdir()
    merge_runs(runs, target, 0)
    assert sorted(target.path.parent.iterdir()) == [target.pairs, target.words]


def test_no_runs_are_an_empty_one(tmp_path):
    merge_runs([], Run(tmp_path / "all"), 0)
    assert counts_of(Run(tmp_path / "all")) == (Counter(), Counter())


def colliding_run(path, words):
    """Write a run whose words all have one hash, which an attacker can bring about."""
    table = pa.table(
        [np.full(len(words), 7, np.uint64), sorted(words), np.ones(len(words), np.int64)],
        schema=WORDS,
    )
    ids = np.arange(len(words), dtype=np.uint64)
    pairs = [ids << np.uint64(32) | ids[::-1], np.ones(len(words), np.int64)]
    write_run(Run(path), [table], [pa.table(pairs, schema=PAIRS)])
    return Run(path)


@given(st.lists(st.sets(st.sampled_from("abcdefghijk"), min_size=1), min_size=1, max_size=4))
def test_words_of_one_hash_stay_apart(tmp_path_factory, sets):
    folder = tmp_path_factory.mktemp("collisions")
    runs = [colliding_run(folder / str(n), words) for n, words in enumerate(sets)]
    merge_runs(runs, Run(folder / "all"), 0)
    assert counts_of(Run(folder / "all")) == counts_of(*runs)


def test_words_of_one_hash_that_fill_more_than_a_group_stay_apart(tmp_path):
    words = [f"w{n:05}" for n in range(20_000)]
    runs = [colliding_run(tmp_path / "a", words), colliding_run(tmp_path / "b", words[::3])]
    merge_runs(runs, Run(tmp_path / "all"), 1 << 28)
    assert counts_of(Run(tmp_path / "all")) == counts_of(*runs)


def test_groups_hold_what_fits():
    assert ngram_merge._groups([5, 1, 1, 9, 1], 7) == [[0, 1, 2], [3], [4]]


@pytest.fixture
def few_open_files():
    """What macOS lets a process have, about."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_runs_than_files_may_be_open(tmp_path, few_open_files):
    runs = [colliding_run(tmp_path / str(n), {"a", f"b{n}"}) for n in range(120)]
    merge_runs(runs, Run(tmp_path / "all"), 1 << 28)
    assert counts_of(Run(tmp_path / "all")) == counts_of(*runs)


def test_a_system_that_allows_too_few_files_is_said(tmp_path, monkeypatch):
    runs = [colliding_run(tmp_path / "0", {"a"})]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 100))
    with pytest.raises(CurateError, match=r"takes 130 open files, and the system allows 100"):
        merge_runs(runs, Run(tmp_path / "all"), 0)
