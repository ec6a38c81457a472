"""Compiled loops over texts and entries, one for each normalization."""

from typing import Any

import numba
import numpy as np

from curation.kernels import (
    compiled,
    space_text,
    split_characters,
    split_pieces,
    split_tokens,
)
from curation.prefix_table import find_needles

__all__ = ["match_metaclip", "match_standard", "split_metaclip_entries", "split_standard_entries"]

_SPACE = np.uint8(32)
_BLOCK_BYTES = 1 << 14


@numba.njit(inline="always")
def _longest(offsets: Any, rows: Any) -> int:
    longest = 0
    for row in rows:
        longest = max(longest, offsets[row + 1] - offsets[row])
    return longest


@compiled
def _sort_unique(found: Any, first: int, stop: int) -> int:
    """Sort a part of an array and drop what repeats; return the part's new end."""
    if stop - first > 32:
        found[first:stop] = np.sort(found[first:stop])
    else:
        for i in range(first + 1, stop):
            value = found[i]
            j = i - 1
            while j >= first and found[j] > value:
                found[j + 1] = found[j]
                j -= 1
            found[j + 1] = value
    write = first
    for i in range(first, stop):
        if i == first or found[i] != found[write - 1]:
            found[write] = found[i]
            write += 1
    return write


@compiled
def _next_block(offsets: Any, rows: Any, begin: int) -> tuple[int, int]:
    """Return the end of a block of texts that fits the cache, and its bytes, plus one a text."""
    num_bytes = 0
    stop = begin
    while stop < len(rows):
        length = offsets[rows[stop] + 1] - offsets[rows[stop]] + 1
        if stop > begin and num_bytes + length > _BLOCK_BYTES:
            break
        num_bytes += length
        stop += 1
    return stop, num_bytes


@compiled
def _largest_block(offsets: Any, rows: Any) -> int:
    largest = begin = 0
    while begin < len(rows):
        begin, num_bytes = _next_block(offsets, rows, begin)
        largest = max(largest, num_bytes)
    return largest


@compiled
def _gather(
    owners: Any,
    found: Any,
    num_found: int,
    row_of_unit: Any,
    num_rows: int,
    values: Any,
    num_values: int,
    list_ends: Any,
    begin: int,
) -> tuple[Any, int]:
    """Append a block's entry ids to the lists of their texts: ascending and unique.

    Args:
        owners: first unit of each entry found.
        found: entry ids.
        num_found: how many there are.
        row_of_unit: which text of the block each unit belongs to.
        num_rows: texts of the block.
        values: of all lists so far; a longer copy is made where it is full.
        num_values: how many there are.
        list_ends: where the list of each text ends, after a 0.
        begin: texts before the block.
    """  # fmt: skip
    if num_values + num_found > len(values):
        longer = np.empty(2 * (num_values + num_found), dtype=np.uint32)
        longer[:num_values] = values[:num_values]
        values = longer
    at = np.zeros(num_rows + 1, dtype=np.int64)
    for i in range(num_found):
        at[row_of_unit[owners[i]] + 1] += 1
    for row in range(num_rows):
        at[row + 1] += at[row]
    placed = np.empty(num_found, dtype=np.uint32)
    for i in range(num_found):
        row = row_of_unit[owners[i]]
        placed[at[row]] = found[i]
        at[row] += 1
    first = 0
    for row in range(num_rows):
        stop = _sort_unique(placed, first, at[row])
        for i in range(first, stop):
            values[num_values] = placed[i]
            num_values += 1
        list_ends[begin + row + 1] = num_values
        first = at[row]
    return values, num_values


@compiled
def match_standard(
    data: Any, offsets: Any, rows: Any, classes: Any, folded: Any, slots: Any, records: Any
) -> tuple[Any, Any]:
    """Return the entry ids of chosen texts, and where each text's end: values, offsets of a list.

    Args:
        data: UTF-8 of all texts.
        offsets: of all texts.
        rows: positions of the chosen ones.
        classes: as in `CharacterTable`.
        folded: as in `CharacterTable`.
        slots: as in `PrefixTable`.
        records: as in `PrefixTable`.
    """
    largest = _largest_block(offsets, rows)
    space = largest + 8
    out = np.empty(2 * space + 8, dtype=np.uint8)
    starts = np.empty(space, dtype=np.int32)
    ends = np.empty(space, dtype=np.int32)
    hashes = np.empty(space, dtype=np.uint64)
    limits = np.empty(space, dtype=np.int32)
    row_of_unit = np.empty(space, dtype=np.int32)
    work = np.empty((4, space), dtype=np.int32)
    states = np.empty((2, space), dtype=np.uint64)
    owners = np.empty(space, dtype=np.int32)
    found = np.empty(space, dtype=np.uint32)
    values = np.empty(8 * len(rows) + 64, dtype=np.uint32)
    list_ends = np.zeros(len(rows) + 1, dtype=np.int32)
    num_values = begin = 0
    while begin < len(rows):
        stop, _ = _next_block(offsets, rows, begin)
        num = write = 0
        for i in range(begin, stop):
            row = rows[i]
            more = split_tokens(
                data, offsets[row], offsets[row + 1], classes, folded,
                out, write, starts[num:], ends[num:], hashes[num:],
            )  # fmt: skip
            limits[num : num + more] = num + more
            row_of_unit[num : num + more] = i - begin
            num += more
            if more:
                write = ends[num - 1] + 1
        owners, found, num_found = find_needles(
            slots, records, out, starts, ends, hashes, limits, num, work, states, owners, found, 0
        )
        values, num_values = _gather(
            owners, found, num_found, row_of_unit, stop - begin,
            values, num_values, list_ends, begin,
        )  # fmt: skip
        begin = stop
    return values[:num_values].copy(), list_ends


@compiled
def match_metaclip(
    data: Any,
    offsets: Any,
    rows: Any,
    unit_slots: Any,
    unit_records: Any,
    character_slots: Any,
    character_records: Any,
) -> tuple[Any, Any]:
    """Return what `match_standard` returns, for the tables of `metaclip`."""  # fmt: skip
    largest = _largest_block(offsets, rows)
    space = 3 * largest + 8
    out = np.empty(space, dtype=np.uint8)
    starts = np.empty(space, dtype=np.int32)
    ends = np.empty(space, dtype=np.int32)
    hashes = np.empty(space, dtype=np.uint64)
    limits = np.empty(space, dtype=np.int32)
    row_of_unit = np.empty(space, dtype=np.int32)
    work = np.empty((4, space), dtype=np.int32)
    states = np.empty((2, space), dtype=np.uint64)
    owners = np.empty(space, dtype=np.int32)
    found = np.empty(space, dtype=np.uint32)
    values = np.empty(8 * len(rows) + 64, dtype=np.uint32)
    list_ends = np.zeros(len(rows) + 1, dtype=np.int32)
    length_of = np.empty(largest + 1, dtype=np.int32)
    num_values = begin = 0
    while begin < len(rows):
        stop, _ = _next_block(offsets, rows, begin)
        num_found = 0
        for table in range(2 if len(character_records) > 1 else 1):
            num = write = 0
            for i in range(begin, stop):
                row = rows[i]
                if table == 0:
                    length_of[i - begin] = space_text(
                        data, offsets[row], offsets[row + 1], out[write:]
                    )
                length = length_of[i - begin]
                if table == 0:
                    more = split_pieces(out, write, length, starts[num:], ends[num:], hashes[num:])
                else:
                    more = split_characters(
                        out, write, length, starts[num:], ends[num:], hashes[num:]
                    )
                limits[num : num + more] = num + more
                row_of_unit[num : num + more] = i - begin
                num += more
                write += length
            before = num_found
            owners, found, num_found = find_needles(
                unit_slots if table == 0 else character_slots,
                unit_records if table == 0 else character_records,
                out, starts, ends, hashes, limits, num, work, states, owners, found, num_found,
            )  # fmt: skip
            for i in range(before, num_found):  # units are others in the next round, rows are not
                owners[i] = row_of_unit[owners[i]]
        for i in range(stop - begin):
            row_of_unit[i] = i
        values, num_values = _gather(
            owners, found, num_found, row_of_unit, stop - begin,
            values, num_values, list_ends, begin,
        )  # fmt: skip
        begin = stop
    return values[:num_values].copy(), list_ends


@compiled
def split_standard_entries(data: Any, offsets: Any, classes: Any, folded: Any) -> tuple[Any, ...]:
    """Return the fields of `Needles` for entries normalized by `standard`."""
    num_entries = len(offsets) - 1
    size = offsets[num_entries] - offsets[0]
    longest = _longest(offsets, np.arange(num_entries))
    out = np.empty(2 * longest + 8, dtype=np.uint8)
    starts = np.empty(longest + 2, dtype=np.int64)
    ends = np.empty(longest + 2, dtype=np.int64)
    token_hashes = np.empty(longest + 2, dtype=np.uint64)
    needle_data = np.empty(2 * size + 8, dtype=np.uint8)
    needle_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    hashes = np.empty(size + 1, dtype=np.uint64)
    unit_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    write = num_units = 0
    for entry in range(num_entries):
        num = split_tokens(
            data, offsets[entry], offsets[entry + 1], classes, folded,
            out, 0, starts, ends, token_hashes,
        )  # fmt: skip
        length = ends[num - 1] if num else 0
        needle_data[write : write + length] = out[:length]
        hashes[num_units : num_units + num] = token_hashes[:num]
        write += length
        num_units += num
        needle_offsets[entry + 1] = write
        unit_offsets[entry + 1] = num_units
    ids = np.arange(num_entries).astype(np.uint32)
    return needle_data[:write], needle_offsets, ids, hashes[:num_units], unit_offsets


@compiled
def _split_spaced(data: Any, offsets: Any, between: bool) -> tuple[Any, ...]:
    """Return the fields of `Needles` for the spaced entries of one of the two kinds.

    Args:
        data: UTF-8 of the entries, with the spaces that `metaclip` puts around them.
        offsets: of the entries.
        between: take those that begin and end with a space, without these; else the others.
    """
    num_entries = len(offsets) - 1
    size = offsets[num_entries] - offsets[0]
    longest = _longest(offsets, np.arange(num_entries))
    starts = np.empty(longest + 2, dtype=np.int64)
    ends = np.empty(longest + 2, dtype=np.int64)
    piece_hashes = np.empty(longest + 2, dtype=np.uint64)
    needle_data = np.empty(size + 8, dtype=np.uint8)
    needle_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    hashes = np.empty(size + 1, dtype=np.uint64)
    unit_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    ids = np.empty(num_entries, dtype=np.uint32)
    num_needles = write = num_units = 0
    for entry in range(num_entries):
        start, stop = offsets[entry], offsets[entry + 1]
        if stop == start:
            continue
        closed = stop - start > 2 and data[start] == _SPACE and data[stop - 1] == _SPACE
        if closed != between:
            continue
        text = data[start:stop]
        if between:
            num = split_pieces(text, 0, stop - start, starts, ends, piece_hashes)
            start, stop = start + 1, stop - 1
        else:
            num = split_characters(text, 0, stop - start, starts, ends, piece_hashes)
        needle_data[write : write + stop - start] = data[start:stop]
        hashes[num_units : num_units + num] = piece_hashes[:num]
        ids[num_needles] = entry
        write += stop - start
        num_units += num
        num_needles += 1
        needle_offsets[num_needles] = write
        unit_offsets[num_needles] = num_units
    return (
        needle_data[:write], needle_offsets[: num_needles + 1], ids[:num_needles],
        hashes[:num_units], unit_offsets[: num_needles + 1],
    )  # fmt: skip


def split_metaclip_entries(data: Any, offsets: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the fields of `Needles` of entries between spaces, and of those that need none."""
    return _split_spaced(data, offsets, True), _split_spaced(data, offsets, False)
