"""Decompressed files whose damage is an OSError, whichever library finds it."""

import io
from typing import IO, Any

__all__ = ["decompressed"]

_BUFFER_BYTES = 1 << 20


def decompressed(file: IO[bytes]) -> IO[bytes]:
    """Return a file that another library decompresses, with OSError for all that it raises."""
    return io.BufferedReader(_Decompressed(file), _BUFFER_BYTES)


class _Decompressed(io.RawIOBase):
    """A file that is decompressed while it is read: damage is an OSError, whoever finds it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return how many bytes.

        Raises:
            OSError: the file is damaged, cut off, or cannot be read.
        """
        try:
            content = self._file.read(len(buffer))
        except (OSError, MemoryError):
            raise
        except Exception as error:  # each library of compression has errors of its own
            raise OSError(f"damaged compression: {error}") from error
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
