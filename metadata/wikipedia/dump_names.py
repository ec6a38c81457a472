"""What the names of dump files say: which wiki, of which day, which part of which kind."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["DumpName", "choose_dumps", "database_name", "dump_name", "project_name"]

_NAME = re.compile(
    r"(?P<database>[a-z_]+)wiki(?:-(?P<date>\d{8}))?(?P<rest>[-.].*)?"
    r"(?:\.xml(?:-p(?P<first>\d+)p\d+)?(?:\.bz2|\.gz)?|\.parquet)"
)
# Other dumps of the same wikis: without text, with every revision, of something else; and the
# feeds that announce a dump under its name.
_NO_ARTICLES = re.compile(r"stub-|pages-meta|pages-logging|abstract|-rss\.xml")
# Names of databases are never changed, codes of languages sometimes are.
_DATABASES = {"be_tarask": "be_x_old"}
_WIKIS = {database: wiki for wiki, database in _DATABASES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpName:
    """What a file name says.

    Attributes:
        wiki: code of the Wikipedia, ``zh_yue``.
        date: ``20260101``; "" if the name has none.
        multistream: whether it is of the kind that can be read from its middle.
        first_page: id of the first page of a part; None for a whole dump.
        parquet: whether it holds plain text as Parquet.
        api: whether it was made from answers of the MediaWiki API.
    """

    wiki: str
    date: str
    multistream: bool
    first_page: int | None
    parquet: bool
    api: bool


def database_name(wiki: str) -> str:
    """Return what a Wikipedia's dumps are called after.

    >>> database_name("zh_yue"), database_name("be_tarask")
    ('zh_yuewiki', 'be_x_oldwiki')
    """
    return _DATABASES.get(wiki, wiki) + "wiki"


def project_name(wiki: str) -> str:
    """Return the first part of a Wikipedia's address, by which page views name it.

    >>> project_name("zh_yue")
    'zh-yue'
    """
    return wiki.replace("_", "-")


def dump_name(name: str) -> DumpName | None:
    """Read the name of a dump of articles; None if it is something else.

    >>> found = dump_name("enwiki-20260101-pages-articles2.xml-p41243p151573.bz2")
    >>> found.wiki, found.date, found.first_page, found.multistream
    ('en', '20260101', 41243, False)
    >>> dump_name("enwiki-20260101-stub-articles.xml.gz") is None
    True
    """
    match = _NAME.fullmatch(name)
    if match is None or _NO_ARTICLES.search(name):
        return None
    rest = match["rest"] or ""
    return DumpName(
        wiki=_WIKIS.get(match["database"], match["database"]),
        date=match["date"] or "",
        multistream="multistream" in rest,
        first_page=int(match["first"]) if match["first"] else None,
        parquet=name.endswith(".parquet"),
        api=rest.startswith("-api"),
    )


def choose_dumps(names: Iterable[str], date: str | None = None) -> list[str]:
    """Choose, of the dumps of one wiki, files that hold every article once.

    Of several days the given or else the newest; of one day plain before multistream before
    Parquet, and a whole dump before parts.

    Args:
        names: file names that `dump_name` understands.
        date: of the dump; None for the newest there is.

    Returns:
        In the order of their pages; [] if there is none of the date.

    >>> choose_dumps(["enwiki-20260101-pages-articles.xml.bz2",
    ...               "enwiki-20250101-pages-articles.xml.bz2"])
    ['enwiki-20260101-pages-articles.xml.bz2']
    """
    read = {name: found for name in names if (found := dump_name(name)) and not found.api}
    dates = {found.date for found in read.values() if date in (None, found.date)}
    if not dates:
        return []
    chosen = {name: found for name, found in read.items() if found.date == max(dates)}
    kind = min((found.parquet, found.multistream) for found in chosen.values())
    chosen = {n: f for n, f in chosen.items() if (f.parquet, f.multistream) == kind}
    whole = [name for name, found in chosen.items() if found.first_page is None]
    return sorted(whole) or sorted(chosen, key=lambda name: (chosen[name].first_page, name))
