"""A crawl file in, its decoded bytes out in pieces: of a damaged one too, as far as they go.

A piece says where in the file it comes from, and whether a record must begin with it, as one does
at the beginning of a gzip member that begins with a record's first word.
"""

import io
import zlib
from collections.abc import Generator, Iterator
from typing import IO, Literal, NamedTuple

from fastwarc.stream_io import ZstdReader

from curate.pipelines.executor.faults import is_transient

__all__ = ["FIRST_WORD", "Packing", "Piece", "can_begin", "holds_one_each", "packing_of", "pieces"]

Packing = Literal["gzip", "zstd", "plain"]

FIRST_WORD = b"WARC/"
_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_MAGIC: dict[Packing, bytes] = {"gzip": _GZIP, "zstd": _ZSTD, "plain": FIRST_WORD}
_GZIP_BITS, _FLAGS_AT, _LAST_FLAGS = 31, 3, 0x1F
_CHUNK_BYTES = 1 << 16
_PIECE_BYTES = 1 << 20
_MAX_DAMAGES = 10_000  # per file, so that a file of nothing but false beginnings comes to an end


_Damage = tuple[str | None, int]


class Piece(NamedTuple):
    """Decoded bytes, or damage.

    Attributes:
        offset: in the file: of the gzip member; of the zstd frame, or one before it; in a plain
            file of the bytes.
        data: decoded.
        begins: a record begins with it, whatever the one before promised.
        damage: what is wrong with what would be here.
    """

    offset: int
    data: bytes
    begins: bool = False
    damage: str = ""


def packing_of(file: IO[bytes]) -> Packing:
    """Return how a file is packed, by its first bytes."""
    file.seek(0)
    head = file.read(4)
    return "gzip" if head.startswith(_GZIP[:2]) else "zstd" if head == _ZSTD else "plain"


def can_begin(file: IO[bytes], packing: Packing, offset: int) -> bool:
    """Tell whether a member, a frame or a record begins at an offset."""
    file.seek(offset)
    magic = _MAGIC[packing]
    return file.read(len(magic)) == magic


def holds_one_each(file: IO[bytes], packing: Packing) -> bool:
    """Tell whether each member of a file seems to hold one record, by the first member.

    Of a zstd file it is not known before it is read.
    """
    if packing != "gzip":
        return packing == "zstd"
    file.seek(0)
    member = zlib.decompressobj(_GZIP_BITS)
    try:
        data = member.decompress(file.read(_PIECE_BYTES), _PIECE_BYTES)
    except zlib.error:
        return False
    return member.eof and data.count(b"\n" + FIRST_WORD) == 0


def pieces(file: IO[bytes], packing: Packing, start: int) -> Iterator[Piece]:
    """Yield what a file holds from `start` on, where something begins."""
    return {"gzip": _gzip, "zstd": _zstd, "plain": _plain}[packing](file, start)


def _plain(file: IO[bytes], start: int) -> Iterator[Piece]:
    file.seek(start)
    while data := file.read(_CHUNK_BYTES):
        yield Piece(start, data)
        start += len(data)


class _Source:
    """Compressed bytes that wait, and where in the file they stand."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        self._file = file
        self.position = start
        self.waiting = b""
        file.seek(start)

    def has_more(self) -> bool:
        """Read on if nothing waits; tell whether something does now."""
        self.waiting = self.waiting or self._file.read(_CHUNK_BYTES)
        return bool(self.waiting)

    def keep(self, rest: bytes) -> None:
        """Take all but the rest for read."""
        self.position += len(self.waiting) - len(rest)
        self.waiting = rest

    def skip_zeros(self) -> bool:
        """Pass over bytes of 0, with which some writers fill files up; tell whether more comes."""
        while self.has_more():
            self.keep(self.waiting.lstrip(b"\0"))
            if self.waiting:
                return True
        return False

    def find(self, magic: bytes, start: int) -> bool:
        """Go to the next place from `start` on where a member or frame can begin."""
        self._file.seek(start)
        self.position, self.waiting = start, b""
        while chunk := self._file.read(_CHUNK_BYTES):
            window = self.waiting + chunk
            found = window.find(magic)
            while found >= 0 and magic == _GZIP and not _has_flags(window, found):
                found = window.find(magic, found + 1)
            rest = window[found:] if found >= 0 else window[1 - len(magic) :]
            self.position += len(window) - len(rest)
            self.waiting = rest
            if found >= 0:
                return True
        return False


def _has_flags(window: bytes, at: int) -> bool:
    """Tell whether the flags of a gzip member are among those that exist."""
    return window[at + _FLAGS_AT : at + _FLAGS_AT + 1] <= bytes([_LAST_FLAGS])


def _gzip(file: IO[bytes], start: int) -> Iterator[Piece]:
    source = _Source(file, start)
    for _ in range(_MAX_DAMAGES):
        damage = None
        while damage is None and source.skip_zeros():
            offset = source.position
            damage = yield from _member(source)
        if damage is None:
            return
        yield Piece(offset, b"", damage=damage)
        if not source.find(_GZIP, offset + 1):
            return


def _member(source: _Source) -> Generator[Piece, None, str | None]:
    """Yield a gzip member in pieces; return what is wrong with it, or None."""
    offset, is_first, data = source.position, True, b""
    member = zlib.decompressobj(_GZIP_BITS)
    while not member.eof:
        if not source.has_more():
            break
        try:
            data += member.decompress(source.waiting, _PIECE_BYTES)
        except zlib.error as error:
            if data:
                yield Piece(offset, data, is_first and data.startswith(FIRST_WORD))
            return str(error)
        source.keep(member.unused_data if member.eof else member.unconsumed_tail)
        if len(data) >= len(FIRST_WORD) or member.eof:
            yield Piece(offset, data, is_first and data.startswith(FIRST_WORD))
            is_first, data = False, b""
    if data:
        yield Piece(offset, data, is_first and data.startswith(FIRST_WORD))
    return None if member.eof else "the file ends inside a gzip member"


def _zstd(file: IO[bytes], start: int) -> Iterator[Piece]:
    source = _Source(file, start)
    for _ in range(_MAX_DAMAGES):
        file.seek(start)
        damage, failed = yield from _frames(file, start, 0)
        if damage is None:
            return
        source = _Source(file, failed)
        if not source.skip_zeros():
            return
        start = source.position
        if start == failed or not source.waiting.startswith(_ZSTD):
            yield Piece(failed, b"", damage=damage)
            if not source.find(_ZSTD, failed + 1):
                return
            start = source.position


def _frames(file: IO[bytes], start: int, num_known: int) -> Generator[Piece, None, _Damage]:
    """Yield zstd frames in pieces; return what is wrong, and where the frame begins that it is in.

    The reader keeps to itself what it has decoded when it comes to damage. So what stands before
    the damage is read again, as if the file ended there.
    """
    reader, num, failed = ZstdReader(file), 0, start
    try:
        while data := reader.read(_CHUNK_BYTES):
            if num + len(data) > num_known:
                yield Piece(failed, data[max(0, num_known - num) :], num == 0)
            num += len(data)
            failed = reader.frame_start_position() or start
        return None, failed
    except OSError as error:
        if is_transient(error):  # the store's trouble, no damage of the file
            raise
        damage, failed = str(error), reader.frame_start_position() or failed
    if failed > start:
        file.seek(start)
        yield from _frames(_Beginning(file, failed), start, num)  # type: ignore[arg-type]
    return damage, failed


class _Beginning(io.RawIOBase):
    """A file up to an offset."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end = file, end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._end - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))
