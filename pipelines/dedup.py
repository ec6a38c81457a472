"""Duplicates over any number of files, in bounded memory: which rows of which file come again.

Every file's keys are cut by their first bits into partitions and written to the disk (16 bytes a
row); then each partition is read from all files, in their order, and the rows whose key has stood
before are written down. Memory holds one partition per worker, and the disk a few bytes a row. The
first in the order of files and rows stays, whatever the number of workers or partitions.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.duplicates import duplicate_keys, later_rows
from metadata.errors import UsageError
from pipelines import artifacts
from pipelines.disk_space import require_space, told_when_full
from pipelines.executor import run_parts
from pipelines.progress import progress

__all__ = ["MODES", "Duplicates", "find_duplicates"]

MODES = {"pair": "duplicate_pair", "near": "near_duplicate", "url": "duplicate_url"}

ROWS_PER_PARTITION = 1 << 20
_ROWS_PER_RUN = 1 << 20
_BATCH_ROWS = 1 << 16
_MAX_BITS = 16  # of the number of partitions
_ROW = np.dtype([("high", "<u8"), ("low", "<u4"), ("row", "<u4")])


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows that come again, on the disk: one file a partition, sorted by file and row."""

    folder: str
    num_partitions: int

    def rows(self, file: int) -> NDArray[np.int64]:
        """Return the rows of a file whose pair has stood before, in ascending order."""
        found = []
        for partition in range(self.num_partitions):
            starts = np.load(_path(self.folder, partition, "starts.npy"), mmap_mode="r")
            rows = np.load(_path(self.folder, partition, "later.npy"), mmap_mode="r")
            found.append(rows[starts[file] : starts[file + 1]].astype(np.int64))
        return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What all workers have to know; `lock` is for the lists of runs, which grow."""

    paths: list[str]
    folder: str
    mode: str
    bits: int
    runs: list[list[NDArray[np.int64]]]
    lock: threading.Lock


def find_duplicates(
    paths: list[str], folder: str, mode: str, *, workers: int = 1, quiet: bool = True
) -> Duplicates:
    """Find the rows of stamped Parquet files whose pair has stood before.

    Args:
        paths: in the order that decides which of them is the first; with columns `url` and `text`.
        folder: local, for the keys; emptied by the caller.
        mode: one of MODES.
        workers: threads.
        quiet: no progress.

    Raises:
        DiskSpaceError: the keys do not fit on the disk.
        UsageError: there is no such mode.
    """
    if mode not in MODES:
        raise UsageError(f"--dedup is {mode!r}; expected one of {', '.join(MODES)}, none")
    num_rows = 0
    for path in paths:
        with artifacts.open_parquet(path) as file:
            num_rows += file.metadata.num_rows
    require_space([(folder, 24 * num_rows)], "Duplicates are looked for on the disk.")
    Path(folder).mkdir(parents=True, exist_ok=True)
    job = _Job(
        paths=paths, folder=folder, mode=mode, runs=[[] for _ in paths], lock=threading.Lock(),
        bits=min(_MAX_BITS, (max(0, num_rows - 1) // ROWS_PER_PARTITION).bit_length()),
    )  # fmt: skip
    with told_when_full(folder):
        for function, num, label in (
            (_write_keys, len(paths), "keys"), (_find_later, 1 << job.bits, "duplicates"),
        ):  # fmt: skip
            results = run_parts(
                function, range(num), workers=workers, setup=lambda: job, arguments=(),
                threads=True,
            )  # fmt: skip
            for _ in progress(results, total=num, label=label, unit="part", quiet=quiet):
                pass
    return Duplicates(folder, 1 << job.bits)


def _path(folder: str, number: int, suffix: str) -> Path:
    return Path(folder) / f"{number:05d}.{suffix}"


def _write_keys(job: _Job, file: int) -> None:
    """Write a file's keys in runs, each sorted by partition; note where partitions begin."""
    shift = np.uint64(64 - job.bits) if job.bits else None
    with _path(job.folder, file, "keys").open("wb") as out:
        for rows in _runs(job, file):
            partition = np.zeros(len(rows), np.uint64)
            if shift is not None:
                partition = rows["high"] >> shift
            order = np.argsort(partition.astype(np.uint16), kind="stable")
            starts = np.searchsorted(partition[order], np.arange((1 << job.bits) + 1))
            at = out.tell() // _ROW.itemsize
            out.write(rows[order].tobytes())
            with job.lock:
                job.runs[file].append(at + starts.astype(np.int64))


def _runs(job: _Job, file: int) -> Iterator[NDArray[np.void]]:
    """Yield a file's keys and row numbers, up to _ROWS_PER_RUN at once."""
    first, pending, num_pending = 0, [], 0
    with artifacts.open_parquet(job.paths[file]) as source:
        for batch in source.iter_batches(_BATCH_ROWS, columns=["url", "text"]):
            urls, texts = (_plain(batch.column(name)) for name in ("url", "text"))
            keys = duplicate_keys(urls, texts, job.mode)
            rows = np.empty(len(keys), _ROW)
            rows["high"], rows["low"] = keys["high"], keys["low"]
            rows["row"] = np.arange(first, first + len(keys), dtype=np.uint32)
            first, num_pending = first + len(keys), num_pending + len(keys)
            pending.append(rows)
            if num_pending >= _ROWS_PER_RUN:
                yield np.concatenate(pending)
                pending, num_pending = [], 0
    if pending:
        yield np.concatenate(pending)


def _plain(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def _find_later(job: _Job, partition: int) -> None:
    """Read a partition of all files and write down the rows whose key has stood before."""
    pieces: list[NDArray[np.void]] = []
    files = np.zeros(len(job.runs), np.int64)
    for file, runs in enumerate(job.runs):
        if not runs:
            continue
        keys = np.memmap(_path(job.folder, file, "keys"), _ROW, mode="r")
        for starts in runs:
            piece = np.array(keys[starts[partition] : starts[partition + 1]])
            pieces.append(piece)
            files[file] += len(piece)
    rows = np.concatenate(pieces) if pieces else np.zeros(0, _ROW)
    later = later_rows(rows)
    file_of = np.repeat(np.arange(len(files)), files)[later]
    np.save(_path(job.folder, partition, "starts.npy"),
            np.searchsorted(file_of, np.arange(len(files) + 1)))  # fmt: skip
    np.save(_path(job.folder, partition, "later.npy"), rows["row"][later])
