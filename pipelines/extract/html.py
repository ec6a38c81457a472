"""A page in, its images out: every address of every image, and the texts that describe it."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from curate.pipelines.opt_outs.content import META_NAMES

__all__ = ["TEXT_KEYS", "Image", "PageImages", "meta_elements", "parse_page", "srcset_addresses"]

TEXT_KEYS = ("alt", "title", "data-image-title", "aria-label", "figcaption")

# Where scripts that load images late keep their addresses.
_LATE_URLS = frozenset(
    {"data-actual", "data-actualsrc", "data-echo", "data-flickity-lazyload", "data-full-src",
     "data-hi-res-src", "data-highres", "data-image", "data-img-src", "data-large-file",
     "data-large_image", "data-lazy", "data-lazy-src", "data-lazyload", "data-ll-src",
     "data-orig-file", "data-original", "data-original-src", "data-src", "lazy-src"}
)  # fmt: skip
_SRCSETS = ("srcset", "data-srcset", "data-lazy-srcset", "data-original-set", "data-ll-srcset")
_WORDS = ("true", "false", "lazy", "auto", "none", "null", "undefined", "1", "0")

_TAG = re.compile(rb"<(?:ima?g|amp-img)", re.IGNORECASE)  # <image> is parsed as <img>
_TAG_STR = re.compile(_TAG.pattern.decode(), re.IGNORECASE)
_SPACES = " \t\n\f\r"
_SPACE_RUN = re.compile("[ \t\n\f\r]+")
# Numbers of a candidate by the last letter of its descriptor: width, height, density.
_PIXELS, _MAX_PIXELS = re.compile(r"[0-9]{1,20}"), (1 << 31) - 1
_DENSITY = re.compile(r"-?(?:[0-9]+|[0-9]*\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBERS, _NO_NUMBER = {"w": _PIXELS, "h": _PIXELS, "x": _DENSITY}, re.compile(r"(?!)")
_SMALL_STYLE = re.compile(r"(?:^|;)\s*(?:width|height)\s*:\s*[01](?:\.\d*)?(?:px)?\s*(?:;|$)")
_SMALL = re.compile(r"\s*\+?0*[01](?:\.\d*)?(?:px)?\s*$")
_CAPTION_NODES = 100_000
_AMP = frozenset({"amp", "\u26a1"})  # attributes of <html>, on pages that have <amp-img>
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
     "font", "i", "ins", "kbd", "mark", "q", "rb", "rt", "ruby", "s", "samp", "small", "span",
     "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr", "nobr", "label"}
)  # fmt: skip
_SILENT = frozenset({"script", "style", "noscript", "template", "title", "textarea"})


class Image(NamedTuple):
    """An image as it is written on a page.

    Attributes:
        urls: distinct, not resolved yet: `src`, the largest of each `srcset`, late ones.
        texts: (key, text) in the order of TEXT_KEYS, none of them empty.
        is_pixel: the page gives it a width or height of at most one pixel.
    """

    urls: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    is_pixel: bool


@dataclass(frozen=True, slots=True)
class PageImages:
    """What a page holds.

    Attributes:
        images: in its order.
        base_href: of its `<base>`.
        lang: as it says.
        num_left_out: images that were too many.
        metas: names, lower-cased, and contents of its meta elements in which sites say no.
    """

    images: list[Image]
    base_href: str | None
    lang: str | None
    num_left_out: int
    metas: tuple[tuple[str, str], ...] = ()


def parse_page(html: bytes | str, *, srcset: str = "largest", max_images: int) -> PageImages:
    """Find the images of a page, as the HTML standard parses it.

    Args:
        html: as `decode_page` gives it.
        srcset: ``largest``, ``all`` or ``none`` of the addresses of a `srcset`.
        max_images: of a page; more are counted and left out.

    Source: HTML standard, sections 13.2 (parsing) and 4.8.4 (images).
    """
    is_found = _TAG.search(html) if isinstance(html, bytes) else _TAG_STR.search(html)
    if not is_found:  # however broken, without such a tag no page has an image
        return PageImages([], None, None, 0)
    document = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS)
    nodes = document.tags("img")
    root = document.root
    if root is not None and not _AMP.isdisjoint(root.attributes):
        nodes = document.css("img, amp-img")
    captions = _captions(document)
    images = [_image(node, captions.get(node.mem_id), srcset) for node in nodes[:max_images]]
    num_left_out = max(0, len(nodes) - max_images)
    return PageImages(images, _base_href(document), _lang(document), num_left_out, _metas(document))


def meta_elements(html: bytes | str) -> tuple[tuple[str, str], ...]:
    """Return names and contents of a page's meta elements in which sites say no, images or not."""
    return _metas(LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS))


def _base_href(document: LexborHTMLParser) -> str | None:
    for node in document.tags("base"):
        attributes = node.attributes
        if "href" in attributes:
            return attributes["href"] or ""
    return None


def _lang(document: LexborHTMLParser) -> str | None:
    root = document.root
    if root is None:
        return None
    written = root.attributes.get("lang") or root.attributes.get("xml:lang")
    if not written:
        head = document.head
        meta = head and head.css_first('meta[http-equiv="content-language" i]')
        written = meta.attributes.get("content") if meta is not None else None
    return (written or "").strip() or None


def _metas(document: LexborHTMLParser) -> tuple[tuple[str, str], ...]:
    found = []
    for node in document.tags("meta"):
        attributes = node.attributes
        name = (attributes.get("name") or "").strip(_SPACES).lower()
        if name in META_NAMES:
            found.append((name, attributes.get("content") or ""))
    return tuple(found)


def _image(node: LexborNode, caption: str | None, srcset: str) -> Image:
    attributes = node.attributes
    urls: dict[str, None] = {}
    if src := attributes.get("src"):
        urls[src.strip(_SPACES)] = None
    if srcset != "none":
        if not attributes.keys().isdisjoint(_SRCSETS):
            for written in _srcsets(attributes):
                urls |= dict.fromkeys(_chosen(written, srcset))
        parent = node.parent
        if parent is not None and parent.tag == "picture":
            for written in _picture_sources(parent, node):
                urls |= dict.fromkeys(_chosen(written, srcset))
    if not attributes.keys().isdisjoint(_LATE_URLS):
        for name, value in attributes.items():
            if name in _LATE_URLS and value and value.strip(_SPACES).lower() not in _WORDS:
                urls[value.strip(_SPACES)] = None
    urls.pop("", None)
    return Image(tuple(urls), _texts(attributes, caption), _is_pixel(node, attributes))


def _texts(attributes: dict[str, str | None], caption: str | None) -> tuple[tuple[str, str], ...]:
    texts = []
    for key in TEXT_KEYS[:-1]:
        if value := attributes.get(key):
            text = one_line(value)
            if text:
                texts.append((key, text))
    if caption:
        texts.append((TEXT_KEYS[-1], caption))
    return tuple(texts)


def one_line(text: str) -> str:
    r"""Return a text with every run of white space, line breaks included, as one space.

    >>> one_line(" red\ncar ")
    'red car'
    """
    return " ".join(text.split())


def _is_pixel(node: LexborNode, attributes: dict[str, str | None]) -> bool:
    if "width" in attributes or "height" in attributes:
        if node.tag == "amp-img":  # whose numbers may be a ratio
            return False
        for name in ("width", "height"):
            value = attributes.get(name)
            if value and _SMALL.match(value):
                return True
    style = attributes.get("style")
    return bool(style) and _SMALL_STYLE.search(style or "") is not None


def _srcsets(attributes: dict[str, str | None]) -> Iterator[str]:
    for name in _SRCSETS:
        if written := attributes.get(name):
            yield written


def _picture_sources(picture: LexborNode, node: LexborNode) -> Iterator[str]:
    """Yield the srcsets of the sources before an image in its `<picture>`."""
    sibling = picture.first_child
    while sibling is not None and sibling.mem_id != node.mem_id:
        if sibling.tag == "source":
            yield from _srcsets(sibling.attributes)
        sibling = sibling.next


def _chosen(written: str, srcset: str) -> list[str]:
    found = srcset_addresses(written)
    if srcset == "all" or len(found) < 2:
        return [url for url, _ in found]
    return [max(found, key=lambda item: item[1])[0]]


def srcset_addresses(written: str) -> list[tuple[str, float]]:
    """Return the addresses of a `srcset` and how large each image is: width or density.

    As in a browser, a candidate with a descriptor that is none is left out, and so is one with the
    descriptor of an earlier one.

    Source: HTML standard, sections 4.8.4.3.10 (parsing a srcset attribute) and 4.8.4.3.7.

    >>> srcset_addresses("a.jpg 1x, b,c.jpg 2x, d.jpg 200, e.jpg 2x")
    [('a.jpg', 1.0), ('b,c.jpg', 2.0)]
    """
    found: dict[tuple[str, float], str] = {}
    at, end = 0, len(written)
    while at < end:
        while at < end and written[at] in " \t\n\f\r,":
            at += 1
        start = at
        while at < end and written[at] not in _SPACES:
            at += 1
        url, descriptors = written[start:at], ""
        if not url.endswith(","):
            start = at
            depth = 0
            while at < end and (written[at] != "," or depth):
                depth += (written[at] == "(") - (written[at] == ")" and depth > 0)
                at += 1
            descriptors = written[start:at]
        url = url.rstrip(",")
        size = _size(descriptors)
        if url and size is not None:
            found.setdefault(size, url)
    return [(url, value) for (_, value), url in found.items()]


def _size(descriptors: str) -> tuple[str, float] | None:
    """Return the width (``w``) or density (``x``) of a candidate, None for one to be left out."""
    sizes: dict[str, float] = {}
    for descriptor in _SPACE_RUN.split(descriptors.strip(_SPACES)) if descriptors else ():
        kind, value = descriptor[-1:], descriptor[:-1]
        if not descriptor:
            continue
        if kind in sizes or not _NUMBERS.get(kind, _NO_NUMBER).fullmatch(value):
            return None
        sizes[kind] = float(value)
    if not sizes:
        return "x", 1.0
    if sizes.keys() == {"x"} and 0 <= sizes["x"] < math.inf:
        return "x", sizes["x"]
    if sizes.keys() in ({"w"}, {"w", "h"}) and all(0 < s <= _MAX_PIXELS for s in sizes.values()):
        return "w", sizes["w"]
    return None


def _captions(document: LexborHTMLParser) -> dict[int, str]:
    """Return the caption of each image that stands in a `<figure>` with one, by node.

    An inner figure comes after the outer one, and its caption wins. After enough nodes no more
    captions are read, so that the work has a bound.
    """
    first: dict[int, LexborNode] = {}
    for caption in document.tags("figcaption"):
        parent = caption.parent
        if parent is not None and parent.tag == "figure":
            first.setdefault(parent.mem_id, caption)
    captions: dict[int, str] = {}
    left = _CAPTION_NODES
    for figure in document.tags("figure") if first else []:
        if figure.mem_id in first:
            text, num_nodes = _text(first[figure.mem_id])
            nodes = figure.css("img, amp-img")
            left -= num_nodes + len(nodes)
            if left < 0:
                break
            if text:
                captions |= dict.fromkeys((node.mem_id for node in nodes), text)
    return captions


def _text(top: LexborNode) -> tuple[str, int]:
    """Return the text of an element, a space wherever a word cannot go on, and its nodes."""
    pieces: list[str] = []
    num_nodes = 0
    node: LexborNode | None = top.first_child
    while node is not None and num_nodes < _CAPTION_NODES:
        num_nodes += 1
        tag = node.tag or "-"
        if tag == "-text":
            pieces.append(node.text_content or "")
        elif tag not in _INLINE and not tag.startswith("-"):
            pieces.append(" ")
        following = None if tag in _SILENT else node.first_child
        while following is None and node is not None and node.mem_id != top.mem_id:
            tag = node.tag or "-"
            if tag not in _INLINE and not tag.startswith("-"):
                pieces.append(" ")
            following = node.next
            if following is None:
                node = node.parent
        node = following
    return one_line("".join(pieces)), num_nodes
