"""The index of entries in, the entries that a search asks for out, and any entry by its id."""

import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.curation.matching.substring import lines_with, rarest_places
from curate.errors import UsageError
from curate.pipelines.browse.indexed.columns import Column
from curate.pipelines.browse.indexed.entry_index import SOURCES, lower_case

__all__ = ["SORTS", "WAYS", "EntryIndex", "EntryRow", "FoundEntries"]

SORTS = ("count", "slots", "kept", "source", "language")
WAYS = ("contains", "begins", "is")
_CHUNK_BLOCKS = 256  # searched at a time, in the end
_FIRST_BLOCKS = 8  # at first, since the most frequent entries come first
_GROWTH = 32  # of that, from piece to piece
_READERS = min(4, os.cpu_count() or 1)
MOST_ROWS = 2000  # that a search goes down to
_ROW_BITS = 31  # of a key, that say which row it is of


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry.

    Attributes:
        count: pairs that match it.
        kept: pairs of them that are kept; None where nothing is balanced.
    """

    lang: str
    entry_id: int
    entry: str
    source: str
    count: int
    kept: int | None


class FoundEntries(NamedTuple):
    """What a search found.

    Attributes:
        rows: in the order that was asked for.
        num: entries that hold the string; at least as many, if it was not looked to the end.
        is_all: whether it was.
    """

    rows: list[EntryRow]
    num: int
    is_all: bool


class EntryIndex:
    """The entries of all languages.

    Args:
        folder: of the index.
        info: as `write_entries` gave it.
        has_kept: whether kept pairs are counted.
    """

    def __init__(self, folder: Path, info: dict[str, Any], *, has_kept: bool) -> None:
        kind = info["count_kind"]
        self.languages: list[dict[str, Any]] = info["languages"]
        self.num_entries = int(info["entries"])
        self._frequency = np.array(info["frequency"], np.int64)
        blocks = np.fromfile(folder / "blocks", np.int64).reshape(-1, 3)
        self._first, self._text_at, self._folded_at = blocks.T.copy()
        self._texts = Column(folder / "entries", np.uint8)
        self._folded = Column(folder / "folded", np.uint8)
        self._order = Column(folder / "order", np.uint32)
        self._rank = Column(folder / "rank", np.uint32)
        self.counts = Column(folder / "counts", kind)
        self.counts_by_id = Column(folder / "counts_by_id", kind)
        self._kept = Column(folder / "kept", np.uint32) if has_kept else None
        self._sources = Column(folder / "sources", np.uint8)
        self._of = {one["lang"]: one for one in self.languages}
        self._bases = np.array([one["first"] for one in self.languages], np.int64)

    def close(self) -> None:
        """Close the files."""
        for one in (self._texts, self._folded, self._order, self._rank, self.counts,
                    self.counts_by_id, self._kept, self._sources):  # fmt: skip
            if one is not None:
                one.close()

    def language(self, lang: str) -> dict[str, Any]:
        """Return where the entries of a language are.

        Raises:
            UsageError: there are none.
        """
        if lang not in self._of:
            raise UsageError(f"there are no entries of language {lang!r}")
        found: dict[str, Any] = self._of[lang]
        return found

    def row_of(self, lang: str, entry_id: int) -> int:
        """Return the row of an entry among all, by its id, as postings count them.

        Raises:
            UsageError: there is no such entry.
        """
        one = self.language(lang)
        if not 0 <= entry_id < one["size"]:
            raise UsageError(f"{lang} has {one['size']:,} entries; {entry_id} is none of them")
        return int(one["first"]) + entry_id

    def entry(self, lang: str, entry_id: int) -> EntryRow:
        """Return an entry by its id.

        Raises:
            UsageError: there is no such entry.
        """
        return self.entries(lang, [entry_id])[0]

    def entries(self, lang: str, entry_ids: list[int]) -> list[EntryRow]:
        """Return entries of a language by their ids.

        Raises:
            UsageError: there is none of an id.
        """
        first = int(self.language(lang)["first"])
        return self._rows([first + self._rank.at(self.row_of(lang, i)) for i in entry_ids])

    def _rows(self, rows: list[int]) -> list[EntryRow]:
        """Return entries by the lines that they stand in."""
        found, blocks = [], dict[int, list[str]]()
        for row in rows:
            at = int(np.searchsorted(self._first, row, side="right")) - 1
            if at not in blocks:
                raw = self._texts.read(int(self._text_at[at]), int(self._text_at[at + 1]) - 1)
                blocks[at] = raw.tobytes().decode("utf-8", "replace").split("\n")
            lang = self.languages[int(np.searchsorted(self._bases, row, side="right")) - 1]
            found.append(
                EntryRow(
                    lang["lang"], self._order.at(row), blocks[at][row - int(self._first[at])],
                    SOURCES[self._sources.at(row)], self.counts.at(row),
                    None if self._kept is None else self._kept.at(row),
                )
            )  # fmt: skip
        return found

    def search(
        self,
        text: str,
        *,
        way: str = "contains",
        lang: str | None = None,
        sort: str = "count",
        t_of: dict[str, int | None] | None = None,
        first: int = 0,
        num: int = 50,
    ) -> FoundEntries:
        """Return the entries that hold a string.

        Args:
            text: in any case; "" for all entries.
            way: contains, begins or is.
            lang: of this language alone.
            sort: count, slots and kept from the largest on, source and language in their order.
            t_of: t per language, which slots are min(count, t) by.
            first: entries that were seen before.
            num: entries wanted.

        Raises:
            UsageError: a way or a sort is unknown, or it is too far down.
        """
        if way not in WAYS or sort not in SORTS:
            raise UsageError(f"expected one of {', '.join(WAYS)}, sorted by {', '.join(SORTS)}")
        if not 0 <= first <= first + num <= MOST_ROWS:
            raise UsageError(f"a search goes down to {MOST_ROWS:,} entries; ask for fewer")
        if sort == "kept" and self._kept is None:
            raise UsageError("nothing is balanced, so that no pairs are kept")
        needle = lower_case(" ".join(text.split("\n"))).encode()
        if needle:
            needle = (
                (b"\n" if way != "contains" else b"") + needle + (b"\n" if way == "is" else b"")
            )
        best = _Best(first + num)
        is_all = True
        chunks = self._ordered(lang, sort, t_of or {})
        with closing(self._found_in(needle, (chunk for _, chunk in chunks))) as found:
            for (bound, chunk), rows in zip(chunks, found, strict=True):
                if best.is_beyond(bound):
                    is_all = False
                    break
                if len(rows):
                    best.add(self._keys(rows, chunk, sort, t_of or {}))
        return FoundEntries(self._rows(best.rows()[first:]), best.num, is_all)

    @cached_property
    def _chunks(self) -> "list[_Chunk]":
        """Pieces of the rows, small ones where the most frequent entries of a language stand."""
        chunks = []
        ends = [*(one["block"] for one in self.languages[1:]), len(self._first) - 1]
        for one, stop in zip(self.languages, ends, strict=True):
            at, width = one["block"], _FIRST_BLOCKS
            while at < stop:
                end = min(stop, at + width)
                rows = int(self._first[at]), int(self._first[end])
                chunks.append(_Chunk(at, end, *rows, one["lang"], self.counts.at(rows[0])))
                at, width = end, min(_CHUNK_BLOCKS, _GROWTH * width)
        return chunks

    @cached_property
    def _best_sources(self) -> list[int]:
        """Value of the best source in each chunk."""
        codes = (self._sources.read(one.first, one.stop) for one in self._chunks)
        return [int(_by_source(one).max()) for one in codes]

    def _ordered(
        self, lang: str | None, sort: str, t_of: dict[str, int | None]
    ) -> "list[tuple[int, _Chunk]]":
        """Return chunks and a key that none of their rows is above, the largest first."""
        if lang is not None:
            self.language(lang)
        if sort == "language":
            tops = [0] * len(self._chunks)
        elif sort == "source":
            tops = self._best_sources
        elif sort == "slots":
            tops = [min(one.most, t_of.get(one.lang) or 0) for one in self._chunks]
        else:
            tops = [one.most for one in self._chunks]
        bounded = [
            (_key(top, one.first), one)
            for top, one in zip(tops, self._chunks, strict=True)
            if lang is None or one.lang == lang
        ]
        return sorted(bounded, key=lambda one: -one[0])

    def _found_in(
        self, needle: bytes, chunks: "Iterator[_Chunk]"
    ) -> Generator[NDArray[np.int64], None, None]:
        """Yield the rows of each chunk that hold a string; some chunks are looked at ahead."""
        places = rarest_places(needle, self._frequency) if needle else (0, 0)
        with ThreadPoolExecutor(_READERS) as pool:
            ahead: deque[Future[NDArray[np.int64]]] = deque()
            try:
                for chunk in chunks:
                    ahead.append(pool.submit(self._rows_with, needle, places, chunk))
                    if len(ahead) > 2 * _READERS:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _rows_with(
        self, needle: bytes, places: tuple[int, int], chunk: "_Chunk"
    ) -> NDArray[np.int64]:
        if not needle:
            return np.arange(chunk.first, chunk.stop)
        start, stop = int(self._folded_at[chunk.block]), int(self._folded_at[chunk.end])
        data = self._folded.read(start - 1, stop)
        return chunk.first + lines_with(data, needle, places)

    def _keys(
        self, rows: NDArray[np.int64], chunk: "_Chunk", sort: str, t_of: dict[str, int | None]
    ) -> NDArray[np.int64]:
        """Return what rows are sorted by, the largest first; no two are equal."""
        if sort == "language":
            return np.asarray(_key(0, rows), np.int64)
        column = {"source": self._sources, "kept": self._kept}.get(sort) or self.counts
        values = column.read(chunk.first, chunk.stop)[rows - chunk.first]
        if sort == "source":
            return np.asarray(_key(_by_source(values), rows), np.int64)
        values = values.astype(np.int64)
        if sort == "slots":
            values = np.minimum(values, t_of.get(chunk.lang) or 0)
        return np.asarray(_key(values, rows), np.int64)


def _by_source(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return sources as values, the first one the largest, unknown ones the smallest."""
    return np.where(codes == 0, 0, len(SOURCES) - codes.astype(np.int64))


def _key(value: Any, row: Any) -> Any:
    """Put a value below 2^32 and a row together: of equal values the first row has the larger key.

    >>> _key(2, 0) > _key(1, 0) > _key(1, 1)
    True
    """
    return (value << _ROW_BITS) + ((1 << _ROW_BITS) - 1 - row)


class _Chunk(NamedTuple):
    """Rows of one language that are searched at a time, and the count that none is above."""

    block: int
    end: int
    first: int
    stop: int
    lang: str
    most: int


class _Best:
    """The rows with the largest keys."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._keys = np.zeros(0, np.int64)
        self.num = 0

    def is_beyond(self, bound: int) -> bool:
        """Tell whether nothing at or below a bound comes among them any more."""
        return len(self._keys) >= self._wanted and int(self._keys[-1]) > bound

    def add(self, keys: NDArray[np.int64]) -> None:
        """Take keys of rows."""
        self.num += len(keys)
        if len(self._keys) >= self._wanted:
            keys = keys[keys > self._keys[-1]]
        if len(keys):
            both = np.r_[self._keys, keys]
            if len(both) > self._wanted:
                both = np.partition(both, len(both) - self._wanted)[-self._wanted :]
            self._keys = np.sort(both)[::-1]

    def rows(self) -> list[int]:
        """Return them in order."""
        rows = (1 << _ROW_BITS) - 1 - (self._keys & ((1 << _ROW_BITS) - 1))
        found: list[int] = rows.tolist()
        return found
