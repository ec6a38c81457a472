"""Entries with their counts in, files that search and lookup need out.

The entries of a language stand from the most frequent to the rarest, so that a search for the most
frequent ones may stop early; languages stand one behind the other. Twice: as they are, to be shown,
and in lower case, to be searched. What no text holds but lines are marked with, a line feed, is a
space there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.pipelines.browse.indexed.columns import append_to, smallest_kind

__all__ = ["BLOCK", "SOURCES", "EntryList", "lower_case", "write_entries"]

BLOCK = 512  # entries whose place is noted
SOURCES = ("", "number", "wordnet", "unigram", "bigram", "title")
_PIECE = 1 << 17  # entries that are put into order at a time
_SAMPLE = 1 << 16  # bytes of a piece that are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryList:
    """The entries of a language.

    Attributes:
        lang: its code.
        count: pairs that match each; uint64, shape (num_entries,).
        read: gives the entries and the codes of their sources in `SOURCES`.
    """

    lang: str
    count: NDArray[np.uint64]
    read: Callable[[], tuple[pa.ChunkedArray, NDArray[np.uint8]]]


def lower_case(text: str) -> str:
    """Return a text as it is searched.

    >>> lower_case("Straße ÉTÉ")
    'straße été'
    """
    return str(pc.utf8_lower(pa.scalar(text)).as_py())


def write_entries(folder: Path, lists: Iterator[EntryList], most: int) -> dict[str, Any]:
    """Write the files of all entries.

    Args:
        folder: that they come into.
        lists: one language after the other.
        most: that an entry can be counted.

    Returns:
        What has to be known to read them: languages with their first rows, sizes, kinds of
        numbers, and how often each byte stands in what is searched.
    """
    kind = smallest_kind(most)
    blocks: list[tuple[int, int, int]] = []
    languages: list[dict[str, Any]] = []
    frequency = np.zeros(256, np.int64)
    first = 0
    names = ("entries", "folded", "order", "rank", "counts", "counts_by_id", "sources")
    files = [append_to(folder / name) for name in names]
    opened = [one.__enter__() for one in files]
    try:
        text, folded, order_file, rank_file, count_file, by_id, source_file = opened
        text.add(b"\n")
        folded.add(b"\n")
        for one in lists:
            size = len(one.count)
            order = _most_frequent_first(one.count)
            languages.append({"lang": one.lang, "first": first, "size": size, "block": len(blocks)})
            entries, sources = one.read()
            entries = entries.combine_chunks() if entries.num_chunks != 1 else entries.chunk(0)
            if not pa.types.is_large_string(entries.type):
                entries = pc.cast(entries, pa.large_string())
            for at in range(0, size, _PIECE):
                rows = order[at : at + _PIECE]
                _add_texts(entries.take(pa.array(rows)), first + at, text, folded, blocks,
                           frequency)  # fmt: skip
            rank = np.empty(size, np.uint32)
            rank[order] = np.arange(size, dtype=np.uint32)
            order_file.add(order.astype(np.uint32))
            rank_file.add(rank)
            count_file.add(one.count[order].astype(kind))
            by_id.add(one.count.astype(kind))
            source_file.add(sources[order])
            first += size
        ends = (first, text.num_bytes, folded.num_bytes)
    finally:
        for file in files:
            file.__exit__(None, None, None)
    np.array([*blocks, ends], np.int64).tofile(folder / "blocks")
    return {"languages": languages, "entries": first, "count_kind": kind,
            "frequency": frequency.tolist()}  # fmt: skip


def _most_frequent_first(count: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return entry ids by count, descending, and by id where counts are equal."""
    largest = int(count.max(initial=0))
    if largest < 1 << 32:  # one sort of whole numbers, which is several times as fast
        keys = ((largest - count) << np.uint64(32)) | np.arange(len(count), dtype=np.uint64)
        keys.sort()
        return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return np.argsort(largest - count, kind="stable").astype(np.int64)


def _add_texts(
    entries: pa.LargeStringArray,
    first: int,
    text: Any,
    folded: Any,
    blocks: list[tuple[int, int, int]],
    frequency: NDArray[np.int64],
) -> None:
    """Add a piece of entries as lines, and where its blocks begin."""
    num = len(entries)
    lines, starts = _as_lines(entries)
    low, low_starts = _as_lines(pc.utf8_lower(entries))
    for at in range(0, num, BLOCK):
        blocks.append(
            (first + at, text.num_bytes + int(starts[at]), folded.num_bytes + int(low_starts[at]))
        )
    text.add(lines)
    folded.add(low)
    frequency += np.bincount(low[:_SAMPLE], minlength=256)


def _as_lines(strings: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return strings as lines, each with a line feed behind it, and where each begins."""
    empty, line = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
    joined = pc.binary_join_element_wise(strings, empty, line)
    offsets = np.frombuffer(joined.buffers()[1], np.int64)[joined.offset :][: len(joined) + 1]
    data = np.frombuffer(joined.buffers()[2] or b"", np.uint8)[int(offsets[0]) : int(offsets[-1])]
    starts = offsets - offsets[0]
    if int(np.count_nonzero(data == 10)) > len(strings):
        data = data.copy()
        ends = starts[1:] - 1
        data[data == 10] = 32
        data[ends] = 10
    return data, starts
