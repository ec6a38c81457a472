"""Files of published models on this machine: fetched once, whole or not at all, checked, kept.

A file gets its name in the cache once its sha256 is that of the registry. Its own sum is noted
beside it, and whoever reads it compares that. A download that was cut off goes on where it was.
"""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import DiskSpaceError, FetchError, InputError
from curate.files import paths
from curate.files.addresses import without_secrets
from curate.files.sizes import in_words
from curate.files.sums import SUMS, add_sums, file_sum, read_sums
from curate.metadata.fetch.download import Fetcher, Retries
from curate.metadata.fetch.notes import RemoteFile, hash_file
from curate.metadata.fetch.offline import OFFLINE, is_offline

__all__ = ["MIRROR", "cache_folder", "cached_file"]

MIRROR = "CURATE_MODELS_MIRROR"
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_TELL_S = 10.0
_log = logging.getLogger("curate")
RETRIES = Retries()


def cache_folder() -> Path:
    """Return the folder of published models: CURATE_MODELS, else in the user's cache (XDG)."""
    chosen = os.environ.get("CURATE_MODELS")
    return Path(chosen) if chosen else Path(paths.cache_folder("models"))


def cached_file(url: str, sha256: str, terms: str | None = None) -> str:
    """Return the path of a file in the cache; it is fetched if it is not there.

    Args:
        url: where it is; with CURATE_MODELS_MIRROR its last part is looked for there instead.
        sha256: that it has to have.
        terms: of its use, told when it is fetched.

    Raises:
        FetchError: it cannot be had, or is another file.
        InputError: nothing is to be fetched (CURATE_OFFLINE), or what lies there is another file.
        DiskSpaceError: the disk is full.
    """
    folder, name = cache_folder(), url.rpartition("/")[2]
    path = folder / name
    if _is_known(path):
        return str(path)  # also where the cache is one that others fill, and is only read
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(path):
            if not _is_known(path) and not _is_there(path, sha256):
                _fetch(url, path, sha256, terms)
    except OSError as error:
        if error.errno in _READ_ONLY and path.is_file():
            _require_published(path, sha256)  # each time, since it cannot be noted
            return str(path)
        raise InputError(
            f"{folder}: cannot be used as a cache ({error}). Name another folder in CURATE_MODELS."
        ) from error
    return str(path)


def _is_known(path: Path) -> bool:
    """Tell whether the file is there and was looked at; its sum is compared by whoever reads it."""
    known = read_sums(str(path.parent)).get(path.name)
    return known is not None and path.is_file() and known["size_bytes"] == path.stat().st_size


def _is_there(path: Path, sha256: str) -> bool:
    """Tell whether somebody has put the file there, and look at it."""
    if not path.is_file():
        return False
    _require_published(path, sha256)
    _note_sum(path)
    return True


def _require_published(path: Path, sha256: str) -> None:
    found = hash_file(path)[2]
    if found != sha256:
        raise InputError(
            f"{path}: sha256 is {found}, expected {sha256}. It is damaged or another file: remove "
            "it, and it is fetched anew."
        )


def _note_sum(path: Path) -> None:
    """Note the sum of a file; who fetches another one meanwhile notes that before or behind."""
    with _only_one(path.with_name(SUMS)):
        add_sums(str(path.parent), {path.name: file_sum(str(path))})


def _fetch(url: str, path: Path, sha256: str, terms: str | None) -> None:
    mirror = os.environ.get(MIRROR)
    place = f"{mirror.rstrip('/')}/{path.name}" if mirror else url
    if is_offline():
        raise InputError(
            f"{path.name} is not in the cache ({path.parent}), and {OFFLINE} says that nothing is "
            f"to be fetched. Put the file of {without_secrets(place)} there."
        )
    _log.info("fetching %s to %s", without_secrets(place), path.parent)
    if terms:
        _log.info("%s", terms)
    progress = _Progress(path.name)
    fetcher = Fetcher(
        retries=RETRIES, on_bytes=progress.came,
        elsewhere=f"put the file at {path}, or name a mirror in {MIRROR}",
        more_room="name another folder in CURATE_MODELS",
    )  # fmt: skip
    try:
        progress.total = _size(fetcher, place)
        _require_room(path, progress.total)
        file = RemoteFile(name=path.name, url=place, date="", sha256=sha256)
        fetcher.download(file, path.parent)
    finally:
        fetcher.close()
    _note_sum(path)


def _size(fetcher: Fetcher, url: str) -> int | None:
    try:
        return fetcher.size(url)
    except FetchError:
        return None  # it may know GET alone; what is wrong is told by that


def _require_room(path: Path, size_bytes: int | None) -> None:
    status = os.statvfs(path.parent)
    part = path.with_name(f"{path.name}.part")
    needed = (size_bytes or 0) - (part.stat().st_size if part.exists() else 0)
    if needed > status.f_bavail * status.f_frsize:
        raise DiskSpaceError(
            f"{path.parent}: {in_words(needed)} are needed for {path.name}, and "
            f"{in_words(status.f_bavail * status.f_frsize)} are free. Free some space, or name "
            "another folder in CURATE_MODELS."
        )


class _Progress:
    """Tells now and then how much has come."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.total: int | None = None
        self._name, self._clock = name, clock
        self._num, self._told = 0, clock()

    def came(self, num: int) -> None:
        """Count bytes."""
        self._num += num
        if self._clock() - self._told >= _TELL_S:
            self._told = self._clock()
            whole = f" of {in_words(self.total)}" if self.total else ""
            _log.info("%s: %s%s", self._name, in_words(self._num), whole)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Keep other processes from fetching the same file meanwhile."""
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("another process fetches or looks at %s: waiting for it", path.name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
