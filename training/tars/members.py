"""A tar in, where each of its files lies out; and whether it is whole.

A tar on a disk is mapped into memory and scanned by compiled code; of one behind a URL every byte
passes by once, and what texts it has are kept while they do.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.files import storage
from curate.training.tars import kernels as k
from curate.training.tars.headers import BLOCK, BadTarError, read_header

__all__ = ["MappedTar", "Members", "TarBytes", "map_descriptor", "open_tar", "scan"]

_CHUNK = 1 << 20
_KEPT_IN_MEMORY = 64 << 20
_LONGEST_KEPT = 16 << 20  # bytes of a text; images are not kept
_KEPT_KINDS = (k.TEXT, k.JSON)


class TarBytes(Protocol):
    """Gives bytes of a tar by place."""

    size: int

    def read(self, at: int, num: int) -> bytes:
        """Return `num` bytes from a place on, fewer where the tar ends."""


class MappedTar:
    """The bytes of a tar that are mapped into memory."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self.data = data
        self.size = len(data)

    def read(self, at: int, num: int) -> bytes:
        """Return `num` bytes from a place on, fewer where the tar ends."""
        return bytes(self.data[at : at + num])


class _PassingTar:
    """The bytes of a tar that is read from its beginning to its end, once.

    What is a text by its name is kept, in memory and then in a file, so that it can be read again
    when it is known which sample it belongs to.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self.size = file, size
        self._kept = tempfile.SpooledTemporaryFile(_KEPT_IN_MEMORY)  # noqa: SIM115
        self._places: dict[int, int] = {}

    def read(self, at: int, num: int) -> bytes:
        if at in self._places:
            self._kept.seek(self._places[at])
            return self._kept.read(num)
        self._file.seek(at)
        return self._file.read(num)

    def keep(self, at: int, num: int) -> None:
        content = self.read(at, num)
        self._places[at] = self._kept.seek(0, os.SEEK_END)
        self._kept.write(content)

    def close(self) -> None:
        self._kept.close()


@dataclass(frozen=True, slots=True)
class Members:
    """The files of a tar.

    Attributes:
        table: int64, shape (num_members, FIELDS); its columns are those of `kernels`.
        names: names that do not stand in one header, by number of the member.
        problem: why the tar is not whole; None if it is.
    """

    table: NDArray[np.int64]
    names: dict[int, bytes]
    problem: BadTarError | None

    def name(self, source: TarBytes, number: int) -> bytes:
        """Return the name of a member, with its folders."""
        at, length = self.table[number, [k.NAME, k.NAME_LENGTH]].tolist()
        return self.names[number] if at < 0 else source.read(at, length)

    def key_and_suffix(self, source: TarBytes, number: int) -> tuple[bytes, str]:
        """Return a member's key, with its folders, and its suffix in lower case."""
        row = self.table[number]
        name = self.name(source, number)
        begin = int(row[k.KEY]) - max(int(row[k.NAME]), 0)
        key = name[begin : begin + int(row[k.KEY_LENGTH])]
        suffix = name[begin + len(key) + 1 :].decode("utf-8", "surrogateescape").lower()
        return key, suffix


def map_descriptor(descriptor: int) -> NDArray[np.uint8]:
    """Map a file into memory, to be read from its beginning to its end."""
    if not os.fstat(descriptor).st_size:
        return np.zeros(0, np.uint8)
    data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    data.madvise(mmap.MADV_SEQUENTIAL)
    return np.frombuffer(data, np.uint8)  # unmapped when nobody looks into it any more


@contextmanager
def open_tar(path: str) -> Iterator[TarBytes]:
    """Open a tar, local or behind a URL.

    Raises:
        InputError: there is no such file.
    """
    if storage.is_local(path):
        with storage.open_read(path) as file:
            yield MappedTar(map_descriptor(file.fileno()))
        return
    with storage.open_read(path) as file:
        size = file.seek(0, os.SEEK_END)
        source = _PassingTar(file, size)
        try:
            yield source
        finally:
            source.close()


def scan(source: TarBytes) -> Members:
    """Read the headers of a tar, also of several that stand one behind the other.

    A tar that is not whole gives the members before the damage.
    """
    scanning = _Scan(source)
    try:
        scanning.run()
    except BadTarError as error:
        return scanning.members(error)
    return scanning.members(None)


class _Scan:
    """A tar being read: the members so far, and where the next header is to be."""

    def __init__(self, source: TarBytes) -> None:
        self._source = source
        self._table = np.empty((1024, k.FIELDS), np.int64)
        self._names: dict[int, bytes] = {}
        self._num = self._at = 0
        self._common: dict[bytes, bytes] = {}

    def members(self, problem: BadTarError | None) -> Members:
        return Members(self._table[: self._num].copy(), self._names, problem)

    def run(self) -> None:
        source = self._source
        is_behind_end = False
        while True:
            if isinstance(source, MappedTar) and not self._common:
                self._num, self._at, why = k.scan_plain(
                    source.data, self._at, self._table, self._num
                )
                if why == k.FULL:
                    self._grow()
                    continue
            try:
                is_end = not self._next()
            except BadTarError as error:
                if is_behind_end:
                    raise BadTarError(
                        f"bytes behind the end of the archive, at {self._at}, are no tar: {error}"
                    ) from error
                raise
            is_behind_end = is_end
            if is_end:
                self._common = {}
                if (following := _not_zero(source, self._at)) < 0:
                    return
                self._at = following // BLOCK * BLOCK

    def _next(self) -> bool:
        """Add a member; tell whether there was one, and not the end of an archive."""
        source = self._source
        header = read_header(source.read, self._at, source.size, self._common)
        if header is None:
            return False
        self._at = header.after
        if header.is_file:
            if self._num == len(self._table):
                self._grow()
            member = self._table[self._num]
            member[: k.SIZE + 1] = (
                header.at, -1, len(header.name), header.content, header.size,
            )  # fmt: skip
            name = np.frombuffer(header.name, np.uint8)
            k.describe_name(name, 0, len(name), member)
            self._names[self._num] = header.name
            self._num += 1
            is_kept = member[k.KIND] in _KEPT_KINDS and 0 < header.size <= _LONGEST_KEPT
            if is_kept and isinstance(source, _PassingTar):
                source.keep(header.content, header.size)
        return True

    def _grow(self) -> None:
        more = np.empty((2 * len(self._table), k.FIELDS), np.int64)
        more[: self._num] = self._table[: self._num]
        self._table = more


def _not_zero(source: TarBytes, at: int) -> int:
    """Return the place of the next byte that is not zero, -1 without any."""
    if isinstance(source, MappedTar):
        return int(k.first_not_zero(source.data, at))
    while chunk := source.read(at, _CHUNK):
        rest = chunk.lstrip(b"\0")
        if rest:
            return at + len(chunk) - len(rest)
        at += len(chunk)
    return -1
