"""Numbers of the index on disk: arrays in files, read by pieces, so that memory does not grow.

A file is written once, beside its name, and never changed. It is read with `pread` and not mapped:
what was read does not count as this process's memory, and a file that is cut short is an error and
no signal.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from curate.errors import ArtifactError

__all__ = ["Column", "DamagedIndexError", "append_to", "smallest_kind"]


class DamagedIndexError(ArtifactError):
    """A file of the index is not what was written, so that it has to be made anew."""


def smallest_kind(largest: int) -> str:
    """Return the name of the kind of number that holds values up to one, for counts and numbers.

    >>> smallest_kind(7), smallest_kind(2**32)
    ('uint32', 'uint64')
    """
    return "uint32" if largest < 1 << 32 else "uint64"


class Column:
    """An array in a file, which is closed with the last who looks at it.

    Args:
        path: of the file.
        kind: of its numbers.

    Raises:
        DamagedIndexError: there is no such file.
    """

    def __init__(self, path: Path, kind: DTypeLike) -> None:
        self.kind = np.dtype(kind)
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DamagedIndexError(f"{path}: the index for browsing is not whole") from error
        self._close = weakref.finalize(self, os.close, self._file)
        self._size = os.fstat(self._file).st_size // self.kind.itemsize

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        """Close the file."""
        self._file = -1
        self._close()

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the values from one place up to another.

        Raises:
            DamagedIndexError: the file is shorter than it was.
        """
        size = self.kind.itemsize
        wanted, at = max(0, stop - start) * size, start * size
        pieces = []
        while wanted:
            piece = os.pread(self._file, wanted, at)
            if not piece:
                raise DamagedIndexError(f"{self._path}: the index for browsing was cut short")
            pieces.append(piece)
            wanted, at = wanted - len(piece), at + len(piece)
        return np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), self.kind)

    def at(self, place: int) -> int:
        """Return one value."""
        return int(self.read(place, place + 1)[0])


class _Appender:
    """Takes arrays of one kind, one after the other."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.num_bytes = 0

    def add(self, values: NDArray[Any] | bytes) -> None:
        data = values if isinstance(values, bytes) else np.ascontiguousarray(values).data
        self._file.write(data)
        self.num_bytes += len(values) if isinstance(values, bytes) else values.nbytes


@contextmanager
def append_to(path: Path) -> Iterator[_Appender]:
    """Open a file of the index for writing."""
    with path.open("wb", buffering=1 << 20) as file:
        yield _Appender(file)
