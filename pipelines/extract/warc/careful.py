"""Decoded pieces of a crawl file in, its records out, whatever is wrong with the file.

FastWARC reads what is written as the standard says, and stops where it is not. This reader goes on
from there: lines that end in bare line feeds (ClueWeb09), any version of the format, bytes of 0
between records, lengths that are wrong (two short in Common Crawl's archive of August 2018), and
damage, behind which it looks for the next line that a record can begin with.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from curate.pipelines.extract.warc.segments import FIRST_WORD, Packing
from curate.pipelines.extract.warc.window import ANYWHERE, BEGINNING, BEGINNING_BYTES, Window

__all__ = ["Damage", "RawRecord", "careful_records"]

_MAX_DIGITS = 18
_FOLD = re.compile(rb"\r?\n[ \t]+")
_FIELD = re.compile(rb"([^:\n]*):([^\n]*)\n?")
_BLANKS = b"\r\n\0"
# Common Crawl's archive of August 2018: by so much is each Content-Length too small.
_SHORT_BY = 2


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record: where it begins in the file, its header by lower-cased name, its content.

    A `block` of None is one that is too large to be held; `size` is its length in any case.
    """

    offset: int
    head: dict[bytes, bytes]
    block: bytes | None
    size: int


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with what is at an offset; `head` of a record, `is_cut` if it ends early."""

    offset: int
    detail: str
    head: dict[bytes, bytes] | None = None
    is_cut: bool = False


def careful_records(
    file: IO[bytes], packing: Packing, start: int, max_block: int
) -> Iterator[RawRecord | Damage]:
    """Yield the records of a file from `start` on, and what is damaged between them.

    Args:
        file: a crawl file.
        packing: how it is packed.
        start: where something begins: 0, or the offset of a record.
        max_block: of a record's content, in bytes; a larger one is not held.
    """
    window = Window(file, packing, start)
    found_any = False
    while window.begin_segment():
        while window.pass_blanks():
            found_any = True
            yield _next_record(window, max_block)
        if window.damage:
            found_any = True
            yield Damage(window.offset, window.damage)
    if window.num_bytes and not found_any:
        yield Damage(start, "there is no record in it")


def _next_record(window: Window, max_block: int) -> RawRecord | Damage:
    """Return the record that reading stands at, and go behind it; or go to where one can begin."""
    offset = window.offset
    window.reach(window.at + BEGINNING_BYTES)
    first = BEGINNING.match(window.data, window.at)
    if first is None:
        is_cut = window.data.startswith(FIRST_WORD, window.at)
        window.at += is_cut
        window.go_to_beginning(ANYWHERE if is_cut else None)
        return Damage(offset, "no record begins here")
    end = window.head_end(first.end())
    if end is None:
        window.at += 1
        window.go_to_beginning(ANYWHERE)
        return Damage(offset, "the header of a record is cut off")
    head = _fields(bytes(window.data[first.end() : end]))
    length = head.get(b"content-length", b"")
    window.at = end
    if not first[0].endswith(b"\r\n"):
        return _bare_record(window, offset, head, length, max_block)
    if not length.isdigit() or len(length) > _MAX_DIGITS:
        detail = f"{length[:_MAX_DIGITS]!r} as the length of a record"
    elif int(length) > max_block:
        return _large_record(window, offset, head, int(length))
    else:
        return _whole_record(window, offset, head, int(length))
    window.at -= 1  # the next line may be one that a record begins with
    window.go_to_beginning()
    return Damage(offset, detail, head)


def _whole_record(
    window: Window, offset: int, head: dict[bytes, bytes], length: int
) -> RawRecord | Damage:
    if window.reach(window.at + length):
        for size in (length, length + _SHORT_BY):
            # Two bytes more, if exactly there the two line breaks begin that stand behind a record.
            if window.is_end(window.at + size, needs_breaks=size > length):
                return RawRecord(offset, head, window.take(size), size)
        detail, is_cut = _no_end(length), False
    else:
        detail, is_cut = f"{len(window.data) - window.at} of {length} bytes", True
    window.at -= 1
    window.go_to_beginning()
    return Damage(offset, detail, head, is_cut=is_cut)


def _bare_record(
    window: Window, offset: int, head: dict[bytes, bytes], length: bytes, max_block: int
) -> RawRecord:
    """Return a record whose lines end bare: somebody's editor may have changed its length.

    Where the length does not lead to the end of a record, it goes on to the next beginning.
    """
    if length.isdigit() and len(length) <= _MAX_DIGITS and int(length) <= max_block:
        size = int(length)
        if window.reach(window.at + size) and window.is_end(window.at + size):
            return RawRecord(offset, head, window.take(size), size)
    end = window.next_beginning(window.at, max_block)
    if end is None:
        return RawRecord(offset, head, None, window.go_to_beginning())
    size = end - window.at
    return RawRecord(offset, head, window.take(size).rstrip(_BLANKS), size)


def _large_record(
    window: Window, offset: int, head: dict[bytes, bytes], length: int
) -> RawRecord | Damage:
    behind = window.position_of(window.at)
    num = window.skip(length)
    if num == length and window.is_end(window.at):
        return RawRecord(offset, head, None, length)
    if behind is not None:
        window.go_to(behind - 1)
    window.go_to_beginning()
    detail = f"{num} of {length} bytes" if num < length else _no_end(length)
    return Damage(offset, detail, head, is_cut=num < length)


def _no_end(length: int) -> str:
    return f"no record ends {length} bytes behind its header"


def _fields(lines: bytes) -> dict[bytes, bytes]:
    """Return the fields of a header by lower-cased name, the first of each."""
    if b"\n " in lines or b"\n\t" in lines:
        lines = _FOLD.sub(b" ", lines)
    found = reversed(_FIELD.findall(lines))
    return {name.strip().lower(): value.strip() for name, value in found}
