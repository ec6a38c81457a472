"""The source files of each language: those at hand, and those that were written down or fetched.

Three kinds are told apart. Files that somebody put there have no note beside them and are used as
they are. Files that this program fetched have one (`curate.metadata.fetch.notes`). Files that
are written down as belonging to a dump or a sample, and are not there, are to be fetched.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from curate.errors import UsageError
from curate.files import storage
from curate.metadata.fetch.download import Retries
from curate.metadata.fetch.notes import NOTE_SUFFIX, RemoteFile, read_source
from curate.metadata.wikipedia.dump_names import LAYOUTS, Layout
from curate.metadata.wikipedia.wikimedia import API_URL

__all__ = [
    "FOLDER_NAME",
    "SourceFile",
    "SourceOptions",
    "base_name",
    "files_of",
    "identity",
    "is_fetched",
    "layout_of",
    "local",
    "own_pageviews",
    "read_day",
    "require_local",
    "total_size",
]

_PAGEVIEWS_NAME = re.compile(r"pageviews-\d{8}-(?:\d{6}|user)(?:\.gz|\.bz2)?$")
# The layout of wikimedia/wikipedia on Hugging Face: a folder per wiki, 20231101.zh-yue.
FOLDER_NAME = re.compile(r"(?P<date>\d{8})\.(?P<project>[a-z-]+)$")
_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}$")
CORPORA = ("dumps", "api")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Where sources come from that are not at hand.

    Attributes:
        mirror: address of Wikimedia's dumps or of a mirror of them; None to fetch nothing.
        whole_mirror: whether ``all`` is every Wikipedia also where somebody put dumps of their own.
        dump_date: ``20260101`` or ``2026-01-01``; ``latest`` for the newest complete one even if
            an older one is here; None for the one that is here, or else the newest complete one.
        dumps_layout: ``exports``, ``legacy``, or ``auto`` for exports, and legacy dumps where
            there is no complete export.
        corpus: ``dumps``, or ``api`` for the most viewed articles through the MediaWiki API.
        max_articles: of the API, per wiki.
        api_url: of the API, ``{project}`` for the first part of the wiki's address.
        contact: e-mail address or URL of whoever runs this.
        keep: whether fetched files stay once they are counted.
        pageview_days: size of the sample.
        pageview_from: earliest day of the sample.
        pageview_to: latest day of the sample.
        pageview_seed: of the sample.
        pageview_kind: ``daily`` or ``hourly`` files.
        retries: how long to try.
    """

    mirror: str | None = None
    whole_mirror: bool = False
    dump_date: str | None = None
    dumps_layout: Layout = "auto"
    corpus: str = "dumps"
    max_articles: int = 1000
    api_url: str = API_URL
    contact: str | None = None
    keep: bool = True
    pageview_days: int = 40
    pageview_from: date = date(2018, 1, 1)
    pageview_to: date = date(2024, 12, 31)
    pageview_seed: int = 0
    pageview_kind: str = "daily"
    retries: Retries = Retries()

    def __post_init__(self) -> None:
        if self.mirror is not None and not self.mirror.startswith(("http://", "https://")):
            raise UsageError(f"--mirror is {self.mirror!r}; expected an http or https address")
        if self.dump_date not in (None, "latest") and not _DAY.match(self.dump_date or ""):
            raise UsageError(f"--dump-date is {self.dump_date!r}; expected latest or YYYYMMDD")
        layout_of(self.dumps_layout)
        if self.corpus not in CORPORA:
            raise UsageError(f"--corpus is {self.corpus!r}; expected {' or '.join(CORPORA)}")
        if self.pageview_kind not in ("daily", "hourly"):
            expected = "daily or hourly"
            raise UsageError(f"--pageview-files is {self.pageview_kind!r}; expected {expected}")
        if self.max_articles < 1:
            raise UsageError(f"--max-articles is {self.max_articles}; expected 1 or more")
        if self.corpus == "api" and self.mirror is None:
            raise UsageError("--corpus api asks Wikipedia and cannot be had with --offline")

    @property
    def day(self) -> str | None:
        """The day of the dump, ``20260101``, if one is named."""
        named = None if self.dump_date == "latest" else self.dump_date
        return None if named is None else named.replace("-", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that entries are made from.

    Attributes:
        path: where it is, or will be.
        remote: where it can be fetched from; None for a file that somebody put there.
        sha256: of a file that somebody put there with the sums of its export; None if unknown.
    """

    path: str
    remote: RemoteFile | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """What the file is called."""
        return base_name(self.path)

    @property
    def is_here(self) -> bool:
        """Whether it can be read without fetching it."""
        return storage.exists(self.path)

    @property
    def size_bytes(self) -> int:
        """Bytes to fetch; 0 if it is here, or if the server does not say."""
        return 0 if self.is_here or self.remote is None else self.remote.size_bytes or 0

    @property
    def whole_bytes(self) -> int:
        """Bytes of the file, here or not; 0 if nobody says."""
        if self.is_here:
            return storage.size_and_time(self.path)[0]
        return (self.remote.size_bytes or 0) if self.remote is not None else 0

    def drop(self) -> None:
        """Remove the file if it was fetched; the note of what it was stays."""
        if is_fetched(self.path):
            storage.remove(self.path)

    def forget(self) -> None:
        """Remove the file and its note."""
        storage.remove(self.path)
        storage.remove(self.path + NOTE_SUFFIX)


def layout_of(name: str) -> Layout:
    """Return a layout of dumps by its name.

    Raises:
        UsageError: it is none.
    """
    for layout in LAYOUTS:
        if name == layout:
            return layout
    raise UsageError(f"--dumps-layout is {name!r}; expected {', '.join(LAYOUTS)}")


def read_day(text: str, option: str) -> date:
    """Read a day as an option gives it.

    Raises:
        UsageError: it is none.

    >>> read_day("2024-12-31", "--pageview-to")
    datetime.date(2024, 12, 31)
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} is {text!r}; expected a day: YYYY-MM-DD") from error


def local(path: str) -> Path:
    """Return the path of a local file."""
    return Path(path.removeprefix("file://").removeprefix("local://"))


def require_local(folder: str, option: str) -> Path:
    """Refuse to fetch into an object store, where a download cannot be gone on with.

    Raises:
        UsageError: the folder is in one.
    """
    if storage.is_local(folder):
        return local(folder)
    raise UsageError(
        f"{folder}: downloads go on where they were cut off, for which they need a local folder. "
        f"Name one with {option}, or put the files there yourself and use --offline."
    )


def is_fetched(path: str) -> bool:
    """Tell whether a file was fetched by this program."""
    return storage.is_local(path) and storage.exists(path + NOTE_SUFFIX)


def own_pageviews(folder: str) -> list[str]:
    """Return the page-view files that somebody put into a folder, sorted."""
    paths = [p for p in files_of(folder) if _PAGEVIEWS_NAME.match(base_name(p))]
    return [path for path in paths if not is_fetched(path)]


def files_of(folder_or_file: str) -> list[str]:
    """Return the paths of what is in a folder, sorted; of a file itself; [] of nothing."""
    if not storage.exists(folder_or_file):
        return []
    return storage.list_files(folder_or_file, "") or [folder_or_file]


def base_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rstrip("/").rsplit("/", 1)[-1]


_hashes: dict[tuple[str, int, str], str] = {}


def identity(file: SourceFile) -> dict[str, Any] | None:
    """Return what a source is: its name, size and hash, and where and when it came from.

    Where it lies is no part of it: a workspace may be moved.

    Args:
        file: here, or dropped; page views are shared, so a file is hashed once.

    Returns:
        JSON-able; None if nothing is known of it before it is fetched.
    """
    source = read_source(local(file.path)) if storage.is_local(file.path) else None
    *_, folder, name = "/", *file.path.rsplit("/", 2)
    name = f"{folder}/{name}" if FOLDER_NAME.match(folder) else name
    if source is not None:
        return {
            "file": name,
            "url": source.url,
            "date": source.date,
            "size_bytes": source.size_bytes,
            "sha1": source.sha1,
            "sha256": source.sha256,
        }
    if not file.is_here:
        return None
    size, modified = storage.size_and_time(file.path)
    state = (file.path, size, modified)
    if state not in _hashes:
        _hashes[state] = storage.file_sha256(file.path)
    return {"file": name, "size_bytes": size, "sha256": _hashes[state]}


def total_size(files: Iterable[SourceFile]) -> int:
    """Return how many bytes of some files are to be fetched, as far as servers say."""
    return sum(file.size_bytes for file in files)
