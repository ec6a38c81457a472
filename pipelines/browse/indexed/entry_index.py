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

from curate.curation.compiled.arrow_buffers import string_buffers
from curate.curation.matching.substring import as_lines
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
    read: Callable[[], tuple[pa.StringArray, NDArray[np.uint8]]]


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
            data, offsets = string_buffers(entries)
            for at in range(0, size, _PIECE):
                lines, starts = as_lines(data, offsets, order[at : at + _PIECE])
                _add_lines(lines, starts, first + at, text, folded, blocks, frequency)
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
    some, none = np.flatnonzero(count), np.flatnonzero(count == 0)  # most entries match nothing
    if largest < 1 << 32:  # one sort of whole numbers, which is several times as fast
        keys = ((largest - count[some]) << np.uint64(32)) | some.astype(np.uint64)
        keys.sort()
        some = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    else:
        some = some[np.argsort(largest - count[some], kind="stable")]
    return np.concatenate([some, none])


def _add_lines(
    lines: NDArray[np.uint8],
    starts: NDArray[np.int64],
    first: int,
    text: Any,
    folded: Any,
    blocks: list[tuple[int, int, int]],
    frequency: NDArray[np.int64],
) -> None:
    """Add a piece of entries, and where its blocks begin."""
    low, low_starts = _lowered(lines, starts)
    text_at, folded_at = text.num_bytes, folded.num_bytes
    at = np.arange(0, len(starts) - 1, BLOCK)
    blocks += zip((first + at).tolist(), (text_at + starts[at]).tolist(),
                  (folded_at + low_starts[at]).tolist(), strict=True)  # fmt: skip
    text.add(lines)
    folded.add(low)
    frequency += np.bincount(low[:_SAMPLE], minlength=256)


def _lowered(
    lines: NDArray[np.uint8], starts: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return lines in lower case, and where each begins then: letters change one by one."""
    if not len(lines) or lines.max() < 128:
        is_upper = lines - np.uint8(65) < 26
        return lines | (is_upper.view(np.uint8) << np.uint8(5)), starts
    whole = pa.LargeStringArray.from_buffers(
        1, pa.py_buffer(np.array([0, len(lines)])), pa.py_buffer(lines)
    )
    low = np.frombuffer(pc.utf8_lower(whole).buffers()[2], np.uint8)
    return low, np.r_[0, np.flatnonzero(low == 10) + 1]
