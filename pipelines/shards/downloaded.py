"""A folder of shards in, the images out that `download` put there, found by the ids of pairs."""

import re
import threading
from functools import cached_property

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.errors import InputError
from curate.files import storage
from curate.pipelines.shards.samples import sample_key
from curate.training.tars.names import IMAGE_SUFFIXES

__all__ = ["DownloadedImages"]

_MOST = 1_000_000  # images that are found; 24 MB
_SUFFIX = "|".join(IMAGE_SUFFIXES).encode()
_PLACE = re.compile(rb"(?:^| )(" + _SUFFIX + rb") (\d+) (\d+) (\S+)", re.MULTILINE)
_KIND = np.dtype([("key", "<u8"), ("offset", "<u8"), ("size", "<u4"), ("shard", "<u4")])


class DownloadedImages:
    """Finds images by the ids of their pairs, in the order of the shards up to a number of them.

    Args:
        folder: of the shards.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    @cached_property
    def _shards(self) -> list[str]:
        """The indices of shards, if there are images of `download` among them."""
        if not storage.list_files(self._folder, "_stats.json"):
            return []
        return storage.list_files(self._folder, ".idx")

    @property
    def are_there(self) -> bool:
        """Whether `download` put images there."""
        return bool(self._shards)

    @cached_property
    def _places(self) -> NDArray[np.void]:
        """Where images are, by the hash of their key, ascending."""
        found: list[NDArray[np.void]] = []
        num = 0
        for number, path in enumerate(self._shards):
            listed = _PLACE.findall(storage.read_bytes(path))
            places = np.empty(len(listed), _KIND)
            for at, (suffix, offset, size, name) in enumerate(listed):
                key = name[: -len(suffix) - 1]
                places[at] = (xxhash.xxh3_64_intdigest(key), int(offset), int(size), number)
            found.append(places)
            num += len(places)
            if num > _MOST:
                break
        if not found:
            return np.empty(0, _KIND)
        every = np.concatenate(found)
        return every[np.argsort(every["key"], kind="stable")]

    def place(self, pair_id: str) -> tuple[str, int, int] | None:
        """Return tar, offset and size of a pair's image; None if it is not found."""
        with self._lock:
            places = self._places
        key = np.uint64(xxhash.xxh3_64_intdigest(sample_key(pair_id).encode()))
        at = int(np.searchsorted(places["key"], key))
        if at == len(places) or places["key"][at] != key:
            return None
        _, offset, size, number = places[at].tolist()
        return f"{self._shards[number].removesuffix('.idx')}.tar", offset, size

    def read(self, pair_id: str) -> bytes | None:
        """Return a pair's encoded image; None if it is not found.

        Raises:
            InputError: its shard is shorter than its index says.
        """
        found = self.place(pair_id)
        if found is None:
            return None
        path, offset, size = found
        with storage.open_read(path) as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) != size:
            raise InputError(f"{path}: ends before byte {offset + size}; its index is another's")
        return content
