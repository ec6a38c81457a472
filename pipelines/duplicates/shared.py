"""Keys of rows over any number of files in, which keys stand in more than one file out.

Of such a key the first file is the owner; each later one borrows it from there.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import equal_neighbours, string_keys
from curate.files.disk_space import told_when_full
from curate.pipelines.duplicates.keys import KeyFiles, ReadKeys, write_keys
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.views.progress import progress

__all__ = ["SHARE", "Shared", "find_shared", "image_keys"]

_BATCH_ROWS = 1 << 16
_SORTED_TOGETHER = 1 << 22  # shares, so that the sorted file is swept few times
# Of a file, another one that it shares a key with: it lends it to that one, or borrows it.
SHARE = np.dtype([("file", "<u4"), ("other", "<u4"), ("high", "<u8"), ("low", "<u4"),
                  ("lends", "?")])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shared:
    """Keys that files share, on the disk.

    Attributes:
        lent: of each file, keys that it lends, once for each borrower; shape (num_files,).
        borrowed: of each file, keys that it borrows; shape (num_files,).
    """

    lent: NDArray[np.int64]
    borrowed: NDArray[np.int64]
    _path: Path
    _starts: NDArray[np.int64]

    def of(self, file: int) -> NDArray[np.void]:
        """Return what a file lends and borrows, of type SHARE, in the order of the partitions."""
        first, stop = self._starts[file : file + 2].tolist()
        return np.fromfile(self._path, SHARE, stop - first, offset=first * SHARE.itemsize)


def find_shared(
    paths: list[str], folder: str, read_keys: ReadKeys, borrowers: Collection[int], *,
    workers: int = 1, quiet: bool = True,
) -> Shared:  # fmt: skip
    """Find the keys that stand in more than one of some stamped Parquet files.

    Args:
        paths: of the files, in the order that decides which is the owner.
        folder: local, for the keys; emptied by the caller.
        read_keys: gives a key for each row of a file, or for fewer.
        borrowers: numbers of the files that it matters for what they borrow.
        workers: threads.
        quiet: no progress.

    Raises:
        DiskSpaceError: the keys do not fit on the disk.
    """
    keys = write_keys(paths, folder, read_keys, by_file=True, workers=workers, quiet=quiet)
    wanted = np.zeros(len(paths), bool)
    wanted[list(borrowers)] = True
    lent, borrowed = np.zeros((2, len(paths)), np.int64)
    with told_when_full(folder):
        results = run_parts(
            _find_shares, keys.partitions, workers=workers, setup=lambda: (keys, wanted),
            arguments=(), threads=True,
        )  # fmt: skip
        num = len(keys.partitions)
        for num_lent, num_borrowed in progress(
            results, total=num, label="shared", unit="part", quiet=quiet
        ):
            lent += num_lent
            borrowed += num_borrowed
        starts = np.concatenate([[0], np.cumsum(lent + borrowed)]).astype(np.int64)
        path = Path(folder) / "sorted.shared"
        _sort(keys, path, starts)
    return Shared(lent, borrowed, path, starts)


def image_keys(file: pq.ParquetFile) -> Iterator[NDArray[np.void]]:
    """Yield the keys of the ids of images in a file of pairs, of those that are not null."""
    for batch in file.iter_batches(_BATCH_ROWS, columns=["image_id"]):
        yield string_keys(batch.column("image_id").drop_null())


def _path(folder: str, partition: int) -> Path:
    return Path(folder) / f"{partition:05d}.shared"


def _find_shares(
    job: tuple[KeyFiles, NDArray[np.bool_]], partition: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write the shares of a partition; return how many of each file are lent, and borrowed."""
    keys, wanted = job
    rows, _ = keys.partition(partition)
    owner, borrower = _pairs_of_files(rows)
    matters = wanted[rows["row"][borrower]]
    owner, borrower = owner[matters], borrower[matters]
    shares = np.empty(2 * len(owner), SHARE)
    for half, mine, others in ((shares[: len(owner)], owner, borrower),
                               (shares[len(owner) :], borrower, owner)):  # fmt: skip
        half["file"], half["other"] = rows["row"][mine], rows["row"][others]
        half["high"], half["low"] = rows["high"][mine], rows["low"][mine]
        half["lends"] = mine is owner
    shares.tofile(_path(keys.folder, partition))
    lent, borrowed = (np.bincount(rows["row"][mine], minlength=len(wanted))
                      for mine in (owner, borrower))  # fmt: skip
    return lent, borrowed


def _sort(keys: KeyFiles, path: Path, starts: NDArray[np.int64]) -> None:
    """Write the shares of all partitions into one file, sorted by file; theirs go."""
    with path.open("wb") as file:
        file.truncate(int(starts[-1]) * SHARE.itemsize)
    free = starts[:-1].copy()  # where the next share of each file has its place
    pending, num = [np.empty(0, SHARE)], 0
    for partition in keys.partitions:
        one = _path(keys.folder, partition)
        pending.append(np.fromfile(one, SHARE))
        one.unlink()
        num += len(pending[-1])
        if num and (num >= _SORTED_TOGETHER or partition == keys.partitions[-1]):
            shares = np.concatenate(pending)
            shares = shares[np.argsort(shares["file"], kind="stable")]
            files, first, counts = np.unique(shares["file"], return_index=True, return_counts=True)
            places = np.repeat(free[files] - first, counts) + np.arange(num)
            np.memmap(path, SHARE, "r+")[places] = shares
            free[files] += counts
            pending, num = [np.empty(0, SHARE)], 0


def _pairs_of_files(rows: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, of each key and each file but its first that has it, a row of both files.

    Args:
        rows: high, low, and row, which is the file; in the order of the files.

    Returns:
        Places of the rows of the owners and of the borrowers; shape (num,) each.

    >>> kind = [("high", "<u8"), ("low", "<u4"), ("row", "<u4")]
    >>> rows = [(1, 1, 0), (2, 1, 0), (1, 1, 0), (1, 1, 1), (1, 1, 1), (2, 2, 1), (1, 1, 2)]
    >>> [places.tolist() for places in _pairs_of_files(np.array(rows, kind))]
    [[0, 0], [3, 6]]
    """
    order, same = equal_neighbours(rows)
    if not len(order):
        return order, order
    begins = np.flatnonzero(np.concatenate([[True], ~same]))
    owner = np.repeat(order[begins], np.diff(np.append(begins, len(order))))
    file = rows["row"][order]
    comes_again = np.concatenate([[False], same & (file[1:] == file[:-1])])
    takes = np.flatnonzero((file != rows["row"][owner]) & ~comes_again)
    return owner[takes], order[takes]
