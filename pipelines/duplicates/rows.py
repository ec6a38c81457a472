"""Keys of rows over any number of files in, which rows of which file come again out.

The rows whose key has stood before are marked in a file of one byte a row. The first in the order
of files and rows stays, whatever the number of workers or partitions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import later_rows
from curate.files.disk_space import told_when_full
from curate.pipelines.duplicates.keys import KeyFiles, ReadKeys, write_keys
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.views.progress import progress

__all__ = ["Duplicates", "find_later_rows"]


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
    keys = write_keys(paths, folder, read_keys, workers=workers, quiet=quiet)
    found = Duplicates(Path(folder, "later"), keys.starts)
    with told_when_full(folder):
        with found.path.open("wb") as file:
            file.truncate(int(keys.starts[-1]))
        results = run_parts(
            _find_later, keys.partitions, workers=workers, setup=lambda: (keys, found),
            arguments=(), threads=True,
        )  # fmt: skip
        num = len(keys.partitions)
        for _ in progress(results, total=num, label="duplicates", unit="part", quiet=quiet):
            pass
    return found


def _find_later(job: tuple[KeyFiles, Duplicates], partition: int) -> None:
    """Mark the rows of a partition whose key has stood before."""
    keys, found = job
    rows, first_of = keys.partition(partition)
    later = later_rows(rows)
    if len(later):
        marks = np.memmap(found.path, np.uint8, "r+")
        marks[first_of[later] + rows["row"][later]] = 1
