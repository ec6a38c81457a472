"""Keys of the rows of any number of files in; a partition of them at a time, in their order, out.

Keys are written to the disk (16 bytes a row) in runs of about a million, which many small files
share, each sorted by partition: the first bits of the key. A partition is then read from all runs,
so that memory holds one run or partition per worker.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.files import storage
from curate.files.disk_space import require_space, told_when_full
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["KEYS", "KeyFiles", "ReadKeys", "key_folder", "write_keys"]

KEYS = "keys"  # folder of what is compared, gone at the end
ROWS_PER_PARTITION = 1 << 20
ROWS_PER_RUN = 1 << 20
_MAX_BITS = 16  # of the number of partitions
_ROW = np.dtype([("high", "<u8"), ("low", "<u4"), ("row", "<u4")])

# Yields the keys of a file's rows, of type KEY, in the order of the rows.
ReadKeys = Callable[[pq.ParquetFile], Iterator[NDArray[np.void]]]


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring rows: of them all the first, where its keys are, and partitions in these."""

    first: int
    at: int
    starts: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFiles:
    """Keys on the disk; each group of files is written by one worker.

    Attributes:
        paths: of the files that the rows are in.
        folder: of the keys.
        starts: where the rows of each file begin among all, and where the last ones end.
        bits: of a key that say its partition.
    """

    paths: list[str]
    folder: str
    starts: NDArray[np.int64]
    bits: int
    _read_keys: ReadKeys
    _by_file: bool
    _groups: list[range]
    _runs: list[list[_Run]]

    @property
    def partitions(self) -> range:
        """Their numbers."""
        return range(1 << self.bits)

    def partition(self, number: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Return the keys of a partition in the order of files and rows.

        Returns:
            (high, low, row), shape (num,): row is that in the run, or with `by_file` the number of
            the file; and the first row of each one's run among all rows, shape (num,).
        """
        pieces: list[NDArray[np.void]] = [np.empty(0, _ROW)]
        firsts: list[int] = [0]
        for group, runs in enumerate(self._runs):
            with self._path(group).open("rb") as file:
                for run in runs:
                    start, stop = run.starts[number : number + 2].tolist()
                    file.seek((run.at + start) * _ROW.itemsize)
                    pieces.append(np.fromfile(file, _ROW, stop - start))
                    firsts.append(run.first)
        return np.concatenate(pieces), np.repeat(firsts, [len(piece) for piece in pieces])

    def _path(self, group: int) -> Path:
        return Path(self.folder) / f"{group:05d}.keys"

    def _write(self, group: int) -> None:
        """Write the keys of a group's files in runs, each sorted by partition."""
        shift = np.uint64(64 - self.bits) if self.bits else None
        first, at = int(self.starts[self._groups[group].start]), 0
        with self._path(group).open("wb") as out:
            for rows in self._runs_of(group):
                partition = np.zeros(len(rows), np.uint64)
                if shift is not None:
                    partition = rows["high"] >> shift
                order = np.argsort(partition.astype(np.uint16), kind="stable")
                starts = np.searchsorted(partition[order], np.arange((1 << self.bits) + 1))
                out.write(rows[order].tobytes())
                self._runs[group].append(_Run(first, at, starts.astype(np.uint32)))
                first, at = first + len(rows), at + len(rows)

    def _runs_of(self, group: int) -> Iterator[NDArray[np.void]]:
        """Yield the keys of a group's files, about ROWS_PER_RUN at once, numbered within each."""
        pending: list[NDArray[np.void]] = []
        num = 0
        for file, keys in self._keys(group):
            rows = np.empty(len(keys), _ROW)
            rows["high"], rows["low"] = keys["high"], keys["low"]
            rows["row"] = file if self._by_file else np.arange(num, num + len(keys))
            num += len(keys)
            pending.append(rows)
            if num >= ROWS_PER_RUN:
                yield np.concatenate(pending)
                pending, num = [], 0
        if pending:
            yield np.concatenate(pending)

    def _keys(self, group: int) -> Iterator[tuple[int, NDArray[np.void]]]:
        for file in self._groups[group]:
            with artifacts.open_parquet(self.paths[file]) as source:
                for keys in self._read_keys(source):
                    yield file, keys


@contextmanager
def key_folder(output: str) -> Iterator[str]:
    """Give a local folder for keys, inside the output if that is local; remove it afterwards."""
    if not storage.is_local(output):
        with tempfile.TemporaryDirectory(prefix="curate-") as folder:
            yield folder
        return
    folder = storage.join(storage.local_path(output), KEYS)
    storage.remove(folder)  # what a killed run left
    yield folder
    storage.remove(folder)


def write_keys(
    paths: list[str], folder: str, read_keys: ReadKeys, *, by_file: bool = False, workers: int = 1,
    quiet: bool = True,
) -> KeyFiles:  # fmt: skip
    """Write the keys of all rows of stamped Parquet files.

    Args:
        paths: of the files, in an order that partitions keep.
        folder: local; emptied by the caller.
        read_keys: gives a key for each row of a file, or for fewer, which are then numbered.
        by_file: number them by their files instead.
        workers: threads.
        quiet: no progress.

    Raises:
        DiskSpaceError: the keys do not fit on the disk.
    """
    num_rows = []
    for path in paths:
        with artifacts.open_parquet(path) as file:
            num_rows.append(file.metadata.num_rows)
    starts = np.concatenate([[0], np.cumsum(num_rows)]).astype(np.int64)
    total = int(starts[-1])
    require_space([(folder, 24 * total)], "Duplicates are looked for on the disk.")
    Path(folder).mkdir(parents=True, exist_ok=True)
    groups = _file_groups(starts)
    keys = KeyFiles(
        paths=paths, folder=folder, starts=starts, _read_keys=read_keys, _by_file=by_file,
        _groups=groups, _runs=[[] for _ in groups],
        bits=min(_MAX_BITS, (max(0, total - 1) // ROWS_PER_PARTITION).bit_length()),
    )  # fmt: skip
    with told_when_full(folder):
        results = run_parts(
            KeyFiles._write, range(len(groups)), workers=workers, setup=lambda: keys, arguments=(),
            threads=True,
        )  # fmt: skip
        for _ in progress(results, total=len(groups), label="keys", unit="part", quiet=quiet):
            pass
    return keys


def _file_groups(starts: NDArray[np.int64]) -> list[range]:
    """Return neighbouring files in groups of about a run's rows, or of one file.

    >>> _file_groups(np.array([0, 2, 5]))
    [range(0, 2)]
    """
    groups, first, last = [], 0, len(starts) - 1
    while first < last:
        stop = int(np.searchsorted(starts, starts[first] + ROWS_PER_RUN, "right")) - 1
        stop = max(first + 1, min(stop, last))
        groups.append(range(first, stop))
        first = stop
    return groups
