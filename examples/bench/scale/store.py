"""An object store that is not there: 40,000 tars, each with the bytes of one, at a store's pace.

A request takes its latency, a listing one for every thousand names, and bytes come as fast as the
machine's network is said to bring them, whoever asks. What is asked for is counted.
"""

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

__all__ = ["SimulatedStore", "Store", "open_store"]

FOLDER = "set"
_PAGE = 1000  # names of a listing's answer, as S3 has it
_MODIFIED = "2026-01-01T00:00:00+00:00"


@dataclass(slots=True)
class Store:
    """What is in the store, and how fast it answers.

    Attributes:
        num_shards: tars.
        template: folder with ``t.tar``, whose bytes all tars have, and the files beside it.
        suffixes: of the files beside each tar.
        latency_s: of a request.
        bytes_per_s: of the machine, over all its requests.
        asked: requests and bytes, by kind of file.
    """

    num_shards: int
    template: Path
    suffixes: tuple[str, ...]
    latency_s: float
    bytes_per_s: float
    asked: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _free_at: float = 0.0

    def request(self, kind: str) -> None:
        """Count a request, and take its time."""
        with self._lock:
            self.asked[f"requests {kind}"] += 1
        time.sleep(self.latency_s)

    def transfer(self, kind: str, num: int) -> None:
        """Count bytes, and take their time on the network that all requests share."""
        with self._lock:
            self.asked[f"bytes {kind}"] += num
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + num / self.bytes_per_s
            wait = self._free_at - now
        if wait > 0:
            time.sleep(wait)

    def source(self, name: str) -> tuple[Path, str]:
        """Return the file whose bytes a name has, and its kind.

        Raises:
            FileNotFoundError: there is no such name.
        """
        base = name.rpartition("/")[2]
        for suffix in (".tar", *self.suffixes):
            stem = base.removesuffix(suffix)
            if base.endswith(suffix) and stem.isdigit() and int(stem) < self.num_shards:
                return self.template / f"t{suffix}", suffix
        raise FileNotFoundError(name)


_here: dict[str, Store] = {}


def open_store(store: Store) -> str:
    """Make a store this process's; return the URL of its folder."""
    _here["store"] = store
    fsspec.register_implementation("simulated", SimulatedStore, clobber=True)
    return f"simulated://{FOLDER}"


class _Reading:
    """A file of the store that is read from its beginning to its end."""

    def __init__(self, store: Store, path: Path, kind: str) -> None:
        self._store, self._kind = store, kind
        self._file = path.open("rb")

    def read(self, num: int = -1) -> bytes:
        content = self._file.read(num)
        self._store.transfer(self._kind, len(content))
        return content

    def __enter__(self) -> "_Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class SimulatedStore(fsspec.AbstractFileSystem):
    """The store as a file system."""

    protocol = "simulated"
    cachable = False

    def _about(self, name: str) -> dict[str, Any]:
        path, _ = _here["store"].source(name)
        return {"name": name, "size": path.stat().st_size, "type": "file",
                "LastModified": _MODIFIED}  # fmt: skip

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List the folder, whatever the path: a request for every thousand names."""
        del path
        store = _here["store"]
        suffixes = (".tar", *store.suffixes)
        sizes = {suffix: os.stat(store.template / f"t{suffix}").st_size for suffix in suffixes}
        for _page in range(-(-store.num_shards * len(suffixes) // _PAGE)):
            store.request("listing")
        found = [
            {"name": f"{FOLDER}/{number:05d}{suffix}", "size": sizes[suffix], "type": "file",
             "LastModified": _MODIFIED}
            for number in range(store.num_shards) for suffix in suffixes
        ]  # fmt: skip
        return found if detail else [one["name"] for one in found]

    def isdir(self, path: str) -> bool:
        """Tell whether a path is the folder."""
        return self._strip_protocol(path) == FOLDER

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Ask for size and time."""
        name = self._strip_protocol(path)
        if name == FOLDER:
            return {"name": FOLDER, "size": 0, "type": "directory"}
        _here["store"].request("about")
        return self._about(name)

    def exists(self, path: str, **_: Any) -> bool:
        """Ask whether a file is there."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Read a file, or a part of it, in one request."""
        store = _here["store"]
        source, kind = store.source(self._strip_protocol(path))
        store.request(kind)
        size = source.stat().st_size
        begin, stop, _step = slice(start, end).indices(size)
        with source.open("rb") as file:
            file.seek(begin)
            content = file.read(stop - begin)
        store.transfer(kind, len(content))
        return content

    def open(self, path: str, *_: Any, **__: Any) -> Any:
        """Open a file for reading."""
        store = _here["store"]
        source, kind = store.source(self._strip_protocol(path))
        store.request(kind)
        return _Reading(store, source, kind)
