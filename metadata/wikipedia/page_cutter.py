"""Bytes of XML in, the bytes of each page out: the tags ``<page>`` and ``</page>`` cut them.

In a dump these characters stand nowhere else, since texts have ``&lt;``. What a page is depends on
its bytes alone, not on the chunks they come in.
"""

from collections.abc import Iterator

__all__ = ["CutOff", "cut_pages"]

_OPEN, _CLOSE, _LAST = b"<page>", b"</page>", b"</mediawiki>"
# A wiki takes no page of more than 2 MiB; nothing is gained by waiting for the end of this.
_MAX_PAGE_BYTES = 64 << 20
_TAIL_BYTES = 4096
_TRIM_BYTES = 1 << 20


class CutOff(ValueError):
    """The XML ends before its end."""


class _Bytes:
    """What is read and not yet cut."""

    def __init__(self, chunks: Iterator[tuple[bytes, bool]]) -> None:
        self._chunks = chunks
        self._tail = b""
        self._own_end: int | None = None
        self._first = 0
        self.data = b""

    def read_on(self) -> bool:
        """Take in a chunk; return whether there was one."""
        chunk, is_own = next(self._chunks, (None, False))
        if not is_own and self._own_end is None:
            self._own_end = self._first + len(self.data)
        if chunk is None:
            return False
        self.data += chunk
        self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
        return True

    def is_own(self, at: int) -> bool:
        """Tell whether a page that begins at a position of the data is the part's."""
        return self._own_end is None or self._first + at < self._own_end

    def forget(self, at: int) -> int:
        """Let go of the data before a position; return what it is now."""
        self.data = self.data[at:]
        self._first += at
        return 0

    def is_cut_off(self) -> bool:
        """Tell whether what was read last does not end as a dump does."""
        # The last tag may begin before the part; so may the last block of a bz2 file, which
        # leaves nothing to read.
        return _LAST not in self._tail and not _LAST.endswith(self._tail.rstrip())


def cut_pages(chunks: Iterator[tuple[bytes, bool]]) -> Iterator[bytes | None]:
    """Yield the pages that begin in the chunks that are a part's own.

    Args:
        chunks: and whether they are the part's own; those that are not come last.

    Yields:
        ``<page>…</page>``, or None for a page that is not closed, or has no end in sight.

    Raises:
        CutOff: there is no more, and a page, or the whole, is not at its end.
    """
    source = _Bytes(chunks)
    at = 0
    while True:
        start = source.data.find(_OPEN, at)
        if start < 0:
            at = source.forget(max(at, len(source.data) - len(_OPEN) + 1))
            if not source.is_own(at):
                return
            if not source.read_on():
                if source.is_cut_off():
                    raise CutOff("the end is missing")
                return
        elif not source.is_own(start):
            return
        else:
            end = _find_end(source, start)
            yield source.data[start:end] if end is not None else None
            at = start + len(_OPEN) if end is None else end
            if at > _TRIM_BYTES:
                at = source.forget(at)


def _find_end(source: _Bytes, start: int) -> int | None:
    """Return the position after a page; None if another begins before, or if it is too long."""
    searched = start + len(_OPEN)
    while True:
        close = source.data.find(_CLOSE, searched)
        following = source.data.find(_OPEN, searched, close if close >= 0 else None)
        seen = following if following >= 0 else close if close >= 0 else len(source.data)
        if following >= 0 or seen - start > _MAX_PAGE_BYTES:
            return None
        if close >= 0:
            return close + len(_CLOSE)
        searched = max(searched, len(source.data) - len(_CLOSE) + 1)
        if not source.read_on():
            raise CutOff("a page has no end")
