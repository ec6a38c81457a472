"""MediaWiki Content File Exports: what a server has of them, and whether it is complete.

`other/mediawiki_content_current/{database}/{YYYY-MM-DD}/xml/bzip2/` holds, once a month, the
current text of every page of every namespace, in parts by page ids. `SHA256SUMS` and `_SUCCESS` are
written last, so a date without them is not complete; neither is one whose parts and sums do not
agree. There is no `latest/`. Closed wikis have an empty folder or none.

Source: https://wikitech.wikimedia.org/wiki/MediaWiki_Content_File_Exports
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from curate.errors import FetchError, InputError, NotFoundError
from curate.metadata.fetch.download import Fetcher
from curate.metadata.fetch.notes import RemoteFile
from curate.metadata.wikipedia.dump_list import Dump
from curate.metadata.wikipedia.dump_names import (
    DumpName,
    choose_dumps,
    database_name,
    dump_name,
    export_day,
    wiki_of_database,
)
from curate.metadata.wikipedia.export_parts import require_apart

__all__ = ["SUMS", "NotCompleteError", "find_export", "listed_wikis", "read_sums", "wrong_parts"]

SUMS = "SHA256SUMS"
_DONE = "_SUCCESS"
_ROOT = "other/mediawiki_content_current"
_NAME = re.compile(r"""href=["'](?:\./)?([^"'/?#]+)/?["']""")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_XML = (".xml", ".xml.bz2")
_SUM = re.compile(r"(?P<sha256>[0-9a-fA-F]{64}) [ *](?:\./)?(?P<name>[^/\s]+)")
# About the last three months stand on the server.
_DAYS_TO_TRY = 6


class NotCompleteError(FetchError):
    """An export that is being made, or that is damaged, and why it is taken for one."""


def find_export(fetcher: Fetcher, mirror: str, wiki: str, day: str = "latest") -> Dump:
    """Ask a server for the files of a wiki's export.

    Args:
        fetcher: to ask with.
        mirror: address of the server.
        wiki: code of the Wikipedia.
        day: ``20260101``, or ``latest`` for the newest that is complete.

    Raises:
        NotFoundError: the server has no export of the wiki, or of the day.
        NotCompleteError: it has, but none that is complete.
        FetchError: it cannot be asked.
    """
    base = f"{mirror.rstrip('/')}/{_ROOT}/{database_name(wiki)}"
    days = _days(fetcher, base, wiki) if day == "latest" else [export_day(day)]
    passed = []
    for candidate in days[:_DAYS_TO_TRY]:
        try:
            files = _files(fetcher, f"{base}/{candidate}/xml/bzip2", wiki, candidate)
        except NotFoundError:
            continue
        except NotCompleteError as error:
            passed.append(f"the export {candidate} of {database_name(wiki)} {error}")
            continue
        date = candidate.replace("-", "")
        return Dump(
            mirror=mirror.rstrip("/"), wiki=wiki, date=date, job="mediawiki_content_current",
            files=files, layout="exports", said=tuple(passed),
        )  # fmt: skip
    if passed:
        raise NotCompleteError(f"{base}/: {'; '.join(passed)}")
    when = "" if day == "latest" else f" of {days[0]}"
    raise NotFoundError(f"{base}/: there is no export{when}, as of closed wikis")


def _days(fetcher: Fetcher, base: str, wiki: str) -> list[str]:
    """Return the days that a wiki has exports of, the newest first."""
    try:
        names = _NAME.findall(fetcher.text(f"{base}/"))
    except NotFoundError as error:
        raise NotFoundError(
            f"{base}/: there are no exports of {database_name(wiki)} on the server (404)"
        ) from error
    return sorted({name for name in names if _DAY.fullmatch(name)}, reverse=True)


def _files(fetcher: Fetcher, folder: str, wiki: str, day: str) -> tuple[RemoteFile, ...]:
    """Return the parts of an export, with sizes and sums.

    Raises:
        NotFoundError: there is nothing.
        NotCompleteError: it is not complete.
    """
    listed = set(_NAME.findall(fetcher.text(f"{folder}/")))
    if _DONE not in listed:
        raise NotCompleteError(f"has no {_DONE}: it is not done")
    try:
        sums = read_sums(fetcher.text(f"{folder}/{SUMS}"))
    except NotFoundError as error:
        raise NotCompleteError(f"has no {SUMS}: it is not done") from error
    problem = wrong_parts(listed, sums, wiki, day.replace("-", ""))
    if problem is not None:
        raise NotCompleteError(problem)
    files = [
        RemoteFile(name=name, url=f"{folder}/{name}", date=day.replace("-", ""), sha256=sums[name])
        for name in choose_dumps(sums)
    ]
    return tuple(_sized(fetcher, file) for file in files)


def _sized(fetcher: Fetcher, file: RemoteFile) -> RemoteFile:
    try:
        return replace(file, size_bytes=fetcher.size(file.url))
    except NotFoundError as error:
        raise NotCompleteError(f"lists {file.name}, which is not there") from error


def read_sums(text: str) -> dict[str, str]:
    r"""Read the sums of files of XML, by name, which leads out of no folder.

    >>> read_sums(f"{'0' * 64}  dewiki-2026-08-01-p1p9.xml.bz2\n{'0' * 64}  ../x.xml.bz2").keys()
    dict_keys(['dewiki-2026-08-01-p1p9.xml.bz2'])
    """
    found = {}
    for line in text.splitlines():
        match = _SUM.fullmatch(line.strip())
        if match is not None and match["name"].endswith(_XML):
            found[match["name"]] = match["sha256"].lower()
    return found


def _is_part(found: DumpName | None, wiki: str, day: str) -> bool:
    if found is None or found.layout != "exports":
        return False
    return (found.wiki, found.date) == (wiki, day)


def wrong_parts(there: Iterable[str], sums: Collection[str], wiki: str, day: str) -> str | None:
    """Return what is wrong between the parts that are there and those that have a sum.

    Args:
        there: names of files in the folder of an export.
        sums: names of parts that have a sum.
        wiki: code of the Wikipedia.
        day: of the export, ``20260101``.
    """
    names = {name for name in there if name.endswith(_XML)}
    for name in sorted(names | set(sums)):
        if not _is_part(dump_name(name), wiki, day):
            return f"holds or lists {_shown(name)}, which is of another wiki, date or kind"
    if not sums:
        return f"has a {SUMS} without any of its parts"
    for name in sorted(names - set(sums)):
        return f"holds {name}, of which {SUMS} has no sum"
    for name in sorted(set(sums) - names):
        return f"lists {name}, which is not there"
    try:
        require_apart({name: found for name in sums if (found := dump_name(name)) is not None})
    except InputError as error:
        return f"is damaged: {error}"
    return None


def _shown(name: str) -> str:
    """Return a name that a server made up, so that it does nothing on a terminal."""
    return name if name.isprintable() and len(name) < 200 else ascii(name[:200])


def listed_wikis(fetcher: Fetcher, mirror: str) -> frozenset[str]:
    """Return the codes of everything that is called after a wiki where a server has exports.

    Returns:
        Codes, also of wikis that are no Wikipedias; none if the server lists nothing.

    Raises:
        FetchError: the server cannot be asked.
    """
    try:
        names = _NAME.findall(fetcher.text(f"{mirror.rstrip('/')}/{_ROOT}/"))
    except NotFoundError:
        return frozenset()
    codes = (wiki_of_database(name) for name in names)
    return frozenset(code for code in codes if code is not None)
