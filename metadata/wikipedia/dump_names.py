"""What the names of dump files say: which wiki, of which day, which part of which kind.

Wikimedia has two layouts. The MediaWiki Content File Exports (``exports``) are named
``{database}-{YYYY-MM-DD}-p{first}p{last}.xml.bz2``, or ``…-p{page}r{revision}r{revision}…`` for a
part that holds one page; all namespaces are in them. The dumps before them (``legacy``) are named
``{database}-{YYYYMMDD}-pages-articles….xml….bz2``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = [
    "LAYOUTS",
    "DumpName",
    "Layout",
    "choose_dumps",
    "database_name",
    "dump_name",
    "export_day",
    "project_name",
    "wiki_of_database",
]

# ``auto`` is none of a file, but a way to choose: exports before legacy dumps.
Layout = Literal["auto", "exports", "legacy"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_EXPORT = re.compile(
    r"(?P<database>[a-z_]+)wiki-(?P<date>\d{4}-\d{2}-\d{2})-p(?P<first>\d+)"
    r"(?:p(?P<last>\d+)|r\d+r(?P<revision>\d+))\.xml(?:\.bz2|\.gz|\.zst)?"
)
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
        last_page: id of the last page of a part of an export.
        last_revision: of a part of an export that holds one page; None for other parts.
        layout: ``exports`` or ``legacy``.
        parquet: whether it holds plain text as Parquet.
        api: whether it was made from answers of the MediaWiki API.
    """

    wiki: str
    date: str
    multistream: bool
    first_page: int | None
    parquet: bool
    api: bool
    layout: Layout = "legacy"
    last_page: int | None = None
    last_revision: int | None = None


def database_name(wiki: str) -> str:
    """Return what a Wikipedia's dumps are called after.

    >>> database_name("zh_yue"), database_name("be_tarask")
    ('zh_yuewiki', 'be_x_oldwiki')
    """
    return _DATABASES.get(wiki, wiki) + "wiki"


def wiki_of_database(name: str) -> str | None:
    """Return the code of the Wikipedia that a database is called after; None for another name.

    >>> wiki_of_database("zh_yuewiki"), wiki_of_database("be_x_oldwiki"), wiki_of_database("old")
    ('zh_yue', 'be_tarask', None)
    """
    code = name.removesuffix("wiki")
    return None if code == name or not code else _WIKIS.get(code, code)


def export_day(date: str) -> str:
    """Return a day as exports write it.

    >>> export_day("20260801")
    '2026-08-01'
    """
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


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
    >>> found = dump_name("eswiki-2026-08-01-p5168647p9944278.xml.bz2")
    >>> found.wiki, found.date, found.layout, found.first_page, found.last_page
    ('es', '20260801', 'exports', 5168647, 9944278)
    """
    export = _EXPORT.fullmatch(name)
    if export is not None:
        return _export_name(export)
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


def _export_name(match: re.Match[str]) -> DumpName:
    first = int(match["first"])
    return DumpName(
        wiki=_WIKIS.get(match["database"], match["database"]),
        date=match["date"].replace("-", ""),
        multistream=False,
        first_page=first,
        parquet=False,
        api=False,
        layout="exports",
        last_page=int(match["last"]) if match["last"] else first,
        last_revision=int(match["revision"]) if match["revision"] else None,
    )


def choose_dumps(
    names: Iterable[str], date: str | None = None, layout: Layout = "auto"
) -> list[str]:
    """Choose, of the dumps of one wiki, files that hold every article once.

    Exports before legacy dumps; of several days the given or else the newest; of one day plain
    before multistream before Parquet, and a whole dump before parts; of several parts of one page
    the one of its newest revision.

    Args:
        names: file names that `dump_name` understands.
        date: of the dump; None for the newest there is.
        layout: ``exports`` or ``legacy`` for nothing else.

    Returns:
        In the order of their pages; [] if there is none of the date.

    >>> choose_dumps(["enwiki-20260101-pages-articles.xml.bz2",
    ...               "enwiki-20250101-pages-articles.xml.bz2"])
    ['enwiki-20260101-pages-articles.xml.bz2']
    """
    read = {name: found for name in names if (found := dump_name(name)) and not found.api}
    read = {name: found for name, found in read.items() if date in (None, found.date)}
    layouts = {found.layout for found in read.values() if layout in ("auto", found.layout)}
    if not layouts:
        return []
    read = {name: found for name, found in read.items() if found.layout == min(layouts)}
    newest = max(found.date for found in read.values())
    chosen = {name: found for name, found in read.items() if found.date == newest}
    if min(layouts) == "exports":
        return _each_page_once(chosen)
    kind = min((found.parquet, found.multistream) for found in chosen.values())
    chosen = {n: f for n, f in chosen.items() if (f.parquet, f.multistream) == kind}
    whole = [name for name, found in chosen.items() if found.first_page is None]
    return sorted(whole) or sorted(chosen, key=lambda name: (chosen[name].first_page, name))


def _each_page_once(chosen: dict[str, DumpName]) -> list[str]:
    """Return the parts of an export in the order of their pages, one for a page that has its own.

    The same part may be there compressed and not.
    """
    best: dict[tuple[int, int], tuple[int, str]] = {}
    for name, found in chosen.items():
        first, last = found.first_page or 0, found.last_page or 0
        rank = (-1 if found.last_revision is None else found.last_revision, name)
        best[first, last] = max(best.get((first, last), rank), rank)
    return [best[pages][1] for pages in sorted(best)]
