"""Files of published models on this machine: fetched once, whole or not at all, checked, kept.

A file gets its name in the cache once its sha256 is that of the registry. Its own sum is noted
beside it, and whoever reads it compares that. A download that was cut off goes on where it was.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import DiskSpaceError, FetchError, InputError
from curate.files.sizes import in_words
from curate.files.sums import add_sums, file_sum, read_sums
from curate.metadata.fetch.download import Fetcher, Retries
from curate.metadata.fetch.notes import RemoteFile, hash_file

__all__ = ["MIRROR", "OFFLINE", "cache_folder", "cached_file"]

MIRROR, OFFLINE = "CURATE_MODELS_MIRROR", "CURATE_OFFLINE"
_HUB_OFFLINE = "HF_HUB_OFFLINE"
_TELL_S = 10.0
_log = logging.getLogger("curate")
RETRIES = Retries()


def cache_folder() -> Path:
    """Return the folder of published models: CURATE_MODELS, else in the user's cache (XDG)."""
    chosen = os.environ.get("CURATE_MODELS")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(chosen) if chosen else Path(base) / "curate" / "models"


def is_offline() -> bool:
    """Tell whether nothing is to be fetched."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in (OFFLINE, _HUB_OFFLINE))


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(path):
            if not _is_there(path, sha256):
                _fetch(url, path, sha256, terms)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be used as a cache ({error}). Name another folder in CURATE_MODELS."
        ) from error
    return str(path)


def _is_there(path: Path, sha256: str) -> bool:
    """Tell whether the file is there; one that somebody has put there is looked at."""
    if not path.is_file():
        return False
    known = read_sums(str(path.parent)).get(path.name)
    if known is not None and known["size_bytes"] == path.stat().st_size:
        return True  # its checksum is compared by whoever reads it
    found = hash_file(path)[2]
    if found != sha256:
        raise InputError(
            f"{path}: sha256 is {found}, expected {sha256}. It is damaged or another file: remove "
            "it, and it is fetched anew."
        )
    add_sums(str(path.parent), {path.name: file_sum(str(path))})
    return True


def _fetch(url: str, path: Path, sha256: str, terms: str | None) -> None:
    mirror = os.environ.get(MIRROR)
    place = f"{mirror.rstrip('/')}/{path.name}" if mirror else url
    if is_offline():
        raise InputError(
            f"{path.name} is not in the cache ({path.parent}), and {OFFLINE} says that nothing is "
            f"to be fetched. Put the file of {place} there."
        )
    _log.info("fetching %s to %s", place, path.parent)
    if terms:
        _log.info("%s", terms)
    progress = _Progress(path.name)
    fetcher = Fetcher(
        retries=RETRIES, on_bytes=progress.came,
        elsewhere=f"put the file at {path}, or name a mirror in {MIRROR}",
    )  # fmt: skip
    try:
        progress.total = _size(fetcher, place)
        _require_room(path, progress.total)
        file = RemoteFile(name=path.name, url=place, date="", sha256=sha256)
        fetcher.download(file, path.parent)
    finally:
        fetcher.close()
    add_sums(str(path.parent), {path.name: file_sum(str(path))})


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
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
