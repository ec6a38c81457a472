"""Text files of any usual encoding and compression in, their bytes as UTF-8 out.

Excel saves "Unicode text" as UTF-16. A byte that is no character of its encoding stays one that is
no UTF-8, so that the row it is in can be set aside and no other.
"""

import codecs
import io
from typing import IO

from curate.files import storage

__all__ = ["open_text"]

_CHUNK_BYTES = 1 << 20
# Longer marks first: that of UTF-16 begins that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)  # fmt: skip


def open_text(path: str) -> IO[bytes]:
    """Open a text file, decompressed, as UTF-8 without a byte order mark.

    Raises:
        InputError: there is no such file.
        OSError: it is damaged; also while it is read.
    """
    file = io.BufferedReader(_Raw(storage.open_read(path, decompress=True)), _CHUNK_BYTES)
    try:
        mark, encoding = _encoding(file.peek(4)[:4])
        file.read(len(mark))
    except BaseException:
        file.close()
        raise
    if encoding == "utf-8":
        return file
    return io.BufferedReader(_Transcoded(file, encoding), _CHUNK_BYTES)


def _encoding(first: bytes) -> tuple[bytes, str]:
    r"""Return the byte order mark of a file and its encoding, by its first four bytes.

    Without a mark, zeros tell, since the first characters of a table are ASCII.

    >>> _encoding(b"\xff\xfea\x00"), _encoding(b"u\x00r\x00"), _encoding(b"url,")
    ((b'\xff\xfe', 'utf-16-le'), (b'', 'utf-16-le'), (b'', 'utf-8'))
    """
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            return mark, encoding
    zeros = tuple(byte == 0 for byte in first)
    shapes: dict[tuple[bool, ...], str] = {
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
    }
    return b"", shapes.get(zeros, "utf-8")


class _Raw(io.RawIOBase):
    """A file as `io.BufferedReader` wants one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Transcoded(io.RawIOBase):
    """Bytes of another encoding as UTF-8."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        # A lone surrogate becomes three bytes that are no UTF-8.
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._rest = b""
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        while not self._rest and not self._is_done:
            chunk = self._file.read(_CHUNK_BYTES)
            self._is_done = not chunk
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise OSError(f"not the encoding that it begins with: {error}") from error
            self._rest = text.encode("utf-8", "surrogatepass")
        content, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
