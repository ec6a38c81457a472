"""How often articles are looked at: hourly page-view files of the Wikimedia dumps."""

import gzip
import zlib
from collections import Counter
from collections.abc import Collection, Iterable
from urllib.parse import unquote_to_bytes

import fsspec

from metadata.errors import InputError

__all__ = ["count_views"]


def count_views(
    paths: Iterable[str],
    wikis: Collection[str],
    bad_lines: Counter[str] | None = None,
) -> dict[str, Counter[str]]:
    """Sum the views of titles over page-view files.

    Args:
        paths: files with lines ``project title count bytes``, gzip or not. The projects ``en`` and
            ``en.m`` are the encyclopedia and its mobile site; ``en.b``, ``en.d`` and so on are
            other projects and left out.
        wikis: codes of the Wikipedias wanted, as in database names (``zh_yue``).
        bad_lines: if given, the number of lines that are none is added to it, by file.

    Returns:
        Per wiki, views by title, with spaces; lines that are none are skipped.

    Raises:
        InputError: a file is missing or cut off.
    """
    views: dict[str, Counter[str]] = {wiki: Counter() for wiki in wikis}
    wiki_of = {}
    for wiki in wikis:
        project = wiki.replace("_", "-").encode()
        wiki_of[project] = wiki_of[project + b".m"] = views[wiki]
    for path in paths:
        try:
            with fsspec.open(path, "rb", compression="infer") as file:
                num_bad = _add_file(file, wiki_of)
        except (OSError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"{path}: cannot be read as page views ({error}). Download it again."
            ) from error
        if num_bad and bad_lines is not None:
            bad_lines[path] += num_bad
    return views


def _add_file(lines: Iterable[bytes], wiki_of: dict[bytes, Counter[str]]) -> int:
    """Add the lines of a file to the wikis they speak of; return how many are no such lines."""
    num_bad = 0
    for line in lines:
        fields = line.split(b" ")
        # Most lines are of other wikis, so they are told apart before they are looked into.
        views = wiki_of.get(fields[0])
        if len(fields) != 4 or (views is not None and not _is_count(fields[2])):
            num_bad += 1
        elif views is not None:
            views[_title(fields[1])] += int(fields[2])
    return num_bad


def _is_count(field: bytes) -> bool:
    # int() is slow on long numbers and refuses very long ones; no title has 10**12 views an hour.
    return field.isdigit() and len(field) <= 12


def _title(raw: bytes) -> str:
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace").replace("_", " ")
