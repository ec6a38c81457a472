"""A record of a crawl file in, a page out, or what a WAT file says of one, or why it is none."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from curate.pipelines.extract.content import decoded, is_binary
from curate.pipelines.opt_outs.content import HEADERS, header_signals
from curate.pipelines.opt_outs.signals import Signal

__all__ = ["CrawlRecord", "Field", "SkippedRecord", "page_of"]

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_KINDS = frozenset({b"metadata", b"resource", b"response"})
_HEAD_END = re.compile(rb"\n\r?\n")  # a carriage return before it is of the last line
_FOLD = re.compile(rb"\r?\n[ \t]+")
_STATUS = re.compile(rb"HTTP/[\d.]+[ \t]+(\d{3})", re.IGNORECASE)
_SIGNALLING = frozenset(name.encode() for name in HEADERS)
# Behind the header, in all pages of Common Crawl's archive of August 2018.
_LINE_BREAK_TOO_MANY = b"\r\n"

Field = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlRecord:
    """A page, or what a WAT file says of one.

    Attributes:
        offset: where the record begins in its file, in compressed bytes.
        is_wat: the body is the JSON of a WAT file, else HTML.
        page_url: address of the page; "" where only the JSON says it.
        body: decompressed.
        charset: as the HTTP header says.
        language: Content-Language of the HTTP header.
        signals: what the HTTP header says of the use of the page.
    """

    offset: int
    is_wat: bool
    page_url: str
    body: bytes
    charset: str | None = None
    language: str | None = None
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRecord:
    """A record that is no page, or damage; `is_file_lost`: what follows cannot be read either."""

    offset: int
    reason: str
    page_url: str = ""
    detail: str = ""
    is_file_lost: bool = False


def page_of(offset: int, field: Field, block: bytes, max_bytes: int) -> CrawlRecord | SkippedRecord:
    """Return the page that a record holds, or why it holds none.

    Args:
        offset: of the record.
        field: gives the value of a field of the WARC header, by name.
        block: content of the record.
        max_bytes: of a page, decompressed.
    """
    kind = (field(b"WARC-Type") or b"").lower()
    if kind not in _KINDS:
        return SkippedRecord(offset=offset, reason="not_a_page")
    content_type = _text(field(b"Content-Type")).lower()
    page_url = _text(field(b"WARC-Target-URI")).strip("<>")

    def skipped(reason: str, detail: str = "") -> SkippedRecord:
        return SkippedRecord(offset=offset, reason=reason, page_url=page_url, detail=detail)

    charset = language = None
    signals: tuple[Signal, ...] = ()
    body = block
    is_wat = kind == b"metadata" and content_type.startswith("application/json")
    if kind == b"response" and content_type.startswith("application/http"):
        if not block:
            return skipped("bad_http", "no header")
        http = _Http(block)
        if http.status is None or not 200 <= http.status < 300:
            return skipped("http_status", str(http.status))
        sent_type = _text(http.fields.get(b"content-type"))
        if not _is_html(sent_type.lower() or _text(field(b"WARC-Identified-Payload-Type"))):
            return skipped("not_html", sent_type)
        try:
            body = decoded(http.body, http.codings, max_bytes)
        except ValueError as error:
            return skipped("bad_http", str(error))
        body = body.removeprefix(_LINE_BREAK_TOO_MANY)
        charset = _charset(sent_type.lower())
        language = _text(http.fields.get(b"content-language")) or None
        signals = tuple(header_signals(lambda name: http.several[name]))
    elif kind == b"resource" and _is_html(content_type):
        charset = _charset(content_type)
    elif not is_wat:
        return skipped("not_a_page")
    if len(body) > max_bytes:
        return skipped("too_large", f"more than {max_bytes} bytes")
    if not is_wat and is_binary(body, charset):
        return skipped("binary_body")
    return CrawlRecord(
        offset=offset, is_wat=is_wat, page_url=page_url, body=body, charset=charset,
        language=language, signals=signals,
    )  # fmt: skip


class _Http:
    """An HTTP response: its status, the fields of its header by lower-cased name, its body.

    Of several fields of a name the first counts; codings are all of them, in the order in which
    they were applied; `several` has all values of the names in which sites say no.
    """

    def __init__(self, block: bytes) -> None:
        end = _HEAD_END.search(block)
        head, self.body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
        status = _STATUS.match(head)
        self.status = int(status[1]) if status else None
        self.fields: dict[bytes, bytes] = {}
        codings: dict[bytes, list[bytes]] = {b"content-encoding": [], b"transfer-encoding": []}
        self.several: dict[str, list[str]] = {name: [] for name in HEADERS}
        if b"\n " in head or b"\n\t" in head:
            head = _FOLD.sub(b" ", head)
        for line in head.split(b"\n")[1:]:
            name, colon, value = line.partition(b":")
            name = name.strip().lower()
            if colon:
                self.fields.setdefault(name, value.strip())
            if colon and name in codings:
                codings[name].append(value.strip())
            if colon and name in _SIGNALLING:
                self.several[name.decode()].append(value.strip().decode("latin-1"))
        self.codings = b",".join(sum(codings.values(), [])).decode("latin-1")


def _is_html(content_type: str) -> bool:
    return content_type.split(";")[0].strip() in _HTML_TYPES


def _charset(content_type: str) -> str | None:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip("\"' ") or None
    return None


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace").strip()
