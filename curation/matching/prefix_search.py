"""The search in a `PrefixTable`: the units of a block of texts in, the entries among them out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled
from curate.curation.compiled.intrinsics import find_among_eight, prefetch
from curate.curation.compiled.unit_keys import LONG
from curate.curation.matching.prefix_table import (
    ENTRY_SHIFT,
    GOES_ON_SHIFT,
    IS_LIST,
    LENGTH_SHIFT,
    LINES,
    ONE_LINE,
    PRINT_MASK,
    PRINT_SHIFT,
    VALUE,
    find_head,
)
from curate.curation.matching.unit_hashes import edge_line, head_line, spread_edge

__all__ = ["NO_UNIT", "find_needles"]

NO_UNIT = np.uint8(255)  # the length of what no entry holds
_WAVE = 32  # runs whose lines are loaded before they are looked at; they stay in the first cache


@compiled
def find_needles(
    heads: Any,
    tails: Any,
    bits: Any,
    records: Any,
    text: Any,
    starts: Any,
    ends: Any,
    keys: Any,
    lengths: Any,
    rows: Any,
    num_units: int,
    numbers: Any,
    nodes: Any,
    nexts: Any,
    found: Any,
    places: Any,
    num_rows: int,
) -> bool:
    """Append every needle that occurs in a block of texts: its entry ids, to those of its text.

    The block goes through once per length of runs, in waves. Slots are loaded for a whole wave
    before they are looked at, so that their cache misses overlap.

    Args:
        heads: as in `PrefixTable`; so are tails, bits and records.
        tails: see there.
        bits: see there.
        records: see there.
        text: the normalized texts of the block, and SLACK; uint8.
        starts: first byte of each unit in the text.
        ends: byte after each unit.
        keys: as `key_units` gives them, as are lengths.
        lengths: see there; NO_UNIT for the unit that stands behind the last one of each text.
        rows: the text that each unit belongs to.
        num_units: units of the block.
        numbers: scratch: the number of each unit; uint32, shape (at least num_units,).
        nodes: scratch: node of each run; uint32, shape (at least num_units,).
        nexts: scratch: the unit after each run; uint32, shape (at least num_units,).
        found: entry ids; uint32; a part of it for each text.
        places: where the part of each text begins; where its next id goes; and the last place
            from where on there is room for an id for each of its units; uint64, shape
            (3, at least num_rows).
        num_rows: texts of the block.

    Returns:
        Whether there was room for them; if not, the caller makes more and begins again.
    """  # fmt: skip
    num_lines = np.uint64(len(tails) >> 3)
    num_head_lines = np.uint64(len(heads) >> 1)
    unit_bits, key_bits, first_node = bits[0], bits[1], np.int64(bits[2]) + 1
    lines = np.empty(_WAVE, dtype=np.uint32)
    edges = np.empty(_WAVE, dtype=np.uint64)
    nexts_of_edges = np.empty(_WAVE, dtype=np.uint32)
    at, limits = places[1], places[2]
    if not _has_room(at, limits, num_rows):
        return False
    num_runs = 0
    for begin in range(0, num_units, _WAVE):
        stop = min(begin + _WAVE, num_units)
        for unit in range(begin, stop):
            place = head_line(keys[unit, 0], keys[unit, 1], lengths[unit], num_head_lines)
            lines[unit - begin] = place
            prefetch(heads, place << 5)
        for unit in range(begin, stop):
            low, high, code = keys[unit, 0], keys[unit, 1], np.uint64(lengths[unit])
            place = np.int64(lines[unit - begin])
            meaning = heads[place, 2]
            different = (
                heads[place, 0] ^ low | heads[place, 1] ^ high | meaning >> LENGTH_SHIFT ^ code
            )
            # No branch on what is found: as good as random, it would be foretold wrongly.
            place += np.int64(different != 0)
            meaning = heads[place, 2]
            different = (
                heads[place, 0] ^ low | heads[place, 1] ^ high | meaning >> LENGTH_SHIFT ^ code
            )
            if different != 0:
                if meaning != 0 or code == LONG:
                    place = find_head(
                        heads, records, text, np.int64(starts[unit]), np.int64(ends[unit]),
                        low, high, code, place & ~1,
                    )  # fmt: skip
                meaning = heads[place, 2]
            number = np.uint32(heads[place, 3])
            numbers[unit] = number
            row = rows[unit]
            write = at[row]
            found[write] = np.uint32(meaning & VALUE)
            at[row] = write + (meaning >> ENTRY_SHIFT & np.uint64(1))
            if meaning & IS_LIST and not _append_list(records, meaning, found, at, limits, row):
                return False
            nodes[np.uint64(num_runs)] = number
            nexts[np.uint64(num_runs)] = unit + 1
            num_runs += np.int64(meaning >> GOES_ON_SHIFT & np.uint64(1))
    while num_runs:
        if not _has_room(at, limits, num_rows):
            return False
        num_longer = 0
        for begin in range(0, num_runs, _WAVE):
            num_kept = 0
            for run in range(begin, min(begin + _WAVE, num_runs)):
                following = nexts[run]
                number = np.uint64(numbers[following])
                spread = spread_edge(np.uint64(nodes[run]), number, unit_bits, key_bits)
                edges[np.uint64(num_kept)] = spread
                nexts_of_edges[np.uint64(num_kept)] = following
                prefetch(tails, edge_line(spread, key_bits, num_lines) << 6)
                num_kept += number != 0
            for run in range(num_kept):
                spread, following = edges[run], nexts_of_edges[run]
                place = edge_line(spread, key_bits, num_lines) << 3
                print_ = spread & PRINT_MASK
                which = find_among_eight(tails, place, PRINT_SHIFT, print_)
                is_missing = which >> 3
                if is_missing & np.int64(tails[place + 7] != 0):
                    place, is_missing = _find_displaced(tails, place, print_)
                    which = np.int64(0)
                place += which & 7
                tail = tails[place] & np.uint64(is_missing - 1)
                row = rows[following]
                write = at[row]
                found[write] = np.uint32(tail & VALUE)
                at[row] = write + (tail >> ENTRY_SHIFT & np.uint64(1))
                if tail & IS_LIST and not _append_list(records, tail, found, at, limits, row):
                    return False
                nodes[np.uint64(num_longer)] = first_node + place
                nexts[np.uint64(num_longer)] = following + 1
                num_longer += np.int64(tail >> GOES_ON_SHIFT & np.uint64(1))
        num_runs = num_longer
    return True


@compiled
def _find_displaced(tails: Any, place: int, print_: np.uint64) -> tuple[int, int]:
    """Look for a tail in the lines after a full one; return its slot, and 0, or 1 for none."""
    for _ in range(LINES - 1):
        place = place + 8 if place + 8 < len(tails) else 0
        print_ += ONE_LINE
        which = find_among_eight(tails, place, PRINT_SHIFT, print_)
        if which < 8:
            return place + which, 0
        if tails[place + 7] == 0:
            break
    return place, 1


@compiled
def _has_room(at: Any, limits: Any, num_rows: int) -> bool:
    """Return whether a wave finds room in the parts of all texts."""
    num_full = 0
    for row in range(num_rows):
        num_full += at[row] > limits[row]
    return num_full == 0


@compiled
def _append_list(
    records: Any, meaning: np.uint64, found: Any, at: Any, limits: Any, row: int
) -> bool:
    """Append the entry ids of a list to those of a text; return whether there was room."""
    place = np.int64(meaning & VALUE)
    num = np.uint64(records[place])
    write = at[row]
    if write + num > limits[row]:
        return False
    for i in range(num):
        found[write + np.uint64(i)] = records[place + 1 + i]
    at[row] = write + num
    return True
