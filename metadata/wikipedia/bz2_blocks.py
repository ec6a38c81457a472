"""A part of a bz2 file in, its bytes out: blocks stand by themselves, so a file can be cut.

A block begins with 48 fixed bits, anywhere in a byte, and ends where the next or the end of the
stream begins. With a header before it and its checksum behind it, it is a file of its own, which
the standard library reads and checks. So workers share one file, multistream or not, and a run that
was killed goes on in its middle.

Source: the format as described by J. Tsai, "BZIP2: Format Specification", 2016; the tool
bzip2recover does the same.
"""

import bz2
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled

__all__ = ["BlockError", "is_bz2", "read_blocks"]

BLOCK = 0x314159265359
END_OF_STREAM = 0x177245385090
_MARK_BITS = 48
_END_BITS = 80  # the mark and the checksum of the stream
_READ_BYTES = 1 << 20
# A block of 900,000 bytes that cannot be compressed takes less than this.
_MAX_BLOCK_BYTES = 2 << 20
_HEADER = b"BZh9"  # its digit is the most that a block may hold
_PADDING = bytes(8)


class BlockError(ValueError):
    """A block is damaged, or there is no end behind it."""


def is_bz2(head: bytes) -> bool:
    """Tell whether a file begins as bz2 files do."""
    return head[:3] == b"BZh" and head[3:4] in tuple(b"%d" % n for n in range(1, 10))


def read_blocks(file: IO[bytes], start: int, stop: int | None = None) -> Iterator[bytes]:
    """Yield the content of the blocks that begin in a part of a file.

    Args:
        file: bz2, of any number of streams; can seek.
        start: first byte of the part.
        stop: byte after the part; None for the end of the file.

    Yields:
        Up to 900,000 bytes; one block after the other.

    Raises:
        BlockError: a block is damaged, or the file ends before the block does.
    """
    waiting: list[int] = []  # of the block to be read, where it and what may be its end begin
    window = _Window(file, start)
    for bit, is_block in window.marks():
        if waiting:
            content = _decompress(window, waiting[0], bit)
            if content is None:
                # These 48 bits may stand in a block by chance: once in 2**48.
                waiting.append(bit)
                if bit - waiting[0] > 8 * _MAX_BLOCK_BYTES:
                    raise BlockError("a block is damaged")
                continue
            yield content
            waiting.clear()
        if is_block and (stop is None or bit < 8 * stop):
            waiting.append(bit)
            window.forget(bit)
        elif stop is not None and bit >= 8 * stop:
            return
    if waiting:
        raise BlockError("a block is damaged" if len(waiting) > 1 else "the end is missing")
    if window.is_cut_off():
        raise BlockError("the end is missing")


class _Window:
    """The bytes of a file from the block that is being read to where marks were looked for."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        file.seek(start)
        self._file = file
        self._first = start
        self._data = b""
        self._end = 8 * start  # bit behind the stream that ended last

    def marks(self) -> Iterator[tuple[int, bool]]:
        """Yield each mark: its first bit in the file, and whether it begins a block."""
        searched = 8 * self._first
        while chunk := self._file.read(_READ_BYTES):
            self._data += chunk
            if len(self._data) > 4 * _MAX_BLOCK_BYTES:
                raise BlockError("a block is damaged")
            for bit, is_block in self._find(searched):
                self._end = bit + _END_BITS
                searched = bit + 1
                yield bit, is_block
            searched = max(searched, 8 * (self._first + len(self._data)) - _MARK_BITS + 1)

    def is_cut_off(self) -> bool:
        """Tell, when all is read, whether the last stream lacks some of its end."""
        return self._end == 0 or 8 * (self._first + len(self._data)) < self._end

    def _find(self, searched: int) -> list[tuple[int, bool]]:
        data = np.frombuffer(self._data, np.uint8)
        found = np.empty(64 + len(data) // 6, np.int64)
        from_bit = searched - 8 * self._first
        num = _find_marks(data, from_bit, found)
        return [(8 * self._first + int(b) // 2, bool(b % 2)) for b in found[:num]]

    def forget(self, bit: int) -> None:
        """Let go of what is before a block."""
        num = bit // 8 - self._first
        if num > _READ_BYTES:
            self._data = self._data[num:]
            self._first += num

    def bits(self, start: int, stop: int) -> tuple[NDArray[np.uint8], int, int]:
        """Return bytes that hold bits of the file, and where in them the bits are."""
        first, last = start // 8 - self._first, stop // 8 + 1 - self._first
        data = np.frombuffer(self._data[first:last] + _PADDING, np.uint8)
        return data, start % 8, stop - start


def _decompress(window: _Window, start: int, stop: int) -> bytes | None:
    data, first, num_bits = window.bits(start, stop)
    if num_bits < _MARK_BITS + 32:
        return None
    file = np.zeros(num_bits // 8 + 24, np.uint8)
    size = _make_file(data, first, num_bits, file)
    try:
        return bz2.decompress(_HEADER + file[:size].tobytes())
    except (OSError, ValueError, EOFError):
        return None


@compiled
def _find_marks(data: Any, from_bit: int, found: Any) -> int:
    """Find marks; write twice their first bit, plus one if they begin a block; return how many."""
    state, num = np.uint64(0), 0
    mask = np.uint64((1 << 48) - 1)
    for at in range(from_bit // 8, len(data)):
        state = state << np.uint64(8) | np.uint64(data[at])
        for shift in range(7, -1, -1):
            value = state >> np.uint64(shift) & mask
            if value == np.uint64(BLOCK) or value == np.uint64(END_OF_STREAM):
                bit = 8 * at + 8 - shift - 48
                if bit >= from_bit:
                    found[num] = 2 * bit + (value == np.uint64(BLOCK))
                    num += 1
    return num


@compiled
def _make_file(data: Any, first: int, num_bits: int, file: Any) -> int:
    """Write a block and the end of its stream from a whole byte on; return the bytes written."""
    whole = num_bits // 8
    for at in range(whole):
        pair = np.int64(data[at]) << 8 | np.int64(data[at + 1])
        file[at] = (pair >> 8 - first) & 255
    rest = num_bits - 8 * whole
    pair = np.int64(data[whole]) << 8 | np.int64(data[whole + 1])
    state = ((pair >> 8 - first) & 255) >> 8 - rest
    # The mark of the end, and the stream's checksum, which for one block is the block's.
    size = whole
    for at in range(10):
        byte = np.int64(END_OF_STREAM >> 40 - 8 * at & 255) if at < 6 else np.int64(file[at])
        state = state << 8 | byte
        file[size] = state >> rest & 255
        size += 1
        state &= 255
    file[size] = state << 8 - rest & 255
    return size + 1
