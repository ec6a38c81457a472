"""A Wikipedia dump, streamed: `pages-articles` XML, bz2 or plain, never held in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, iterparse

import fsspec

from metadata.errors import InputError
from metadata.wikitext import DEFAULT_MEDIA_PREFIXES

__all__ = ["FILE_NAMESPACES", "MAIN_NAMESPACE", "Page", "read_pages"]

MAIN_NAMESPACE = 0
# Media, File and Category.
FILE_NAMESPACES = frozenset({-2, 6, 14})


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
    """

    title: str
    namespace: int
    redirect: str | None
    text: str
    media_prefixes: frozenset[str]


def read_pages(path: str) -> Iterator[Page]:
    """Yield the pages of a dump, one at a time.

    Args:
        path: local path or fsspec URL of ``….xml`` or ``….xml.bz2`` (also multistream).

    Raises:
        InputError: the file is missing, cut off or corrupt; names the page before.
    """
    title = "the beginning"
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            for page in _pages(iterparse(file, events=("start", "end"))):
                yield page
                title = repr(page.title)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such dump") from error
    except (ParseError, OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{path}: corrupt or cut off after {title} ({error}). Download it again."
        ) from error


def _pages(events: Iterator[tuple[str, Element]]) -> Iterator[Page]:
    _, root = next(events)
    prefixes = set(DEFAULT_MEDIA_PREFIXES)
    for event, element in events:
        if event == "start":
            continue
        tag = _local(element.tag)
        if tag == "namespace" and int(element.get("key", "0")) in FILE_NAMESPACES:
            prefixes.add((element.text or "").lower())
        elif tag == "page":
            yield _page(element, frozenset(prefixes))
            root.clear()  # pages that were read would pile up below the root


def _page(element: Element, media_prefixes: frozenset[str]) -> Page:
    found = {_local(child.tag): child for child in element.iter()}
    redirect = found.get("redirect")
    return Page(
        title=_text(found, "title"),
        namespace=int(_text(found, "ns") or 0),
        redirect=redirect.get("title", "") if redirect is not None else None,
        text=_text(found, "text"),
        media_prefixes=media_prefixes,
    )


def _text(found: dict[str, Element], tag: str) -> str:
    element = found.get(tag)
    return (element.text or "") if element is not None else ""


def _local(tag: str) -> str:
    """Return a tag without its namespace, which names the version of the export format."""
    return tag.rpartition("}")[2]
