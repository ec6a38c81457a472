"""How often articles are looked at: page-view files of the Wikimedia dumps.

There are two formats, told apart by what most of a file's first lines have. Hourly files:
``project title count bytes``, where ``en`` and ``en.m`` are the encyclopedia and its mobile site,
and ``en.b``, ``en.d`` and so on are other projects. Daily files: ``project title page_id device
count hours``, where ``en.wikipedia`` is the encyclopedia on every device.

`count_views` holds what it counts; `stored_views` does the same on disk, for days of all
wikis.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import IO
from urllib.parse import unquote_to_bytes

import fsspec

from curate.errors import InputError
from curate.metadata.wikipedia.dump_names import project_name

__all__ = ["count_views", "is_daily", "open_views", "projects_of", "title_of"]

_FIRST_LINES = 5000  # more than 100,000 bytes of them
DEVICES = frozenset({b"desktop", b"mobile-web", b"mobile-app"})


def count_views(
    paths: Iterable[str],
    wikis: Collection[str],
    bad_lines: Counter[str] | None = None,
) -> dict[str, Counter[str]]:
    """Sum the views of titles over page-view files, in memory.

    Args:
        paths: hourly or daily files, gzip, bzip2 or plain.
        wikis: codes of the Wikipedias wanted, as in database names (``zh_yue``).
        bad_lines: if given, the number of lines that are none is added to it, by file.

    Returns:
        Per wiki, views by title, with spaces; lines that are none are skipped.

    Raises:
        InputError: a file is missing or cut off.
    """
    views: dict[str, Counter[str]] = {wiki: Counter() for wiki in wikis}
    projects = projects_of(wikis)
    for path in paths:
        num_bad = 0
        with open_views(path) as file:
            lines = iter(file)
            first = list(islice(lines, _FIRST_LINES))
            daily = is_daily(b"".join(first)) if first else False
            named = {name: wiki for name, (wiki, of_daily) in projects.items() if of_daily == daily}
            for wiki, title, num in _parsed(chain(first, lines), named, daily=daily):
                if wiki:
                    views[wiki][title_of(title)] += num
                else:
                    num_bad += 1
        if num_bad and bad_lines is not None:
            bad_lines[path] += num_bad
    return views


def projects_of(wikis: Collection[str]) -> dict[bytes, tuple[str, bool]]:
    """Return the wiki of each project, and whether lines that name it so are of daily files.

    >>> projects_of(["zh_yue"])[b"zh-yue.m"]
    ('zh_yue', False)
    """
    projects = {}
    for wiki in wikis:
        name = project_name(wiki).encode()
        projects[name] = projects[name + b".m"] = (wiki, False)
        projects[name + b".wikipedia"] = (wiki, True)
    return projects


@contextmanager
def open_views(path: str) -> Iterator[IO[bytes]]:
    """Open a page-view file, whatever it is compressed with.

    Raises:
        InputError: it is missing, or turns out to be cut off while it is read.
    """
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            yield file
    except (OSError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: cannot be read as page views ({error}). Download it again."
        ) from error


def is_daily(block: bytes) -> bool:
    """Tell the format of a file by what most of its first lines have."""
    spaces = [line.count(b" ") for line in block[:100_000].split(b"\n")]
    return spaces.count(5) > spaces.count(3)


def _parsed(
    lines: Iterable[bytes], projects: dict[bytes, str], *, daily: bool
) -> Iterator[tuple[str, bytes, int]]:
    """Yield wiki, title and views; a wiki of "" for a line that is none. Others are passed over."""
    num_fields = 6 if daily else 4
    for line in lines:
        fields = line.split(b" ")
        # Most lines are of other wikis, so they are told apart before they are looked into.
        wiki = projects.get(fields[0])
        if wiki is None:
            if len(fields) != num_fields:
                yield "", b"", 0
            continue
        count = fields[4 if daily else 2] if len(fields) == num_fields else b""
        # No title has 10**12 views.
        if not count.isdigit() or len(count) > 12 or (daily and fields[3] not in DEVICES):
            yield "", b"", 0
        else:
            yield wiki, fields[1], int(count)


def title_of(raw: bytes) -> str:
    """Return a title as the wiki writes it.

    >>> title_of(b"Caf%C3%A9_noir")
    'Café noir'
    """
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace").replace("_", " ")
