"""Bytes that wait until their place in a shard is known: in memory, then in a file."""

import tempfile
from pathlib import Path
from types import TracebackType

from curate.files import storage

__all__ = ["Spool"]

_IN_MEMORY = 64 << 20


class Spool:
    """Takes pieces of bytes in any order and gives them back by place.

    Args:
        folder: on whose disk pieces go that memory is too small for; a remote one stands for the
            system's folder of temporary files.
    """

    def __init__(self, folder: str) -> None:
        here: str | None = None
        if storage.is_local(folder):
            here = folder.removeprefix("file://").removeprefix("local://")
            Path(here).mkdir(parents=True, exist_ok=True)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=here, prefix=".tmp-")  # noqa: SIM115
        self._end = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, content: bytes) -> tuple[int, int]:
        """Take a piece; return its offset and size in bytes."""
        self._file.seek(self._end)
        self._file.write(content)
        place = (self._end, len(content))
        self._end += len(content)
        return place

    def get(self, place: tuple[int, int]) -> bytes:
        """Return the piece that was given this place."""
        self._file.seek(place[0])
        return self._file.read(place[1])
