"""A record of a crawl file in, rows of pairs out, and a reason for every image that gives none."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import orjson

from curate.errors import UsageError
from curate.pipelines.extract.encoding import decode_page
from curate.pipelines.extract.html import Image, one_line, parse_page
from curate.pipelines.extract.records import CrawlRecord
from curate.pipelines.extract.urls import BaseAddress, parse_address
from curate.pipelines.opt_outs.content import header_signals, meta_signals
from curate.pipelines.opt_outs.signals import Signal, count_signals, opted_out

__all__ = ["BadPageError", "PageOptions", "PageRows", "page_rows"]

MAX_TEXT_CHARACTERS = 10_000
MAX_LANG_CHARACTERS = 100  # of what a page says its language is; a longer one is none
SRCSETS = ("largest", "all", "none")

_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")


class BadPageError(Exception):
    """A record that is no page after all; the message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """What decides which pairs a page gives.

    Attributes:
        srcset: one of SRCSETS: which addresses of a `srcset`.
        max_images: of a page; >= 1.
        max_page_bytes: decompressed; >= 1.
        page_seconds: of a processor, after which the parser is stopped; >= 1.
        ignore_opt_outs: give the pairs of pages that say no, too.
    """

    srcset: str = "largest"
    max_images: int = 10_000
    max_page_bytes: int = 16 << 20
    page_seconds: int = 10
    ignore_opt_outs: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.srcset not in SRCSETS:
            raise UsageError(f"--srcset is {self.srcset!r}; expected one of {', '.join(SRCSETS)}")
        for name in ("max_images", "max_page_bytes", "page_seconds"):
            if getattr(self, name) < 1:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} is {getattr(self, name)}; expected at least 1")


@dataclass(slots=True)
class PageRows:
    """Rows of a page: address, text and its key, of each pair; and the rest by reason.

    `opt_outs` counts the pairs that each of the page's signals touches, dropped or not.
    """

    page_url: str
    page_lang: str | None = None
    urls: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    text_keys: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    opt_outs: Counter[str] = field(default_factory=Counter)

    def hear(self, signals: Iterable[Signal], *, ignore: bool) -> None:
        """Count what the page says of the use of its pairs, and drop them if it says no."""
        signals = list(signals)
        if not signals or not self.urls:
            return
        count_signals(self.opt_outs, signals, len(self.urls))
        if opted_out(signals) and ignore:
            self.opt_outs["ignored"] += len(self.urls)
        elif opted_out(signals):
            self.dropped["opted_out"] += len(self.urls)
            self.urls, self.texts, self.text_keys = [], [], []


def page_rows(record: CrawlRecord, options: PageOptions) -> PageRows:
    """Return the pairs of a page, or of what a WAT file says of one.

    An image with several addresses or texts gives a row for each address and text.

    Raises:
        BadPageError: the record is no page.
    """
    return (_wat_rows if record.is_wat else _html_rows)(record, options)


def _html_rows(record: CrawlRecord, options: PageOptions) -> PageRows:
    page = parse_address(record.page_url)
    if page is None:
        raise BadPageError("bad_page_url")
    if b"<" not in record.body and b"<\x00" not in record.body:
        return PageRows(record.page_url)
    html = decode_page(record.body, record.charset)
    found = parse_page(html, srcset=options.srcset, max_images=options.max_images)
    rows = PageRows(record.page_url, _lang(found.lang or record.language))
    if found.num_left_out:
        rows.dropped["too_many_images"] = found.num_left_out
    _add(rows, found.images, BaseAddress(page, found.base_href))
    signals = [*record.signals, *meta_signals(found.metas)]
    rows.hear(signals, ignore=options.ignore_opt_outs)
    return rows


def _lang(written: str | None) -> str | None:
    return written if written and len(written) <= MAX_LANG_CHARACTERS else None


def _add(rows: PageRows, images: Iterable[Image], base: BaseAddress) -> None:
    known: dict[str, tuple[str, str | None]] = {}
    for image in images:
        num = max(1, len(image.texts))
        if image.is_pixel or not image.urls:
            reason = "tracking_pixel" if image.is_pixel else "no_url"
            rows.dropped[reason] += max(1, len(image.urls)) * num
            continue
        resolved: dict[str, None] = {}
        for written in image.urls:
            if written not in known:
                known[written] = base.resolve(written)
            url, reason_or_none = known[written]
            if reason_or_none is not None:
                rows.dropped[reason_or_none] += num
            elif url in resolved:
                rows.dropped["same_url"] += num
            elif not image.texts:
                resolved[url] = None
                rows.dropped["no_text"] += 1
            else:
                resolved[url] = None
                _add_texts(rows, url, image.texts)


def _add_texts(rows: PageRows, url: str, texts: tuple[tuple[str, str], ...]) -> None:
    for key, text in texts:
        if len(text) > MAX_TEXT_CHARACTERS:
            rows.dropped["text_too_long"] += 1
            continue
        rows.urls.append(url)
        rows.texts.append(text)
        rows.text_keys.append(key)


def _wat_rows(record: CrawlRecord, options: PageOptions) -> PageRows:
    envelope = _json(record.body)
    headers = _inside(envelope, "WARC-Header-Metadata")
    page_url = str(headers.get("WARC-Target-URI") or record.page_url)
    response = _inside(envelope, "Payload-Metadata", "HTTP-Response-Metadata")
    if not response:
        raise BadPageError("not_a_page")
    status = str(_inside(response, "Response-Message").get("Status", ""))
    if not status.startswith("2"):
        raise BadPageError("http_status")
    html = _inside(response, "HTML-Metadata")
    if not html:
        raise BadPageError("not_html")
    page = parse_address(page_url)
    if page is None:
        raise BadPageError("bad_page_url")
    # Older WAT files hold attributes as they stand in the source; a link then has this in it.
    is_escaped = b"&amp;" in record.body
    head = _inside(html, "Head")
    base = head.get("Base")
    rows = PageRows(page_url, _lang(_wat_lang(head, response)))
    links = html.get("Links")
    images = list(_wat_images(links if isinstance(links, list) else [], is_escaped=is_escaped))
    if num_left_out := max(0, len(images) - options.max_images):
        rows.dropped["too_many_images"] = num_left_out
    address = BaseAddress(page, base if isinstance(base, str) else None)
    _add(rows, images[: options.max_images], address)
    rows.hear(_wat_signals(head, response), ignore=options.ignore_opt_outs)
    return rows


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _lenient_json(body)
    return _inside(value, "Envelope")


def _lenient_json(body: bytes) -> Any:
    """Read JSON with invalid UTF-8 or halves of surrogate pairs in it, which become U+FFFD.

    Raises:
        BadPageError: it is no JSON in any case.
    """
    try:
        value = json.loads(body.decode("utf-8", "replace"))
        return orjson.loads(
            json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
        )  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise BadPageError("bad_json") from error


def _inside(value: Any, *names: str) -> dict[str, Any]:
    """Return the object at a path of names, or an empty one."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _wat_lang(head: dict[str, Any], response: dict[str, Any]) -> str | None:
    metas = head.get("Metas")
    for meta in metas if isinstance(metas, list) else []:
        if isinstance(meta, dict) and meta.get("name") in ("HTML@/lang", "HTML@/xml:lang"):
            return one_line(str(meta.get("content") or "")) or None
    found = _inside(response, "Headers").get("Content-Language")
    return found if isinstance(found, str) else None


def _wat_signals(head: dict[str, Any], response: dict[str, Any]) -> list[Signal]:
    sent: dict[str, list[str]] = {}
    for name, value in _inside(response, "Headers").items():
        values = value if isinstance(value, list) else [value]
        sent.setdefault(name.lower(), []).extend(v.strip() for v in values if isinstance(v, str))
    metas = head.get("Metas")
    named = [
        (str(meta.get("name") or "").strip().lower(), str(meta.get("content") or ""))
        for meta in (metas if isinstance(metas, list) else [])
        if isinstance(meta, dict)
    ]
    return [*header_signals(lambda name: sent.get(name, [])), *meta_signals(named)]


def _wat_images(links: list[Any], *, is_escaped: bool) -> Iterable[Image]:
    for link in links:
        if not isinstance(link, dict) or link.get("path") != "IMG@/src":
            continue
        url = link.get("url")
        texts = []
        for key in ("alt", "title"):
            value = link.get(key)
            if isinstance(value, str) and (text := one_line(_decoded(value, is_escaped))):
                texts.append((key, text))
        urls = (_decoded(url, is_escaped),) if isinstance(url, str) and url.strip() else ()
        yield Image(urls, tuple(texts), is_pixel=False)


def _decoded(value: str, is_escaped: bool) -> str:
    """Return a value with its character references decoded, where they still are in it."""
    if is_escaped and "&" in value:
        return _REFERENCE.sub(lambda found: unescape(found.group()), value)
    return value
