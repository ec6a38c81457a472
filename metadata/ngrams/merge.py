"""Runs of counts in, one run out, in bounded memory.

First the words of all runs are merged, which gives each run the new ids of its old ones, in the
same order. Then the pairs are merged with their ids replaced. What comes out depends neither on
how the corpus was cut into runs nor on the memory.
"""

import resource
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import CurateError
from curate.metadata.ngrams.runs import (
    PAIRS,
    WORDS,
    Run,
    column,
    num_rows,
    read_groups,
    run_writer,
    word_order,
)

__all__ = ["merge_runs"]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ID = np.uint32
# Besides those of the merge.
_OTHER_FILES = 128

Ids = NDArray[np.uint32]


class _Cursor:
    """Where in a run the merge is: rows that are read and not yet taken."""

    def __init__(self, chunks: Iterator[tuple[NDArray[np.uint64], Any]]) -> None:
        self._chunks = chunks
        self.keys: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._rows: Any = None
        self.fill()

    def fill(self) -> bool:
        """Read on if all is taken; return whether there is anything."""
        while not len(self.keys):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self.keys, self._rows = chunk
        return True

    def take(self, bound: np.uint64) -> Iterator[tuple[NDArray[np.uint64], Any]]:
        """Take the rows up to a key; more than one chunk if rows of the key go on."""
        while len(self.keys) and self.keys[0] <= bound:
            num = int(np.searchsorted(self.keys, bound, "right"))
            yield self.keys[:num], self._rows[:num]
            self.keys, self._rows = self.keys[num:], self._rows[num:]
            self.fill()


Taken = list[tuple[int, NDArray[np.uint64], Any]]


def _aligned(cursors: Sequence[_Cursor]) -> Iterator[Taken]:
    """Yield what all cursors have up to a key, with the cursors' numbers; then up to the next."""
    live = [(index, cursor) for index, cursor in enumerate(cursors) if len(cursor.keys)]
    while live:
        bound = min(cursor.keys[-1] for _, cursor in live)
        yield [(index, *taken) for index, cursor in live for taken in cursor.take(bound)]
        live = [(index, cursor) for index, cursor in live if len(cursor.keys)]


def merge_runs(runs: Sequence[Run], target: Run, memory_bytes: int) -> None:
    """Add up runs.

    Args:
        runs: any number, in any order.
        target: the files to write; other files beside them come and go.
        memory_bytes: what the merge may take.

    Raises:
        CurateError: the system does not let so many files be open.
    """
    _allow_files(2 * len(runs) + _OTHER_FILES)
    id_files = [target.path.with_name(f"{target.path.name}.{n}.ids") for n in range(len(runs))]
    _merge_words(runs, target, id_files)
    groups = _groups([file.stat().st_size for file in id_files], memory_bytes // 4)
    if len(groups) == 1:
        _merge_pairs([_translated(r, f) for r, f in zip(runs, id_files, strict=True)], target.pairs)
    else:
        merged = []
        for number, group in enumerate(groups):
            merged.append(target.path.with_name(f"{target.path.name}.{number}.group"))
            _merge_pairs([_translated(runs[i], id_files[i]) for i in group], merged[-1])
        _merge_pairs([_pairs(path) for path in merged], target.pairs)
        for path in merged:
            path.unlink()
    for file in id_files:
        file.unlink()


def _allow_files(num: int) -> None:
    """Raise this process's own limit of open files, which on macOS is 256, within the system's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= num:
        return
    if hard != resource.RLIM_INFINITY and hard < num:
        raise CurateError(
            f"adding up counts takes {num} open files, and the system allows {hard}. What is "
            f"counted is kept: allow more (ulimit -Hn {num}) and run the same command again."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (num, hard))


def _groups(sizes: Sequence[int], limit: int) -> list[list[int]]:
    """Cut positions into neighbours that together are not above a limit, or alone.

    >>> _groups([3, 3, 9, 1], 6)
    [[0, 1], [2], [3]]
    """
    groups: list[list[int]] = []
    total = 0
    for index, size in enumerate(sizes):
        if not groups or total + size > limit:
            groups.append([])
            total = 0
        groups[-1].append(index)
        total += size
    return groups or [[]]


def _merge_words(runs: Sequence[Run], target: Run, id_files: Sequence[Path]) -> None:
    cursors = [_Cursor(_words(run)) for run in runs]
    num_words = 0
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in id_files]
        writer = stack.enter_context(run_writer(target.words, WORDS))
        for taken in _aligned(cursors):
            table, ids = _sum_words([rows for _, _, rows in taken])
            writer.write(table)
            ids += _ID(num_words)
            num_words += table.num_rows
            at = 0
            for index, keys, _ in taken:
                ids[at : at + len(keys)].tofile(files[index])
                at += len(keys)


def _sum_words(tables: list[pa.Table]) -> tuple[pa.Table, Ids]:
    """Add up equal words; return them in order, and for each row of the tables which it became."""
    table = pa.concat_tables(tables).combine_chunks()
    order = word_order(table)
    table = table.take(order)
    words = table.column("word")
    is_first = np.ones(len(order), bool)
    is_first[1:] = pc.not_equal(words[1:], words[:-1]).to_numpy()
    ids = np.empty(len(order), _ID)
    ids[order] = np.cumsum(is_first, dtype=_ID) - _ID(1)
    starts = np.flatnonzero(is_first)
    counts = np.add.reduceat(column(table, "count"), starts)
    return table.take(starts).set_column(2, WORDS.field("count"), pa.array(counts)), ids


def _merge_pairs(chunks: Sequence[Iterator[tuple[NDArray[np.uint64], Any]]], path: Path) -> None:
    cursors = [_Cursor(of_run) for of_run in chunks]
    with run_writer(path, PAIRS) as writer:
        for taken in _aligned(cursors):
            keys = np.concatenate([keys for _, keys, _ in taken])
            counts = np.concatenate([counts for _, _, counts in taken])
            order = np.argsort(keys)
            keys = keys[order]
            starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
            sums = np.add.reduceat(counts[order], starts)
            writer.write(pa.table([keys[starts], sums], schema=PAIRS))


def _words(run: Run) -> Iterator[tuple[NDArray[np.uint64], Any]]:
    for table in read_groups(run.words):
        yield column(table, "hash"), table


def _pairs(path: Path) -> Iterator[tuple[NDArray[np.uint64], Any]]:
    for table in read_groups(path):
        yield column(table, "key"), column(table, "count")


def _translated(run: Run, id_file: Path) -> Iterator[tuple[NDArray[np.uint64], Any]]:
    """Yield the pairs of a run with new ids; old and new ascend together, so the order stays."""
    if not num_rows(run.pairs):
        return
    new_ids = np.fromfile(id_file, _ID)
    for keys, counts in _pairs(run.pairs):
        first = new_ids[keys >> _HALF].astype(np.uint64)
        yield first << _HALF | new_ids[keys & _LOW], counts
