"""What the dumps of Wikimedia, or a mirror of them, have: dumps by wiki and day, page views by day.

A server has `<database>/<day>/dumpstatus.json`, which lists the jobs of a dump with the files of
each, their size and sha1; `other/pageview_complete/` and `other/pageviews/` have the page views.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import xxhash

from curate.errors import FetchError, InputError, NotFoundError, UsageError
from curate.metadata.fetch.download import Fetcher
from curate.metadata.fetch.notes import RemoteFile, publish_json
from curate.metadata.wikipedia.dump_names import database_name, dump_name

__all__ = [
    "API_URL",
    "WIKIMEDIA",
    "Dump",
    "find_dump",
    "pageview_files",
    "read_dump",
    "sample_days",
    "written_down",
]

WIKIMEDIA = "https://dumps.wikimedia.org"
API_URL = "https://{project}.wikipedia.org/w/api.php"
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
_SUFFIX = ".dump.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The files that hold every article of a wiki once, as listed by a server.

    Attributes:
        mirror: address of the server.
        wiki: code of the Wikipedia.
        date: day of the dump.
        job: of dumpstatus.json, that the files are of.
        files: in the order of their pages.
    """

    mirror: str
    wiki: str
    date: str
    job: str
    files: tuple[RemoteFile, ...]

    def at(self, mirror: str) -> "Dump":
        """Return the same files on another server."""
        files = tuple(file.at(self.mirror, mirror) for file in self.files)
        return replace(self, mirror=mirror, files=files)

    def write(self, folder: Path) -> None:
        """Write down what was found, so that a run that goes on fetches the same files."""
        publish_json(folder / f"{database_name(self.wiki)}-{self.date}{_SUFFIX}", asdict(self))


def read_dump(folder: Path, wiki: str, day: str | None = None) -> Dump | None:
    """Read what an earlier run wrote down of a wiki's dump.

    Args:
        folder: where the dumps are.
        wiki: code of the Wikipedia.
        day: ``20260101``; None for the newest.

    Returns:
        None if nothing was written down.

    Raises:
        InputError: the file is damaged.
    """
    found = sorted(folder.glob(f"{database_name(wiki)}-{day or '*'}{_SUFFIX}"))
    if not found:
        return None
    try:
        values = json.loads(found[-1].read_bytes())
        files = tuple(RemoteFile(**file) for file in values.pop("files"))
        return Dump(**values, files=files)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{found[-1]}: not readable as the list of a dump's files ({error}). Remove it; it is "
            "made again."
        ) from error


def written_down(folder: Path, day: str | None = None) -> frozenset[str]:
    """Return the wikis that something was written down of, of a day or of any."""
    names = (path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*-{day or '*'}{_SUFFIX}"))
    read = (dump_name(f"{name}.parquet") for name in names)
    return frozenset(found.wiki for found in read if found is not None)


def find_dump(fetcher: Fetcher, mirror: str, wiki: str, day: str = "latest") -> Dump:
    """Ask a server for the files of a wiki's dump.

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


def sample_days(num_days: int, first: date, last: date, seed: int = 0) -> list[date]:
    """Draw days by hash: the same for everyone, and more days hold all that fewer do.

    Args:
        num_days: how many; all there are if there are fewer.
        first: earliest day.
        last: latest day, included.
        seed: of the hash.

    Returns:
        Ascending.

    Raises:
        UsageError: no day to draw, or none wanted.

    >>> [str(d) for d in sample_days(2, date(2020, 1, 1), date(2020, 12, 31))]
    ['2020-03-04', '2020-12-03']
    """
    if num_days < 1:
        raise UsageError(f"--pageview-days is {num_days}; expected 1 or more")
    if last < first:
        raise UsageError(f"--pageview-from {first} is after --pageview-to {last}")
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    days.sort(key=lambda day: xxhash.xxh3_64_intdigest(day.isoformat().encode(), seed))
    return sorted(days[:num_days])


def pageview_files(mirror: str, day: date, kind: str = "daily") -> list[RemoteFile]:
    """Return where the page views of a day are: one file (``daily``), or one an hour (``hourly``).

    Daily files hold what people looked at; what calls itself or looks like a program is in others.

    Source: https://dumps.wikimedia.org/other/pageview_complete/readme.html

    >>> pageview_files(WIKIMEDIA, date(2020, 3, 1))[0].url.removeprefix(WIKIMEDIA)
    '/other/pageview_complete/2020/2020-03/pageviews-20200301-user.bz2'
    """
    names = (
        [f"pageviews-{day:%Y%m%d}-user.bz2"]
        if kind == "daily"
        else [f"pageviews-{day:%Y%m%d}-{hour:02d}0000.gz" for hour in range(24)]
    )
    folder = "pageview_complete" if kind == "daily" else "pageviews"
    base = f"{mirror.rstrip('/')}/other/{folder}/{day:%Y}/{day:%Y-%m}"
    return [RemoteFile(name=n, url=f"{base}/{n}", date=f"{day:%Y%m%d}") for n in names]
