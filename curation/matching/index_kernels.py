"""Compiled loops over texts, one for each normalization: blocks of texts in, lists of ids out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled
from curate.curation.compiled.intrinsics import LANES, count_smaller
from curate.curation.compiled.unit_keys import SLACK, key_units
from curate.curation.matching.kernels import split_tokens
from curate.curation.matching.pieces import space_text, split_characters, split_pieces
from curate.curation.matching.prefix_search import NO_UNIT, find_needles

__all__ = ["match_metaclip", "match_standard"]

# A block's texts, units and runs stay in the second-level cache of one core.
_BLOCK_BYTES = 1 << 12


_PLACES_PER_BYTE = 2  # of entry ids, at first
_MANY = 16 * LANES  # numbers from which on sorting is quicker than comparing all with all
_NO_ENTRY = np.uint32(0xFFFFFFFF)


@compiled
def _sort(numbers: Any, num: int, scratch: Any) -> None:
    """Sort the first numbers of an array by their bytes, the lowest first; scratch is as long."""
    starts = np.empty(256, dtype=np.int64)
    source, target = numbers, scratch
    for byte in range(4):  # an even number of times: the last target is `numbers`
        shift = np.uint32(8 * byte)
        for value in range(256):
            starts[value] = 0
        for i in range(num):
            starts[source[i] >> shift & np.uint32(255)] += 1
        total = np.int64(0)
        for value in range(256):
            total += starts[value]
            starts[value] = total - starts[value]
        for i in range(num):
            value = np.int64(source[i] >> shift & np.uint32(255))
            target[starts[value]] = source[i]
            starts[value] += 1
        source, target = target, source


@compiled
def _append_sorted(found: Any, first: int, stop: int, scratch: Any, values: Any, num: int) -> int:
    """Append a part of an array to values, ascending and unique; return their number.

    A number's place is how many are smaller. Sixteen are compared with one at a time, without a
    branch; of equal ones, which have one place, all but one leave a gap.

    Args:
        found: with SLACK behind the part.
        first: of the part.
        stop: of the part.
        scratch: uint32, shape (2, stop − first + SLACK).
        values: uint32, with room for the part.
        num: how many values there are.
    """
    size = stop - first
    smaller, placed = scratch[0], scratch[1]
    if size > _MANY:
        for i in range(size):
            placed[i] = found[first + i]
        _sort(placed, size, smaller)
        for i in range(size):
            values[num] = placed[i]
            num += np.int64(i + 1 == size or placed[i] != placed[i + 1])
        return num
    for block in range(0, size, LANES):
        count_smaller(found, first, stop, first + block, smaller, block)
    for i in range(size):
        placed[i] = _NO_ENTRY
    for i in range(size):
        placed[np.uint64(smaller[i])] = found[np.uint64(first + i)]
    for i in range(size):
        values[np.uint64(num)] = placed[i]
        num += np.int64(placed[i] != _NO_ENTRY)
    return num


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
def _largest_block(offsets: Any, rows: Any) -> tuple[int, int]:
    """Return the most bytes of a block, plus one a text, and the most texts."""
    largest = most = begin = 0
    while begin < len(rows):
        stop, num_bytes = _next_block(offsets, rows, begin)
        largest = max(largest, num_bytes)
        most = max(most, stop - begin)
        begin = stop
    return largest, most


@compiled
def _gather(
    found: Any, places: Any, num_rows: int, values: Any, num_values: int, list_ends: Any, begin: int
) -> tuple[Any, int]:
    """Append a block's entry ids to the lists of their texts: ascending and unique.

    Args:
        found: entry ids, as `find_needles` writes them.
        places: where those of each text begin, and where they end.
        num_rows: texts of the block.
        values: of all lists so far; a longer copy is made where it is full.
        num_values: how many there are.
        list_ends: where the list of each text ends, after a 0.
        begin: texts before the block.
    """  # fmt: skip
    num_found = largest = np.int64(0)
    for row in range(num_rows):
        size = np.int64(places[1, row] - places[0, row])
        num_found += size
        largest = max(largest, size)
    if num_values + num_found >= len(values):
        longer = np.empty(2 * (num_values + num_found) + 1, dtype=np.uint32)
        for i in range(num_values):
            longer[i] = values[i]
        values = longer
    scratch = np.empty((2, largest + SLACK), dtype=np.uint32)
    for row in range(num_rows):
        num_values = _append_sorted(
            found, np.int64(places[0, row]), np.int64(places[1, row]), scratch, values, num_values
        )
        list_ends[begin + row + 1] = num_values
    return values, num_values


@compiled
def _scratch(space: int) -> tuple[Any, ...]:
    """Return scratch for the starts, ends, texts, numbers, nodes and next units of units."""
    return (
        np.empty(space, dtype=np.uint32), np.empty(space, dtype=np.uint32),
        np.empty(space, dtype=np.uint32), np.empty(space, dtype=np.uint32),
        np.empty(space, dtype=np.uint32), np.empty(space, dtype=np.uint32),
        np.empty((space, 2), dtype=np.uint64), np.empty(space, dtype=np.uint8),
    )  # fmt: skip


@compiled
def _share_out(sizes: Any, num_rows: int, per_byte: int, places: Any, found: Any) -> Any:
    """Share out places of entry ids to the texts of a block; return the ids, more if need be.

    Args:
        sizes: bytes of each text and one more: it has no more units, with the one behind them.
        num_rows: texts.
        per_byte: places for each byte.
        places: written: where the ids of each text begin, and after the last; so is the next row.
        found: entry ids.
    """
    total = np.int64(0)
    for row in range(num_rows):
        places[0, row] = total
        places[1, row] = total
        total += per_byte * np.int64(sizes[row])
    places[0, num_rows] = total
    return np.empty(total + SLACK, dtype=np.uint32) if total + SLACK > len(found) else found


@compiled
def _end_text(
    num: int, more: int, write: int, row: int, starts: Any, ends: Any, rows: Any, stops: Any
) -> int:
    """Put a unit behind a text's last one, and note whose they are; return their number.

    Args:
        num: units before the text.
        more: units of the text.
        write: place after the text.
        row: the text.
        starts: as `find_needles` takes them, as are ends and rows.
        ends: see there.
        rows: see there.
        stops: the last unit of each text.
    """  # fmt: skip
    stop = num + more
    for unit in range(num, stop + 1):
        rows[unit] = row
    starts[stop] = write
    ends[stop] = write
    stops[row] = stop
    return stop + 1


@compiled
def _end_texts(stops: Any, num_rows: int, places: Any, lengths: Any) -> None:
    """Mark the unit behind the last one of each text, and say up to where a wave has room."""
    first = 0
    for row in range(num_rows):
        lengths[stops[row]] = NO_UNIT
        places[2, row] = places[0, row + 1] - np.uint64(np.int64(stops[row]) + 1 - first)
        first = np.int64(stops[row]) + 1


@compiled
def match_standard(
    data: Any,
    offsets: Any,
    rows: Any,
    classes: Any,
    folded: Any,
    heads: Any,
    tails: Any,
    bits: Any,
    records: Any,
) -> tuple[Any, Any]:
    """Return the entry ids of chosen texts, and where each text's end: values, offsets of a list.

    Args:
        data: UTF-8 of all texts.
        offsets: of all texts.
        rows: positions of the chosen ones.
        classes: as in `CharacterTable`.
        folded: as in `CharacterTable`.
        heads: as in `PrefixTable`; so are the next three.
        tails: see there.
        bits: see there.
        records: see there.
    """  # fmt: skip
    space, most_rows = _largest_block(offsets, rows)
    space += SLACK
    out = np.empty(2 * space + SLACK, dtype=np.uint8)
    starts, ends, row_of_unit, numbers, nodes, nexts, keys, lengths = _scratch(space)
    sizes, stops = np.empty(most_rows, dtype=np.uint32), np.empty(most_rows, dtype=np.uint32)
    places = np.empty((3, most_rows + 1), dtype=np.uint64)
    found = np.empty(_PLACES_PER_BYTE * space, dtype=np.uint32)
    values = np.empty(8 * len(rows) + 64, dtype=np.uint32)
    list_ends = np.zeros(len(rows) + 1, dtype=np.int64)
    num_values = begin = 0
    while begin < len(rows):
        stop, _ = _next_block(offsets, rows, begin)
        num = write = 0
        for i in range(begin, stop):
            row = rows[i]
            more = split_tokens(
                data, offsets[row], offsets[row + 1], classes, folded,
                out, write, starts[num:], ends[num:],
            )  # fmt: skip
            if more:
                write = ends[num + more - 1] + 1
            num = _end_text(num, more, write, i - begin, starts, ends, row_of_unit, stops)
            sizes[i - begin] = offsets[row + 1] - offsets[row] + 1
        key_units(out, starts, ends, num, keys, lengths)
        per_byte, has_room = _PLACES_PER_BYTE, False
        while not has_room:
            found = _share_out(sizes, stop - begin, per_byte, places, found)
            _end_texts(stops, stop - begin, places, lengths)
            has_room = find_needles(
                heads, tails, bits, records,
                out, starts, ends, keys, lengths, row_of_unit, num,
                numbers, nodes, nexts, found, places, stop - begin,
            )  # fmt: skip
            per_byte *= 2
        values, num_values = _gather(
            found, places, stop - begin, values, num_values, list_ends, begin
        )
        begin = stop
    return values[:num_values], list_ends


@compiled
def match_metaclip(
    data: Any,
    offsets: Any,
    rows: Any,
    heads: Any,
    tails: Any,
    bits: Any,
    records: Any,
    char_heads: Any,
    char_tails: Any,
    char_bits: Any,
    char_records: Any,
) -> tuple[Any, Any]:
    """Return what `match_standard` returns, for the two tables of `metaclip`."""  # fmt: skip
    space, most_rows = _largest_block(offsets, rows)
    space = 3 * space + SLACK
    out = np.empty(space + SLACK, dtype=np.uint8)
    starts, ends, row_of_unit, numbers, nodes, nexts, keys, lengths = _scratch(space)
    sizes, stops = np.empty(most_rows, dtype=np.uint32), np.empty(most_rows, dtype=np.uint32)
    places = np.empty((3, most_rows + 1), dtype=np.uint64)
    found = np.empty(_PLACES_PER_BYTE * space, dtype=np.uint32)
    values = np.empty(8 * len(rows) + 64, dtype=np.uint32)
    list_ends = np.zeros(len(rows) + 1, dtype=np.int64)
    num_values = begin = 0
    per_byte = _PLACES_PER_BYTE
    while begin < len(rows):
        stop, _ = _next_block(offsets, rows, begin)
        num = write = 0
        for i in range(begin, stop):
            row = rows[i]
            length = space_text(data, offsets[row], offsets[row + 1], out[write:])
            more = split_pieces(out, write, length, starts[num:], ends[num:])
            write += length
            num = _end_text(num, more, write, i - begin, starts, ends, row_of_unit, stops)
            sizes[i - begin] = length + 1
        found = _share_out(sizes, stop - begin, per_byte, places, found)
        key_units(out, starts, ends, num, keys, lengths)
        _end_texts(stops, stop - begin, places, lengths)
        has_room = find_needles(
            heads, tails, bits, records,
            out, starts, ends, keys, lengths, row_of_unit, num,
            numbers, nodes, nexts, found, places, stop - begin,
        )  # fmt: skip
        if has_room and char_bits[2] > 0:
            num = write = 0
            for i in range(stop - begin):
                length = np.int64(sizes[i]) - 1
                more = split_characters(out, write, length, starts[num:], ends[num:])
                write += length
                num = _end_text(num, more, write, i, starts, ends, row_of_unit, stops)
            key_units(out, starts, ends, num, keys, lengths)
            _end_texts(stops, stop - begin, places, lengths)
            has_room = find_needles(
                char_heads, char_tails, char_bits, char_records,
                out, starts, ends, keys, lengths, row_of_unit, num,
                numbers, nodes, nexts, found, places, stop - begin,
            )  # fmt: skip
        if not has_room:
            per_byte *= 2
            continue
        per_byte = _PLACES_PER_BYTE
        values, num_values = _gather(
            found, places, stop - begin, values, num_values, list_ends, begin
        )
        begin = stop
    return values[:num_values], list_ends
