"""Keys of rows over any number of files in, which rows of which file come again out.

The keys of all rows are written to the disk (16 bytes a row) in runs of about a million, which many
small files share, each sorted by partition: the first bits of the key. Then each partition is read
from all runs, in their order, and the rows whose key has stood before are marked in a file of one
byte a row. Memory holds one run or partition per worker. The first in the order of files and rows
stays, whatever the number of workers or partitions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import later_rows
from curate.files.disk_space import require_space, told_when_full
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["Duplicates", "ReadKeys", "find_later_rows"]

ROWS_PER_PARTITION = 1 << 20
_ROWS_PER_RUN = 1 << 20
_MAX_BITS = 16  # of the number of partitions
_ROW = np.dtype([("high", "<u8"), ("low", "<u4"), ("row", "<u4")])

# Yields the keys of a file's rows, of type KEY, in the order of the rows.
ReadKeys = Callable[[pq.ParquetFile], Iterator[NDArray[np.void]]]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows that come again, on the disk.

    Attributes:
        path: of a file with a byte for each row of all files, 1 if it comes again.
        starts: where the rows of each file begin among all, and where the last ones end.
    """

    path: Path
    starts: NDArray[np.int64]

    def rows(self, file: int) -> NDArray[np.int64]:
        """Return the rows of a file whose pair has stood before, in ascending order."""
        return np.flatnonzero(self.marks(file))

    def marks(self, file: int) -> NDArray[np.uint8]:
        """Return 1 for each row of a file whose key has stood before, 0 for the others."""
        first, stop = self.starts[file : file + 2].tolist()
        return np.fromfile(self.path, np.uint8, stop - first, offset=first)


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring rows: of them all the first, where its keys are, and partitions in these."""

    first: int
    at: int
    starts: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What all workers have to know; each group of files is written by one of them."""

    paths: list[str]
    folder: str
    read_keys: ReadKeys
    bits: int
    groups: list[range]
    runs: list[list[_Run]]
    found: Duplicates


def find_later_rows(
    paths: list[str], folder: str, read_keys: ReadKeys, *, workers: int = 1, quiet: bool = True
) -> Duplicates:
    """Find the rows of stamped Parquet files whose key has stood before.

    Args:
        paths: in the order that decides which of them is the first.
        folder: local, for the keys; emptied by the caller.
        read_keys: gives a key for each row of a file, or for fewer, which are then numbered.
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
    found = Duplicates(Path(folder, "later"), starts)
    with found.path.open("wb") as file:
        file.truncate(total)
    groups = _groups(starts)
    job = _Job(
        paths=paths, folder=folder, read_keys=read_keys, groups=groups, runs=[[] for _ in groups],
        bits=min(_MAX_BITS, (max(0, total - 1) // ROWS_PER_PARTITION).bit_length()), found=found,
    )  # fmt: skip
    with told_when_full(folder):
        for function, num, label in (
            (_write_keys, len(groups), "keys"), (_find_later, 1 << job.bits, "duplicates"),
        ):  # fmt: skip
            results = run_parts(
                function, range(num), workers=workers, setup=lambda: job, arguments=(),
                threads=True,
            )  # fmt: skip
            for _ in progress(results, total=num, label=label, unit="part", quiet=quiet):
                pass
    return found


def _groups(starts: NDArray[np.int64]) -> list[range]:
    """Return neighbouring files in groups of about a run's rows, or of one file.

    >>> _groups(np.array([0, 2, 5]))
    [range(0, 2)]
    """
    groups, first, last = [], 0, len(starts) - 1
    while first < last:
        stop = int(np.searchsorted(starts, starts[first] + _ROWS_PER_RUN, "right")) - 1
        stop = max(first + 1, min(stop, last))
        groups.append(range(first, stop))
        first = stop
    return groups


def _keys_path(job: _Job, group: int) -> Path:
    return Path(job.folder) / f"{group:05d}.keys"


def _write_keys(job: _Job, group: int) -> None:
    """Write the keys of a group's files in runs, each sorted by partition."""
    shift = np.uint64(64 - job.bits) if job.bits else None
    first, at = int(job.found.starts[job.groups[group].start]), 0
    with _keys_path(job, group).open("wb") as out:
        for rows in _runs(job, group):
            partition = np.zeros(len(rows), np.uint64)
            if shift is not None:
                partition = rows["high"] >> shift
            order = np.argsort(partition.astype(np.uint16), kind="stable")
            starts = np.searchsorted(partition[order], np.arange((1 << job.bits) + 1))
            out.write(rows[order].tobytes())
            job.runs[group].append(_Run(first, at, starts.astype(np.uint32)))
            first, at = first + len(rows), at + len(rows)


def _runs(job: _Job, group: int) -> Iterator[NDArray[np.void]]:
    """Yield the keys of a group's files, about _ROWS_PER_RUN at once, numbered within each."""
    pending: list[NDArray[np.void]] = []
    num = 0
    for keys in _keys(job, group):
        rows = np.empty(len(keys), _ROW)
        rows["high"], rows["low"] = keys["high"], keys["low"]
        rows["row"] = np.arange(num, num + len(keys), dtype=np.uint32)
        num += len(keys)
        pending.append(rows)
        if num >= _ROWS_PER_RUN:
            yield np.concatenate(pending)
            pending, num = [], 0
    if pending:
        yield np.concatenate(pending)


def _keys(job: _Job, group: int) -> Iterator[NDArray[np.void]]:
    for file in job.groups[group]:
        with artifacts.open_parquet(job.paths[file]) as source:
            yield from job.read_keys(source)


def _find_later(job: _Job, partition: int) -> None:
    """Read a partition of all runs and mark the rows whose key has stood before."""
    pieces: list[NDArray[np.void]] = []
    firsts: list[int] = []
    for group, runs in enumerate(job.runs):
        with _keys_path(job, group).open("rb") as file:
            for run in runs:
                start, stop = run.starts[partition : partition + 2].tolist()
                file.seek((run.at + start) * _ROW.itemsize)
                pieces.append(np.fromfile(file, _ROW, stop - start))
                firsts.append(run.first)
    if not pieces:
        return
    rows = np.concatenate(pieces)
    later = later_rows(rows)
    if len(later):
        first_of = np.repeat(firsts, [len(piece) for piece in pieces])
        marks = np.memmap(job.found.path, np.uint8, "r+")
        marks[first_of[later] + rows["row"][later]] = 1
