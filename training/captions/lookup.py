"""The captions of a pair, found by the hash of its id in files that are mapped into memory.

A machine's processes share the pages of the hashes, 32 bytes a caption; texts are read when they
are drawn and stay in no process. Nothing of it is held by Python, so that 10 million captions take
as long as a thousand to open, but for the comparison with their checksums.
"""

import json
import math
import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from curate.errors import ArtifactError
from curate.files.sums import has_sums
from curate.training.captions.write import KEYS, NOTE, ROW, ROWS, SEEDS, TEXTS, VERSION

__all__ = ["CaptionIndex", "Place", "is_whole", "read_note"]

_KEY_BYTES = 8
_AT_ONCE = 1 << 20  # bytes of rows that are made Python objects
_FIELDS = struct.Struct("=QQIHH")  # ROW, without numpy
_SPREAD = 8  # of the window that a hash is looked for in first, in square roots of their number


class Place(NamedTuple):
    """Where a caption is, who said it, and in which language; 0 where nobody says that."""

    source: int
    at: int
    size: int
    lang: int = 0


def read_note(folder: str) -> dict[str, Any] | None:
    """Return the note of an index; None where there is none, or of another version."""
    try:
        note = json.loads((Path(folder) / NOTE).read_bytes())
    except (OSError, ValueError):
        return None
    is_ours = isinstance(note, dict) and note.get("version") == VERSION
    return note if is_ours else None


def is_whole(folder: str) -> bool:
    """Tell whether the files of an index are those that were written."""
    note = read_note(folder)
    return note is not None and has_sums(folder, note["sums"])


class CaptionIndex:
    """Finds the captions of a pair; may be used from several threads.

    Args:
        folder: that `write_index` wrote.

    Raises:
        ArtifactError: there is none in it, or its files have other sizes.

    Attributes:
        note: of the index.
        sources: names of the sources, by place.
        langs: codes of languages, by place, the first of which is 1.
        keys: first hash of each caption's pair, ascending; uint64, shape (n,).
        rows: the rest of what is known of each; `ROW`, shape (n,).
    """

    def __init__(self, folder: str) -> None:
        note = read_note(folder)
        if note is None:
            raise ArtifactError(f"{folder}: there are no captions in it")
        self.note = note
        self.sources: list[str] = note["sources"]
        self.langs: list[str] = note["langs"]
        self._num: int = note["captions"]
        self._keys = _mapped(Path(folder) / KEYS, self._num * _KEY_BYTES).cast("Q")
        self._rows = _mapped(Path(folder) / ROWS, self._num * ROW.itemsize)
        self.keys = np.frombuffer(self._keys, np.uint64)
        self.rows = np.frombuffer(self._rows, ROW)
        self._texts = os.open(Path(folder) / TEXTS, os.O_RDONLY | os.O_CLOEXEC)
        self._window = _SPREAD * math.isqrt(self._num)

    def __len__(self) -> int:
        return self._num

    def __del__(self) -> None:
        if hasattr(self, "_texts"):
            os.close(self._texts)

    def places(self, pair_id: str) -> Sequence[Place]:
        """Return where the captions of a pair are, in the order of their sources."""
        raw = pair_id.encode("utf-8", "surrogatepass")
        key = xxhash.xxh3_64_intdigest(raw, SEEDS[0])
        keys, num = self._keys, self._num
        at = self._search(key)
        if at == num or keys[at] != key:
            return ()
        second = xxhash.xxh3_64_intdigest(raw, SEEDS[1])
        found = []
        while at < num and keys[at] == key:
            begin = at * ROW.itemsize
            other, place, size, source, lang = _FIELDS.unpack_from(self._rows, begin)
            if other == second:
                found.append(Place(source, place, size, lang))
            at += 1
        return found

    def lang_of(self, place: Place) -> str | None:
        """Return the language that a caption is said to be in; None where nobody says it."""
        return self.langs[place.lang - 1] if place.lang else None

    def read(self, place: Place) -> str:
        """Return a caption.

        Raises:
            OSError: it cannot be read.
        """
        content = os.pread(self._texts, place.size, place.at)
        if len(content) != place.size:
            raise OSError("captions end before they should")
        return content.decode()

    def texts(self) -> Iterator[str]:
        """Yield all captions, in the order of their hashes."""
        for first in range(0, self._num, _AT_ONCE // ROW.itemsize):
            end = min(self._num, first + _AT_ONCE // ROW.itemsize)
            for _, at, size, source, _ in self.rows[first:end].tolist():
                yield self.read(Place(source, at, size))

    def _search(self, key: int) -> int:
        """Return the first place whose hash is not smaller.

        Hashes are spread evenly, so that it is near its share of the way: a dozen neighbours are
        looked at, and not pages from all over the file.
        """
        near = key * self._num >> 64
        low, high = max(0, near - self._window), min(self._num, near + self._window)
        if low and self._keys[low - 1] >= key:
            low = 0
        if high < self._num and self._keys[high] < key:
            high = self._num
        return bisect_left(self._keys, key, low, high)


def _mapped(path: Path, size: int) -> memoryview:
    with path.open("rb") as file:
        found = os.fstat(file.fileno()).st_size
        if found != size:
            raise ArtifactError(
                f"{path}: has {found:,} bytes, expected {size:,}. Remove its folder; the next run "
                "makes it anew."
            )
        if not size:
            return memoryview(b"")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data.madvise(mmap.MADV_RANDOM)
    return memoryview(data)
