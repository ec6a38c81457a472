"""The dumps of articles as Wikimedia made them until 2026: `{database}/{YYYYMMDD}/dumpstatus.json`.

The status lists the jobs of a dump with the files of each, their size and sha1. Wikimedia calls
these dumps deprecated, since their machinery can no longer reliably make those of the larger wikis.
"""

import json
import re
from dataclasses import replace
from typing import Any

from curate.errors import FetchError, NotFoundError
from curate.metadata.fetch.download import Fetcher
from curate.metadata.fetch.notes import RemoteFile
from curate.metadata.wikipedia.dump_list import Dump
from curate.metadata.wikipedia.dump_names import database_name, dump_name

__all__ = ["find_legacy_dump"]

# Plain before multistream; parts, which can be counted side by side, before the whole of them.
_JOBS = (
    "articlesdump",
    "articlesdumprecombine",
    "articlesmultistreamdump",
    "articlesmultistreamdumprecombine",
)
_DAY = re.compile(r"""href=["'](?:[^"']*/)?(\d{8})/?["']""")
_LISTED = re.compile(r"(?P<sha1>[0-9a-f]{40})\s+(?P<name>\S+)")
# Months, in effect: one of the last dumps is complete, or the mirror is out of order.
_DAYS_TO_TRY = 6


def find_legacy_dump(fetcher: Fetcher, mirror: str, wiki: str, day: str = "latest") -> Dump:
    """Ask a server for the files of a wiki's legacy dump.

    Args:
        fetcher: to ask with.
        mirror: address of the server, up to where the folders of the wikis are.
        wiki: code of the Wikipedia.
        day: ``20260101``, or ``latest`` for the newest that is complete.

    Raises:
        NotFoundError: the server has no such wiki or day.
        FetchError: it has, but no dump that is complete; or it cannot be asked.
    """
    mirror = mirror.rstrip("/")
    base = f"{mirror}/{database_name(wiki)}"
    if day != "latest":
        dump = _dump_of(fetcher, mirror, wiki, day)
        if dump is None:
            raise FetchError(
                f"{base}/{day}/: the dump of articles is not complete. Name another --dump-date, "
                "or latest."
            )
        return dump
    days = _days(fetcher, base)
    for candidate in days[:_DAYS_TO_TRY]:
        try:
            dump = _dump_of(fetcher, mirror, wiki, candidate)
        except NotFoundError:
            continue  # a folder that is being filled or emptied has no dumpstatus.json
        if dump is not None:
            return dump
    raise FetchError(
        f"{base}/: no complete dump of articles, among {', '.join(days[:_DAYS_TO_TRY]) or 'none'}. "
        "Name another --mirror."
    )


def _days(fetcher: Fetcher, base: str) -> list[str]:
    """Return the days that a wiki has dumps of, the newest first."""
    try:
        days = set(_DAY.findall(fetcher.text(f"{base}/")))
    except NotFoundError:
        days = set()
    if not days:
        # A mirror may not list folders. The feed of the newest dump says which day it is of.
        name = base.rsplit("/", 1)[-1]
        try:
            feed = fetcher.text(f"{base}/latest/{name}-latest-pages-articles.xml.bz2-rss.xml")
        except NotFoundError as error:
            raise NotFoundError(f"{base}/: there is no such wiki on the server (404)") from error
        days = set(re.findall(rf"/{name}/(\d{{8}})", feed))
    return sorted(days, reverse=True)


def _dump_of(fetcher: Fetcher, mirror: str, wiki: str, day: str) -> Dump | None:
    """Return the dump of a day; None if it is not complete."""
    folder = f"{mirror}/{database_name(wiki)}/{day}"
    url = f"{folder}/dumpstatus.json"
    try:
        jobs = json.loads(fetcher.text(url))["jobs"]
        for job in _JOBS:
            files = _files(jobs.get(job, {}), folder, wiki, day)
            if files:
                files = _with_sha1(fetcher, folder, files)
                return Dump(mirror=mirror, wiki=wiki, date=day, job=job, files=files)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FetchError(
            f"{url}: not readable as the status of a dump ({type(error).__name__}: {error}). "
            "Name another --mirror."
        ) from error
    return None


def _files(job: dict[str, Any], folder: str, wiki: str, day: str) -> tuple[RemoteFile, ...]:
    if job.get("status") != "done":
        return ()
    found = {}
    for name, values in job.get("files", {}).items():
        read = dump_name(name)  # also what keeps a name from leading out of the folder
        if read is not None and (read.wiki, read.date) == (wiki, day):
            found[read.first_page or 0, name] = RemoteFile(
                name=name,
                url=f"{folder}/{name}",
                date=day,
                size_bytes=int(values["size"]),
                sha1=values.get("sha1"),
            )
    return tuple(found[key] for key in sorted(found))


def _with_sha1(
    fetcher: Fetcher, folder: str, files: tuple[RemoteFile, ...]
) -> tuple[RemoteFile, ...]:
    """Fill in checksums that dumpstatus.json leaves out, as on some mirrors."""
    if all(file.sha1 for file in files):
        return files
    stem = "-".join(files[0].name.split("-")[:2])
    try:
        text = fetcher.text(f"{folder}/{stem}-sha1sums.txt")
    except NotFoundError:
        return files
    listed = {match["name"]: match["sha1"] for match in _LISTED.finditer(text)}
    return tuple(replace(file, sha1=file.sha1 or listed.get(file.name)) for file in files)
