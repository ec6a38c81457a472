"""A Wikipedia dump, streamed: XML of either layout in, pages out, never held in memory.

A dump is cut into parts that workers share out (`split_dump`). A part gives the pages that begin in
it, so that every page comes once, however the file is cut. Pages are parsed one by one: one that is
no XML is counted, and the others come. Where one namespace is asked for, a page of another is known
by the bytes behind its title and counted, and nobody looks at its text: half of an export is talk.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError, fromstring

from curate.errors import InputError
from curate.metadata.wikipedia.bz2_blocks import BlockError
from curate.metadata.wikipedia.dump_file import FilePart, read_head, read_part_bytes, split_file
from curate.metadata.wikipedia.export_parts import PageSpan
from curate.metadata.wikipedia.page_cutter import CutOff, cut_pages
from curate.metadata.wikipedia.wikitext import DEFAULT_MEDIA_PREFIXES

__all__ = [
    "BROKEN",
    "BYTES",
    "ELSEWHERE",
    "FILE_NAMESPACES",
    "MAIN_NAMESPACE",
    "OTHER_NAMESPACE",
    "DumpPart",
    "Page",
    "read_pages",
    "read_part",
    "split_dump",
]

MAIN_NAMESPACE = 0
# Media, File and Category.
FILE_NAMESPACES = frozenset({-2, 6, 14})
BROKEN = "broken"
BYTES = "bytes"
OTHER_NAMESPACE = "other_namespace"
# Of a part of an export: pages that by their id belong to another one.
ELSEWHERE = "of_another_part"
# What stands before everything else in a page, in this order since version 0.6 of the schema.
_HEAD = re.compile(
    rb"<page>\s*<title>[^<]*</title>\s*<ns>\s*(?P<ns>-?\d+)\s*</ns>(?:\s*<id>\s*(?P<id>\d+)\s*</id>)?"
)
_UNREADABLE = (BlockError, CutOff, OSError, EOFError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a dump.

    Attributes:
        title: with its namespace, as the page is called.
        namespace: 0 for articles.
        redirect: the title it leads to, or None.
        text: wikitext.
        media_prefixes: names of the namespaces whose links are no text (files, categories), in the
            wiki's own language, lower-cased.
        page_id: None if the dump does not say.
    """

    title: str
    namespace: int
    redirect: str | None
    text: str
    media_prefixes: frozenset[str]
    page_id: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpPart:
    """A part of a dump, and what its siteinfo says; picklable.

    Attributes:
        file: where the part is.
        namespaces: key of each namespace by its lower-cased name.
        span: the pages that count in this file, of an export in several; None for all.
    """

    file: FilePart
    namespaces: dict[str, int]
    span: PageSpan | None = None

    @property
    def path(self) -> str:
        """Where the dump is."""
        return self.file.path


def split_dump(
    path: str, part_bytes: int | None = None, span: PageSpan | None = None
) -> list[DumpPart]:
    """Cut a dump into parts.

    Args:
        path: local path or fsspec URL of ``….xml`` or ``….xml.bz2``, multistream or not; other
            compressed files are one part.
        part_bytes: size of a part, as the file is on the disk; None for one part.
        span: the pages that count in the file; None for all.

    Raises:
        InputError: the file is missing, is no dump, or its beginning is corrupt.
    """
    try:
        whole, head = read_head(path)
        if not head:
            raise CutOff("it is empty")
        files = [whole] if part_bytes is None else split_file(whole, part_bytes)
    except _UNREADABLE as error:
        raise _unreadable(path, "the beginning", error) from error
    namespaces = _namespaces(head, path)
    return [DumpPart(file=file, namespaces=namespaces, span=span) for file in files]


def _unreadable(path: str, place: str, error: Exception) -> InputError:
    return InputError(f"{path}: corrupt or cut off after {place} ({error}). Download it again.")


def _namespaces(head: bytes, path: str) -> dict[str, int]:
    if b"<mediawiki" not in head:
        raise InputError(
            f"{path}: no dump of a wiki; expected XML that begins with <mediawiki>, got "
            f"{head[:60]!r}"
        )
    start, end = head.find(b"<namespaces>"), head.find(b"</namespaces>")
    if not 0 <= start < end:
        return {}
    try:
        listed = fromstring(head[start : end + len(b"</namespaces>")])
        return {(e.text or "").lower(): int(e.get("key", "0")) for e in listed if e.text}
    except (ParseError, ValueError) as error:
        raise InputError(f"{path}: the list of its namespaces is damaged ({error})") from error


def read_pages(path: str, tally: Counter[str] | None = None) -> Iterator[Page]:
    """Yield the pages of a dump, one at a time.

    Args:
        path: as for `split_dump`.
        tally: if given, the number of pages that are no XML is added to it, as ``broken``, and the
            size of all others, as ``bytes``.

    Raises:
        InputError: the file is missing, cut off or corrupt; names the page before.
    """
    for part in split_dump(path):
        yield from read_part(part, tally)


def read_part(
    part: DumpPart, tally: Counter[str] | None = None, namespace: int | None = None
) -> Iterator[Page]:
    """Yield the pages that begin in a part of a dump.

    Args:
        part: of `split_dump`.
        tally: as for `read_pages`; also the number of pages that are left out, as
            ``other_namespace`` and ``of_another_part``.
        namespace: of the pages wanted; None for all.

    Raises:
        InputError: the file is cut off or corrupt; names the page before.
    """
    file = part.file
    place = f"byte {file.start:,}" if file.start else "the beginning"
    media = frozenset(n for n, key in part.namespaces.items() if key in FILE_NAMESPACES)
    media |= DEFAULT_MEDIA_PREFIXES
    tally = Counter() if tally is None else tally
    try:
        for xml in cut_pages(read_part_bytes(file)):
            if xml is None:
                tally[BROKEN] += 1
                continue
            head = _HEAD.match(xml)
            left_out = _left_out(part.span, namespace, head["ns"], head["id"]) if head else None
            page = None if left_out else _page(xml, part.namespaces, media)
            if page is not None and head is None:
                left_out = _left_out(part.span, namespace, page.namespace, page.page_id)
            kind = left_out or (BROKEN if page is None else BYTES)
            tally[kind] += len(xml) if kind == BYTES else 1
            if left_out is not None:
                tally[BYTES] += len(xml)
            elif page is not None:
                yield page
                place = repr(page.title)
    except _UNREADABLE as error:
        raise _unreadable(file.path, place, error) from error


def _left_out(
    span: PageSpan | None, wanted: int | None, namespace: bytes | int, page_id: bytes | int | None
) -> str | None:
    """Return why a page does not count; None if it does."""
    if span is not None and page_id is not None and not span.holds(int(page_id)):
        return ELSEWHERE
    return OTHER_NAMESPACE if wanted is not None and int(namespace) != wanted else None


def _page(xml: bytes, namespaces: dict[str, int], media_prefixes: frozenset[str]) -> Page | None:
    """Read a page; None if it is no XML, or has no title."""
    try:
        page = fromstring(xml)
        title = page.findtext("title", "")
        redirect = page.find("redirect")
        page_id = page.findtext("id")
        return Page(
            title=title,
            # Old dumps do not say; the title does.
            namespace=int(
                page.findtext("ns") or namespaces.get(title.partition(":")[0].lower(), 0)
            ),
            redirect=redirect.get("title", "") if redirect is not None else None,
            text=_text(page),
            media_prefixes=media_prefixes,
            page_id=int(page_id) if page_id else None,
        ) if title else None  # fmt: skip
    except (ParseError, ValueError):
        return None


def _text(page: Element) -> str:
    """Return the text of the last revision: of its main slot, not of others (schema 0.11)."""
    revisions = page.findall("revision")
    return (revisions[-1] if revisions else page).findtext("text", "")
