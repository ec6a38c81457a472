"""The decoded bytes of a crawl file around where reading stands; where records begin and end."""

import re
from typing import IO

from curate.pipelines.extract.warc.segments import FIRST_WORD, Packing, Piece, pieces

__all__ = ["ANYWHERE", "BEGINNING", "BEGINNING_BYTES", "Window"]

_FIRST_LINE = rb"WARC/\d+\.\d+[ \t]*\r?\n"
BEGINNING = re.compile(_FIRST_LINE)
ANYWHERE = re.compile(rb"(?=" + _FIRST_LINE + rb")")  # behind what is cut off in a line, too
_LATER = re.compile(rb"\n(?=" + _FIRST_LINE + rb")")
BEGINNING_BYTES = 64  # a first line is no longer
# Each begins with bytes that are looked for as such, which one pattern of both would not.
_HEAD_END = re.compile(rb"\n\r?\n")
_BEGINS_AGAIN = re.compile(_FIRST_LINE)
_BLANKS = re.compile(rb"[\r\n\0]+")
_MAX_HEAD_BYTES = 1 << 20
_LONG_GAP_BYTES = 1 << 16
_FORGET_BYTES = 1 << 20


class Window:
    """The decoded bytes around where reading stands, as far as something was looked for.

    Reading goes by segments, each of which begins with a record: no record is thought to go on from
    one into the next.

    Attributes:
        data: the bytes.
        at: where reading stands in them.
        damage: of the segment, behind its last byte; "" if there is none.
        num_bytes: seen so far.
    """

    def __init__(self, file: IO[bytes], packing: Packing, start: int) -> None:
        self._file, self._packing = file, packing
        self._size = file.seek(0, 2) if packing == "plain" else None
        self.data = bytearray()
        self.at = 0
        self.damage = ""
        self.num_bytes = 0
        self._marks: list[tuple[int, int]] = []  # where in `data` a piece of an offset begins
        self._pieces = pieces(file, packing, start)
        self._following: Piece | None = next(self._pieces, None)
        self._is_open = False

    @property
    def offset(self) -> int:
        """Where in the file the bytes come from that reading stands at."""
        at, offset = self._marks[0]
        for mark in self._marks:
            if mark[0] > self.at:
                break
            at, offset = mark
        return offset + (self.at - at if self._size is not None else 0)

    def position_of(self, at: int) -> int | None:
        """Return where in a plain file a byte is, None for a packed one."""
        return None if self._size is None else self.offset + at - self.at

    def begin_segment(self) -> bool:
        """Leave the segment, of which nothing is wanted any more; tell whether there is another."""
        self.data.clear()
        self._marks.clear()
        self.at, self.damage, self._is_open = 0, "", True
        return self._pull()

    def _pull(self) -> bool:
        """Add a piece to the window; tell whether the segment had another."""
        piece = self._following
        if piece is None or not self._is_open or (piece.begins and self._marks):
            self._is_open = False
            return False
        self._marks.append((len(self.data), piece.offset))
        self.data += piece.data
        self.num_bytes += len(piece.data)
        self.damage = piece.damage
        self._is_open = not piece.damage
        self._following = next(self._pieces, None)
        return True

    def forget(self) -> None:
        """Let go of what is behind reading, once it is worth it."""
        if self.at > _FORGET_BYTES:
            kept = [(at - self.at, offset) for at, offset in self._marks if at > self.at]
            self._marks = [(0, self.offset), *kept]
            del self.data[: self.at]
            self.at = 0

    def reach(self, index: int) -> bool:
        """Have the bytes before an index of `data`; tell whether the segment has them."""
        while len(self.data) < index and self._pull():
            pass
        return len(self.data) >= index

    def take(self, num: int) -> bytes:
        """Return the next bytes and go behind them."""
        taken = bytes(memoryview(self.data)[self.at : self.at + num])
        self.at += num
        return taken

    def skip(self, num: int) -> int:
        """Go over so many bytes without holding them; return over how many there were."""
        position = self.position_of(self.at)
        if position is not None and self._size is not None:
            left = self._size - position
            if num <= left:
                self.go_to(position + num)
            return min(num, left)
        skipped = 0
        while skipped < num:
            step = min(num - skipped, len(self.data) - self.at)
            self.at += step
            skipped += step
            self.forget()
            if step == 0 and not self._pull():
                break
        return skipped

    def go_to(self, position: int) -> None:
        """Go to a place in a plain file."""
        self._pieces = pieces(self._file, self._packing, position)
        self._following = next(self._pieces, None)
        self.data.clear()
        self._marks, self.at, self._is_open = [(0, position)], 0, True

    def pass_blanks(self) -> bool:
        """Go over line breaks and bytes of 0; tell whether anything else is left of the segment."""
        while True:
            self.at = self._behind_blanks(self.at)
            self.forget()
            if self.at < len(self.data):
                return True
            if not self._pull():
                return False

    def _behind_blanks(self, at: int) -> int:
        """Return where the blanks from an index on end, or the bytes that are here."""
        found = _BLANKS.match(self.data, at)
        return found.end() if found else at

    def is_end(self, at: int, *, needs_breaks: bool = False) -> bool:
        """Tell whether a record may end at an index: nothing but blanks parts it from the next."""
        self.reach(at + BEGINNING_BYTES)
        if needs_breaks and self.data[at : at + 4] != b"\r\n\r\n":
            return False
        end = self._behind_blanks(at)
        while end == len(self.data):
            if end - at > _LONG_GAP_BYTES or not self.reach(end + 1):
                return at <= len(self.data)
            end = self._behind_blanks(end)
        self.reach(end + len(FIRST_WORD))
        # At its end a file may be cut off, in this word too.
        return FIRST_WORD.startswith(self.data[end : end + len(FIRST_WORD)])

    def head_end(self, start: int) -> int | None:
        """Return where the header ends whose first line ends at `start`, or None if it is cut off.

        What was cut off may be followed by another record, in the middle of a line too.
        """
        start -= 1
        while True:
            found = _HEAD_END.search(self.data, start)
            end = found.end() if found else len(self.data)
            if _BEGINS_AGAIN.search(self.data, start, end) is not None:
                return None
            if found is not None:
                return end
            start = max(start, len(self.data) - BEGINNING_BYTES)
            if start - self.at > _MAX_HEAD_BYTES or not self._pull():
                return None

    def next_beginning(self, at: int, limit: int) -> int | None:
        """Return the index of the next beginning, or the segment's end; None: beyond the limit."""
        start = at - 1
        while (found := _LATER.search(self.data, start)) is None:
            start = max(at - 1, len(self.data) - BEGINNING_BYTES)
            if len(self.data) - at > limit:
                return None
            if not self._pull():
                return len(self.data)
        return found.end()

    def go_to_beginning(self, pattern: re.Pattern[bytes] | None = None) -> int:
        """Go to the next place where a record can begin; return how many bytes are passed over."""
        passed = 0
        while True:
            found = (pattern or _LATER).search(self.data, self.at)
            left_out = BEGINNING_BYTES if found is None else 0
            to = found.end() if found else max(self.at, len(self.data) - left_out)
            passed += to - self.at
            self.at = to
            if found:
                return passed
            self.forget()
            if not self._pull():
                passed += len(self.data) - self.at
                self.at = len(self.data)
                return passed
