"""What the dumps of Wikimedia, or a mirror of them, have: dumps by wiki and day, page views by day.

A server has the articles in two layouts: `other/mediawiki_content_current/` has the MediaWiki
Content File Exports (`exports`), `<database>/<day>/` the legacy dumps (`legacy_dumps`).
`other/pageview_complete/` and `other/pageviews/` have the page views.
"""

from dataclasses import replace
from datetime import date, timedelta

import xxhash

from curate.errors import NotFoundError, UsageError
from curate.files.addresses import hide_secrets
from curate.metadata.fetch.download import Fetcher
from curate.metadata.fetch.notes import RemoteFile
from curate.metadata.wikipedia.dump_list import Dump
from curate.metadata.wikipedia.dump_names import Layout
from curate.metadata.wikipedia.exports import NotCompleteError, find_export
from curate.metadata.wikipedia.legacy_dumps import find_legacy_dump

__all__ = [
    "API_URL",
    "WIKIMEDIA",
    "find_dump",
    "pageview_files",
    "sample_days",
]

WIKIMEDIA = "https://dumps.wikimedia.org"
API_URL = "https://{project}.wikipedia.org/w/api.php"


def find_dump(
    fetcher: Fetcher, mirror: str, wiki: str, day: str = "latest", layout: Layout = "auto"
) -> Dump:
    """Ask a server for the files of a wiki's articles.

    Args:
        fetcher: to ask with.
        mirror: address of the server, up to where the folders of the wikis are.
        wiki: code of the Wikipedia.
        day: ``20260101``, or ``latest`` for the newest that is complete.
        layout: ``exports``, ``legacy``, or ``auto``: an export, and where the server has no
            complete one, as of closed wikis, a legacy dump.

    Raises:
        NotFoundError: the server has no such wiki or day.
        FetchError: it has, but nothing that is complete; or it cannot be asked.
    """
    mirror = mirror.rstrip("/")
    if layout == "legacy":
        return find_legacy_dump(fetcher, mirror, wiki, day)
    if layout == "exports":
        return find_export(fetcher, mirror, wiki, day)
    try:
        return find_export(fetcher, mirror, wiki, day)
    except (NotCompleteError, NotFoundError) as error:
        no_export = error
    try:
        dump = find_legacy_dump(fetcher, mirror, wiki, day)
    except NotFoundError as error:
        # An export that is being made is one to wait for; a wiki that is nowhere is none.
        kind = type(no_export)
        raise kind(f"{error}; {no_export}") from error
    said = f"{hide_secrets(str(no_export))}; the legacy dump of {dump.date} is taken"
    return replace(dump, said=(said,))


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
