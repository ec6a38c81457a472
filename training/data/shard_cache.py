"""Shards behind URLs as files of this machine: fetched whole, once, for all of its processes.

Samples are read by place and in another order in every epoch, which no stream can do. So a remote
shard is copied to a folder when it is first asked for, or a little before, and the copies that
were not opened for the longest time make room for new ones. Local shards are opened where they are.
"""

import errno
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from curate.errors import CurateError, DiskSpaceError, FetchError
from curate.files.paths import cache_folder
from curate.files.processes import locked
from curate.files.storage import filesystem_of, is_remote
from curate.training.data.shards import open_local

__all__ = ["ShardCache", "default_folder"]

_ATTEMPTS = 4
_CHUNK_BYTES = 1 << 20
_THREADS = 8
_VERSION = ("size", "mtime", "LastModified", "ETag", "etag", "md5Hash")
_LOCK, _TEMPORARY = ".lock", ".tmp"


def default_folder() -> str:
    """Return the folder for copies if none is named: in the user's cache (XDG)."""
    return cache_folder("shards")


@dataclass(slots=True, kw_only=True)
class ShardCache:
    """Copies of remote shards on a local disk.

    Attributes:
        folder: for the copies; made when it is needed.
        max_bytes: of all copies; the one at hand stays in any case.
        wait_s: before a download that failed is tried again; longer each time.
    """

    folder: str = field(default_factory=default_folder)
    max_bytes: int = 50_000_000_000
    wait_s: float = 5.0
    _places: dict[str, tuple[Path, int | None]] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)
    _pool: ThreadPoolExecutor | None = None

    def open(self, shard: str) -> int:
        """Open a shard for reading; return its descriptor, which the caller closes.

        A copy that is removed while it is open stays readable.

        Raises:
            OSError: it is local and cannot be opened.
            FetchError: it is remote and cannot be fetched whole.
            DiskSpaceError: there is no room for the copy.
        """
        if not is_remote(shard):
            return open_local(shard)
        place, size = self._place(shard)
        with suppress(FileNotFoundError):
            return _opened(place)
        descriptor = None
        with locked(place.with_name(f"{place.name}{_LOCK}")):
            while descriptor is None:
                if not place.exists():
                    self._fetch(shard, place, size)
                with suppress(FileNotFoundError):  # others made room for theirs in between
                    descriptor = _opened(place)
        self._make_room(place)
        return descriptor

    def fetch_ahead(self, shards: Sequence[str]) -> None:
        """Begin to fetch shards that will be asked for soon; what fails is tried again then."""
        wanted = [s for s in shards if is_remote(s) and s not in self._asked]
        if not wanted:
            return
        self._pool = self._pool or ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
        for shard in wanted:
            self._asked.add(shard)
            self._pool.submit(self._try, shard)

    def stop(self) -> None:
        """Fetch nothing more ahead; returns when what is under way has come."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            self._asked.clear()

    def _try(self, shard: str) -> None:
        """Fetch a shard; an error is left to whoever opens the shard, and meets it again."""
        try:
            with suppress(CurateError, OSError):
                os.close(self.open(shard))
        finally:
            self._asked.discard(shard)

    def _place(self, shard: str) -> tuple[Path, int | None]:
        """Return where a shard's copy is, and its size; a name says of which version it is."""
        if shard not in self._places:
            filesystem, inside = filesystem_of(shard)
            try:
                about = filesystem.info(inside)
            except OSError as error:
                raise FetchError(f"{shard}: cannot be read ({error})") from error
            version = [about.get(key) for key in _VERSION]
            name = sha256(f"{shard}\t{version}".encode()).hexdigest()[:16]
            base = shard.rpartition("/")[2]
            self._places[shard] = Path(self.folder) / f"{name}-{base}", about.get("size")
        return self._places[shard]

    def _fetch(self, shard: str, place: Path, size: int | None) -> None:
        temporary = place.with_name(f"{place.name}{_TEMPORARY}")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _copy(shard, temporary)
                found = temporary.stat().st_size
                if size is not None and found != size:
                    raise OSError(f"{found:,} bytes came, expected {size:,}")
                temporary.replace(place)
                return
            except OSError as error:
                temporary.unlink(missing_ok=True)
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise DiskSpaceError(
                        f"{self.folder}: the disk is full. Name a folder on another one with "
                        "--shard-cache, or keep less with --shard-cache-gb."
                    ) from error
                if attempt == _ATTEMPTS:
                    raise FetchError(
                        f"{shard}: cannot be fetched, tried {_ATTEMPTS} times ({error}). Run the "
                        "same command again to go on."
                    ) from error
            time.sleep(self.wait_s * attempt)

    def _make_room(self, newest: Path) -> None:
        """Remove the copies that were not opened for the longest time, if they are too many."""
        copies = []
        for path in Path(self.folder).iterdir():
            with suppress(FileNotFoundError):  # another process makes room too
                if not path.name.endswith((_LOCK, _TEMPORARY)):
                    about = path.stat()
                    copies.append((about.st_mtime_ns, about.st_size, path))
        left = sum(size for _, size, _ in copies)
        for _, size, path in sorted(copies):
            if left <= self.max_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                left -= size


def _opened(place: Path) -> int:
    descriptor = open_local(str(place))
    os.utime(descriptor)
    return descriptor


def _copy(shard: str, to: Path) -> None:
    filesystem, inside = filesystem_of(shard)
    with filesystem.open(inside, "rb") as remote, to.open("wb") as file:
        shutil.copyfileobj(remote, file, _CHUNK_BYTES)
