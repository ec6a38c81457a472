"""Crawl files in, records out: HTML pages of WARC files, links of WAT files, and the rest.

A file is read once, record by record, whatever it is compressed with (gzip, zstd, not at all).
Where it is damaged, reading goes on at the next place where a record can begin.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import IO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from curate.files import storage
from curate.pipelines.executor.faults import is_transient

__all__ = ["CrawlRecord", "SkippedRecord", "read_records"]

BAD_RECORDS = frozenset({"bad_http", "bad_page_url", "truncated_record", "unreadable_records"})

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_MAX_RESTARTS = 10_000  # per file, so that a file of nothing but false beginnings comes to an end
_CHUNK_BYTES = 1 << 20
_GZIP_BITS, _HEAD_BYTES = 31, 4096
_GZIP, _ZSTD, _PLAIN = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\nWARC/1."


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
    """

    offset: int
    is_wat: bool
    page_url: str
    body: bytes
    charset: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRecord:
    """A record that is no page, or damage; `is_file_lost`: what follows cannot be read either."""

    offset: int
    reason: str
    page_url: str = ""
    detail: str = ""
    is_file_lost: bool = False


def read_records(path: str, max_bytes: int) -> Iterator[CrawlRecord | SkippedRecord]:
    """Yield the records of a crawl file in order.

    Args:
        path: local path or fsspec URL.
        max_bytes: of a page, decompressed; a larger one is skipped.

    Raises:
        InputError: there is no such file.
    """
    with storage.open_read(path) as file:
        if _has_bare_lines(file):
            yield from _edited_records(path, max_bytes)
            return
        yield from _with_restarts(file, max_bytes)


def _with_restarts(file: IO[bytes], max_bytes: int) -> Iterator[CrawlRecord | SkippedRecord]:
    """Yield records, and each damage once: when the next record shows up, or at the end."""
    start = 0
    damage: SkippedRecord | None = None
    for restart in range(_MAX_RESTARTS):
        progress = _Progress(start)
        found: SkippedRecord | None = None
        try:
            for record in _until_damage(file, progress, max_bytes):
                if damage is not None:
                    yield damage
                    damage = None
                yield record
        except (OSError, ValueError, zlib.error) as error:
            if is_transient(error):  # the store's trouble, no damage of the file
                raise
            found = SkippedRecord(
                offset=progress.resume_at, reason="unreadable_records", detail=str(error)
            )
        if damage is not None and (progress.cut or found is None):
            yield damage
            damage = None
        damage = progress.cut or damage or found
        if damage is None:
            return
        following = _next_beginning(file, progress.resume_at)
        if following is None or restart == _MAX_RESTARTS - 1:
            yield replace(damage, is_file_lost=True)
            return
        start = following


def _has_bare_lines(file: IO[bytes]) -> bool:
    """Tell whether lines end without a carriage return: somebody's editor wrote the file."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(_GZIP_BITS).decompress(head, _HEAD_BYTES)
        except zlib.error:
            return False
    return re.match(rb"WARC/[0-9.]+\n", head) is not None


def _edited_records(path: str, max_bytes: int) -> Iterator[CrawlRecord | SkippedRecord]:
    """Yield the records of a file with bare line ends, whose lengths are not to be trusted either.

    A record goes on to the next line that one begins with. Its offset is in decompressed bytes.
    """
    start = position = size = 0
    lines: list[bytes] = []
    damage = ""
    with storage.open_read(path, decompress=True) as file:
        while True:
            try:
                line = file.readline(_CHUNK_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                if is_transient(error):
                    raise
                line, damage = b"", str(error)
            if (line.startswith(b"WARC/1.") or not line) and lines and not damage:
                yield _edited_record(lines, start, max_bytes, is_large=size > 2 * max_bytes)
                lines, start, size = [], position, 0
            if not line:
                break
            if size <= 2 * max_bytes:
                lines.append(line)
            position, size = position + len(line), size + len(line)
    if damage:  # the record that it is in ends nobody knows where
        yield SkippedRecord(
            offset=start, reason="unreadable_records", detail=damage, is_file_lost=True
        )


def _edited_record(
    lines: list[bytes], offset: int, max_bytes: int, *, is_large: bool
) -> CrawlRecord | SkippedRecord:
    if is_large:
        return SkippedRecord(offset=offset, reason="too_large")
    blank = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    block = b"".join(lines[blank + 1 :]).rstrip(b"\r\n")
    head = [line.strip() for line in lines[:blank] if not line[:15].lower() == b"content-length:"]
    head.append(b"Content-Length: %d" % len(block))
    mended = b"\r\n".join([*head, b"", block, b"", b""])
    try:
        for record in ArchiveIterator(BytesIO(mended), parse_http=False):
            found = _record(record, record.reader.read(), max_bytes)
            return replace(found, offset=offset)
    except (OSError, ValueError) as error:
        return SkippedRecord(offset=offset, reason="unreadable_records", detail=str(error))
    return SkippedRecord(offset=offset, reason="unreadable_records", detail="no header")


class _Progress:
    """How far reading has come: where to look for records if it fails, and a record that is cut."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.resume_at = start + 1
        self.cut: SkippedRecord | None = None


def _until_damage(
    file: IO[bytes], progress: _Progress, max_bytes: int
) -> Iterator[CrawlRecord | SkippedRecord]:
    """Yield records until the file ends, or raise where it is damaged."""
    file.seek(progress.start)
    for record in ArchiveIterator(file, parse_http=False):
        offset, length = record.stream_pos, record.content_length
        progress.resume_at = offset + 1
        reader = record.reader
        skipped = length > 2 * max_bytes
        body = b"" if skipped else reader.read(length)
        num_read = reader.consume() if skipped else len(body)
        if num_read < length:
            detail = f"{num_read} of {length} bytes"
            progress.cut = _skipped(record, "truncated_record", detail)
            return
        if skipped:
            yield _skipped(record, "too_large", f"{length} bytes")
        else:
            yield _record(record, body, max_bytes)
    if not _ends_whole(file, progress.resume_at - 1):
        raise OSError("the file ends inside a record")


def _ends_whole(file: IO[bytes], start: int) -> bool:
    """Tell whether the members of a gzip file from `start` on are whole, and nothing follows them.

    A member that is cut off near its beginning holds nothing that a reader of records could miss.
    """
    file.seek(start)
    chunk = file.read(_CHUNK_BYTES)
    if not chunk.startswith(_GZIP):
        return True
    member = zlib.decompressobj(_GZIP_BITS)
    while chunk:
        member.decompress(chunk)
        if member.eof:
            chunk = member.unused_data.lstrip(b"\0") or file.read(_CHUNK_BYTES).lstrip(b"\0")
            if not chunk:
                return True
            member = zlib.decompressobj(_GZIP_BITS)
            continue
        chunk = file.read(_CHUNK_BYTES)
    return False


def _skipped(record: WarcRecord, reason: str, detail: str = "") -> SkippedRecord:
    return SkippedRecord(
        offset=record.stream_pos, reason=reason, page_url=_header(record, b"WARC-Target-URI"),
        detail=detail,
    )  # fmt: skip


def _header(record: WarcRecord, name: bytes) -> str:
    value = record.headers.get_bytes(name)
    return (value or b"").decode("utf-8", "replace").strip()


def _record(record: WarcRecord, block: bytes, max_bytes: int) -> CrawlRecord | SkippedRecord:
    kind = record.record_type
    content_type = _header(record, b"Content-Type").lower()
    page_url = _header(record, b"WARC-Target-URI").strip("<>")
    if kind == WarcRecordType.metadata and content_type.startswith("application/json"):
        if len(block) > max_bytes:
            return _skipped(record, "too_large", f"{len(block)} bytes")
        return CrawlRecord(offset=record.stream_pos, is_wat=True, page_url=page_url, body=block)
    if kind == WarcRecordType.response and content_type.startswith("application/http"):
        return _response(record, block, page_url, max_bytes)
    if kind == WarcRecordType.resource and _is_html(content_type):
        if len(block) > max_bytes:
            return _skipped(record, "too_large", f"{len(block)} bytes")
        return CrawlRecord(
            offset=record.stream_pos, is_wat=False, page_url=page_url, body=block,
            charset=_charset(content_type),
        )  # fmt: skip
    return _skipped(record, "not_a_page")


def _is_html(content_type: str) -> bool:
    return content_type.split(";")[0].strip() in _HTML_TYPES


def _charset(content_type: str) -> str | None:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip("\"' ") or None
    return None


def _response(
    record: WarcRecord, block: bytes, page_url: str, max_bytes: int
) -> CrawlRecord | SkippedRecord:
    try:
        record.set_bytes_content(block)
        record.parse_http("all", quirks_mode=True)
    except (OSError, ValueError) as error:
        return _skipped(record, "bad_http", str(error))
    headers = record.http_headers if block else None
    if headers is None:
        return _skipped(record, "bad_http", "no header")
    status, content_type = headers.status_code, _text(headers.get_bytes(b"Content-Type"))
    if status is None or not 200 <= status < 300:
        return _skipped(record, "http_status", str(status))
    if not _is_html(content_type.lower() or _header(record, b"WARC-Identified-Payload-Type")):
        return _skipped(record, "not_html", content_type)
    try:
        body = record.reader.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        return _skipped(record, "bad_http", str(error))
    if len(body) > max_bytes:
        return _skipped(record, "too_large", f"more than {max_bytes} bytes")
    return CrawlRecord(
        offset=record.stream_pos, is_wat=False, page_url=page_url, body=body,
        charset=_charset(content_type.lower()),
        language=_text(headers.get_bytes(b"Content-Language")) or None,
    )  # fmt: skip


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace").strip()


def _next_beginning(file: IO[bytes], start: int) -> int | None:
    """Return where the next record can begin, at `start` or after it; None if nowhere.

    In a compressed file that is where a member begins, else a line with the word that every record
    begins with.
    """
    file.seek(0)
    head = file.read(4)
    magic = _GZIP if head.startswith(_GZIP[:2]) else _ZSTD if head == _ZSTD else _PLAIN
    skip = 1 if magic is _PLAIN else 0
    file.seek(start)
    position, tail = start, b""
    while chunk := file.read(_CHUNK_BYTES):
        window = tail + chunk
        found = window.find(magic)
        while found >= 0 and not _can_begin(window, found, magic):
            found = window.find(magic, found + 1)
        if found >= 0:
            return position - len(tail) + found + skip
        position += len(chunk)
        tail = window[-len(_PLAIN) :]
    return None


def _can_begin(window: bytes, at: int, magic: bytes) -> bool:
    """Tell whether the flags of a gzip member are among those that exist."""
    return magic is not _GZIP or window[at + 3 : at + 4] <= b"\x1f"
