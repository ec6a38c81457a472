"""Files that carry their own checksums: blocks of the body in the tail, and the tail in itself.

A Parquet file of ours is a body (row groups) and a tail (the footer, its length, the magic). The
footer's key-value metadata hold the xxh3_64 of each block of 32 KiB of the body, and the xxh3_128
of the tail, computed with zeros in its own place. So a reader compares what it reads, and nothing
else: the tail when it opens the file, each block when it asks for it, before Arrow sees a byte.
Other programs read the file as any other.
"""

import base64
import os
import re
from collections.abc import Callable
from typing import IO, Any, NoReturn

import xxhash

from curate.errors import InputError
from curate.files import storage

__all__ = ["SealedReader", "SealingWriter"]

BLOCK_BYTES = 1 << 15
_BLOCKS_KEY, _SEAL_KEY = "curate_blocks", "curate_seal"  # the last two, in this order
_SUM_BYTES = 8
_MARK, _BLOCKS_MARK = b"xxh3_128:", b"xxh3_64:"
_DIGITS = 32
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_MAGIC, _END_BYTES = b"PAR1", 8
_FIRST_READ = 1 << 16


class SealingWriter:
    """A file for `pyarrow.parquet.ParquetWriter` that sums what goes through it.

    Args:
        file: takes the bytes.
    """

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0
        self._block = xxhash.xxh3_64()
        self._sums = bytearray()
        self._tail: list[bytes] | None = None

    def write(self, data: Any) -> int:
        """Take bytes: of the body, or once `end_body` was called, of the tail."""
        piece = memoryview(data)
        if self._tail is not None:
            self._tail.append(bytes(piece))
        else:
            self._file.write(piece)
            self._add(piece)
        self._at += len(piece)
        return len(piece)

    def _add(self, piece: memoryview) -> None:
        done, room = 0, BLOCK_BYTES - self._at % BLOCK_BYTES
        while done < len(piece):
            part = piece[done : done + room]
            self._block.update(part)
            done, room = done + len(part), room - len(part)
            if not room:
                self._end_block()
                room = BLOCK_BYTES

    def _end_block(self) -> None:
        self._sums += self._block.digest()
        self._block.reset()

    def tell(self) -> int:
        """Return how many bytes were taken."""
        return self._at

    def flush(self) -> None:
        """Do nothing: whoever publishes the file does."""

    def close(self) -> None:
        """Do nothing: the file is closed by whoever opened it."""

    def end_body(self) -> dict[str, str]:
        """End the body; return the key-value metadata that the footer has to hold, at their end."""
        if self._at % BLOCK_BYTES:
            self._end_block()
        self._tail = []
        sums = (_BLOCKS_MARK + base64.b64encode(self._sums)).decode()
        return {_BLOCKS_KEY: sums, _SEAL_KEY: (_MARK + b"0" * _DIGITS).decode()}

    def finish(self) -> None:
        """Put the sum of the tail into it, and write it."""
        tail = b"".join(self._tail or [])
        at = _place_of_seal(tail)
        assert at is not None
        self._file.write(
            tail[:at] + xxhash.xxh3_128_hexdigest(tail).encode() + tail[at + _DIGITS :]
        )


def _place_of_seal(tail: bytes) -> int | None:
    """Return where the digits of the seal begin: the last place that looks so."""
    at = tail.rfind(_MARK)
    return None if at < 0 or at + len(_MARK) + _DIGITS > len(tail) else at + len(_MARK)


def _sums_in(tail: bytes) -> bytes:
    """Return the sums of the blocks that a tail holds, which has been compared with its own."""
    begin = tail.rfind(_BLOCKS_MARK)
    found = _BASE64.match(tail, begin + len(_BLOCKS_MARK)) if begin >= 0 else None
    return base64.b64decode(found[0]) if found else b""


class SealedReader:
    """A file for `pyarrow.parquet.ParquetFile` that compares what it reads with its sums.

    Args:
        path: local path or URL.
        damaged: raises the error for a file that is not what was written, given a reason.
        foreign: the same for one that does not look like ours; None for `damaged`.

    Attributes:
        seal: the sum of the tail, which stands for the whole file; 32 digits.
        size_bytes: of the file.

    Raises:
        InputError: there is no such file.
    """

    closed = False

    def __init__(
        self,
        path: str,
        damaged: Callable[[str], NoReturn],
        foreign: Callable[[str], NoReturn] | None = None,
    ) -> None:
        self._damaged, self._foreign = damaged, foreign or damaged
        self._descriptor, self._remote = -1, None
        self._at = 0
        self._edge = (-1, b"")
        if storage.is_local(path):
            try:
                self._descriptor = os.open(storage.local_path(path), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise InputError(f"{path}: there is no such file") from error
            self.size_bytes = os.fstat(self._descriptor).st_size
        else:
            self._remote = storage.open_read(path)
            self.size_bytes = self._remote.seek(0, os.SEEK_END)
        self._tail = self._read_tail()
        self._body_bytes = self.size_bytes - len(self._tail)
        at = _place_of_seal(self._tail)
        if at is None:
            self._foreign("it has no checksum, or an earlier version wrote it")
        self.seal = self._tail[at : at + _DIGITS].decode("ascii", "replace")
        blank = self._tail[:at] + b"0" * _DIGITS + self._tail[at + _DIGITS :]
        if xxhash.xxh3_128_hexdigest(blank) != self.seal:
            damaged("the checksum of its footer differs")
        self._sums = _sums_in(self._tail)
        if len(self._sums) != -(-self._body_bytes // BLOCK_BYTES) * _SUM_BYTES:
            damaged("it has no checksums of its blocks")

    def _read_tail(self) -> bytes:
        first = self._raw(max(0, self.size_bytes - _FIRST_READ), _FIRST_READ)
        length = int.from_bytes(first[-_END_BYTES:-4], "little") + _END_BYTES
        if first[-4:] != _MAGIC or length + len(_MAGIC) > self.size_bytes:
            self._foreign("it is cut off, or no Parquet file")
        if length <= len(first):
            return first[-length:]
        return self._raw(self.size_bytes - length, length)

    def _raw(self, start: int, size: int) -> bytes:
        if self._remote is not None:
            self._remote.seek(start)
            return bytes(self._remote.read(size))
        pieces, end = [], start + size
        while start < end and (piece := os.pread(self._descriptor, end - start, start)):
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read(self, size: int = -1) -> Any:
        """Return bytes from the place that `seek` went to, compared with their sums."""
        stop = self.size_bytes if size < 0 else min(self._at + size, self.size_bytes)
        start, self._at = self._at, max(stop, self._at)
        if start >= self._body_bytes:
            return self._tail[start - self._body_bytes : stop - self._body_bytes]
        body = self._body(start, min(stop, self._body_bytes))
        if stop <= self._body_bytes:
            return body
        return bytes(body) + self._tail[: stop - self._body_bytes]

    def _body(self, start: int, stop: int) -> memoryview:
        first, last = start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
        begin = first * BLOCK_BYTES
        if first == last == self._edge[0]:
            return memoryview(self._edge[1])[start - begin : stop - begin]
        end = min((last + 1) * BLOCK_BYTES, self._body_bytes)
        content = self._raw(begin, end - begin)
        self._compare(content, first, last)
        view = memoryview(content)
        # Neighbouring column chunks share a block.
        self._edge = (last, bytes(view[(last - first) * BLOCK_BYTES :]))
        return view[start - begin : stop - begin]

    def _compare(self, content: bytes, first: int, last: int) -> None:
        view, digest = memoryview(content), xxhash.xxh3_64_digest
        found = b"".join(
            [digest(view[at : at + BLOCK_BYTES]) for at in range(0, len(view), BLOCK_BYTES)]
        )
        if found != self._sums[first * _SUM_BYTES : (last + 1) * _SUM_BYTES]:
            self._damaged(f"a checksum differs between bytes {first * BLOCK_BYTES} and "
                          f"{(last + 1) * BLOCK_BYTES}")  # fmt: skip

    def compare_all(self) -> None:
        """Compare the whole body with its sums."""
        step = 256 * BLOCK_BYTES
        for start in range(0, self._body_bytes, step):
            self._body(start, min(start + step, self._body_bytes))

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        self._at = base + place
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def size(self) -> int:
        """Return the size in bytes."""
        return self.size_bytes

    def seekable(self) -> bool:
        """Tell that `seek` works."""
        return True

    def readable(self) -> bool:
        """Tell that `read` works."""
        return True

    def close(self) -> None:
        """Close the file."""
        if self.closed:
            return
        self.closed = True
        if self._descriptor >= 0:
            os.close(self._descriptor)
        if self._remote is not None:
            self._remote.close()

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()
