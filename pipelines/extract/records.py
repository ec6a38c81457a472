"""Crawl files in, records out: HTML pages of WARC files, links of WAT files, and the rest.

A file is read once, record by record, whatever it is compressed with (gzip, zstd, not at all). As
long as each record has a gzip member of its own and is written as the standard says, FastWARC reads
it; all else, from the last sound record on, be it the last of the file, is for the careful reader,
which also tells whether the file ends as it should.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

from fastwarc.warc import ArchiveIterator, WarcRecord

from curate.files import storage
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.extract.responses import CrawlRecord, Field, SkippedRecord, page_of
from curate.pipelines.extract.warc.careful import Damage, RawRecord, careful_records
from curate.pipelines.extract.warc.segments import Packing, can_begin, holds_one_each, packing_of

__all__ = ["CrawlRecord", "SkippedRecord", "read_records"]


_KEY_FIELDS = (b"WARC-Record-ID", b"WARC-Target-URI", b"Content-Length")


def read_records(path: str, max_bytes: int) -> Iterator[CrawlRecord | SkippedRecord]:
    """Yield the records of a crawl file in order, and each damage once.

    Args:
        path: local path or fsspec URL.
        max_bytes: of a page, decompressed; a larger one is skipped.

    Raises:
        InputError: there is no such file.
    """
    with storage.open_read(path) as file:
        packing = packing_of(file)
        sound = _Sound()
        if holds_one_each(file, packing):
            yield from _sound_records(file, max_bytes, sound)
        yield from _told(_behind(file, packing, 2 * max_bytes, sound), max_bytes)


@dataclass(slots=True)
class _Sound:
    """How far a file is sound: records that were given out; the last one's offset and fields."""

    num: int = 0
    offset: int = 0
    field: Field | None = None


def _sound_records(
    file: IO[bytes], max_bytes: int, sound: _Sound
) -> Iterator[CrawlRecord | SkippedRecord]:
    """Yield records as long as nothing is wrong with them nor behind them.

    That a length is wrong shows only where no record begins behind it, so one waits for the next,
    or for the end.
    """
    file.seek(0)
    records = iter(ArchiveIterator(file, parse_http=False))
    waiting: tuple[CrawlRecord | SkippedRecord, int, Field] | None = None
    while True:
        try:
            record = next(records, None)
            found = None if record is None else _sound_record(record, max_bytes)
        except (OSError, ValueError, zlib.error) as error:
            if is_transient(error):  # the store's trouble, no damage of the file
                raise
            return
        if record is not None and found is None:
            return
        if waiting is not None:
            sound.num += 1
            sound.offset, sound.field = waiting[1:]
            yield waiting[0]
        if record is None or found is None:
            return
        waiting = found, record.stream_pos, record.headers.get_bytes


def _key(field: Field) -> bytes:
    """Return what tells a record from its neighbours."""
    return b" ".join(field(name) or b"" for name in _KEY_FIELDS)


def _sound_record(record: WarcRecord, max_bytes: int) -> CrawlRecord | SkippedRecord | None:
    """Return what a record holds, or None if it is cut off, in its header too."""
    length, field = record.content_length, record.headers.get_bytes
    if not length and not (field(b"Content-Length") or b"").strip().isdigit():
        return None
    if length > 2 * max_bytes:
        whole = record.reader.consume() == length
        return _too_large(record.stream_pos, length) if whole else None
    block = record.reader.read(length)
    return page_of(record.stream_pos, field, block, max_bytes) if len(block) == length else None


def _too_large(offset: int, size: int) -> SkippedRecord:
    return SkippedRecord(offset=offset, reason="too_large", detail=f"{size} bytes")


def _behind(
    file: IO[bytes], packing: Packing, max_block: int, sound: _Sound
) -> Iterator[RawRecord | Damage]:
    """Yield what comes behind the sound records.

    The offset of a record is not where it begins if it is not the first of its member. Then the
    file is read from its beginning.
    """
    if sound.field is not None and can_begin(file, packing, sound.offset):
        found = careful_records(file, packing, sound.offset, max_block)
        first = next(found, None)
        if isinstance(first, RawRecord) and _key(_field_of(first)) == _key(sound.field):
            yield from found
            return
    num_known = sound.num
    for record in careful_records(file, packing, 0, max_block):
        if num_known and isinstance(record, RawRecord):
            num_known -= 1
        else:
            yield record


def _told(
    records: Iterator[RawRecord | Damage], max_bytes: int
) -> Iterator[CrawlRecord | SkippedRecord]:
    """Yield what records hold, and each damage once: when the next record shows up, or at the end.

    Damage between two records is one, whatever it looks like on the way.
    """
    damage: SkippedRecord | None = None
    for found in records:
        if damage is not None and (isinstance(found, RawRecord) or found.head is not None):
            yield damage
            damage = None
        if isinstance(found, Damage):
            damage = damage or _skipped(found)
        elif found.block is None:
            yield _too_large(found.offset, found.size)
        else:
            yield page_of(found.offset, _field_of(found), found.block, max_bytes)
    if damage is not None:
        yield replace(damage, is_file_lost=True)


def _field_of(record: RawRecord) -> Field:
    return lambda name: record.head.get(name.lower())


def _skipped(damage: Damage) -> SkippedRecord:
    reason = "truncated_record" if damage.is_cut else "unreadable_records"
    url = (damage.head or {}).get(b"warc-target-uri", b"").decode("utf-8", "replace").strip()
    return SkippedRecord(offset=damage.offset, reason=reason, page_url=url, detail=damage.detail)
