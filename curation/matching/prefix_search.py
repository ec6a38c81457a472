"""The search in a `PrefixTable`: the units of a block of texts in, the entries among them out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled
from curate.curation.compiled.intrinsics import find_among_eight, prefetch
from curate.curation.matching.prefix_table import (
    ENTRY_SHIFT,
    GOES_ON_SHIFT,
    IS_LIST,
    LENGTH_SHIFT,
    ONE_LINE,
    PRINT_MASK,
    PRINT_SHIFT,
    VALUE,
    find_head,
)
from curate.curation.matching.unit_hashes import (
    PRINT_BITS,
    edge_line,
    head_hash,
    slot,
    spread_edge,
)

__all__ = ["NO_UNIT", "find_needles"]

NO_UNIT = np.uint8(255)  # the length of what no entry holds
_PRINT_BITS = np.uint64(PRINT_BITS)
_WAVE = 128  # runs whose lines are loaded before they are looked at; they stay in the first cache


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
    owners: Any,
    found: Any,
    num_found: int,
) -> int:
    """Append every needle that occurs in a block of texts: its entry ids, and in which text.

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
        owners: the text of each entry found; uint32.
        found: entry ids; uint32, as long as owners.
        num_found: how many they hold.

    Returns:
        How many there are now; if there is no room for one more, the last place was written over,
        and the caller makes room and begins again.
    """  # fmt: skip
    num_heads, num_lines = np.uint64(len(heads)), np.uint64(len(tails) >> 3)
    unit_bits, key_bits, first_node = bits[0], bits[1], np.int64(bits[2]) + 1
    room = len(found)
    places = np.empty(_WAVE, dtype=np.uint64)
    edges = np.empty(_WAVE, dtype=np.uint64)
    nexts_of_edges = np.empty(_WAVE, dtype=np.uint32)
    num_runs = 0
    for begin in range(0, num_units, _WAVE):
        stop = min(begin + _WAVE, num_units)
        for unit in range(begin, stop):
            at = slot(head_hash(keys[unit, 0], keys[unit, 1], lengths[unit]), num_heads)
            places[unit - begin] = np.uint64(at)
            prefetch(heads, at << 5)
        for unit in range(begin, stop):
            low, high, code = keys[unit, 0], keys[unit, 1], np.uint64(lengths[unit])
            at = np.int64(places[unit - begin])
            meaning = heads[at, 2]
            if meaning != 0 and (
                heads[at, 0] != low or heads[at, 1] != high or meaning >> LENGTH_SHIFT != code
            ):
                at = find_head(
                    heads, records, text, np.int64(starts[unit]), np.int64(ends[unit]),
                    low, high, code, at,
                )  # fmt: skip
                meaning = heads[at, 2]
            number = np.uint32(heads[at, 3])
            numbers[unit] = number
            # No branch on what is found: as good as random, it would be foretold wrongly.
            place = min(num_found, room - 1)
            found[place] = np.uint32(meaning & VALUE)
            owners[place] = rows[unit]
            num_found += np.int64(meaning >> ENTRY_SHIFT & np.uint64(1))
            if meaning & IS_LIST:
                num_found = _append_list(records, meaning, rows[unit], owners, found, num_found)
            nodes[num_runs] = number
            nexts[num_runs] = unit + 1
            num_runs += np.int64(meaning >> GOES_ON_SHIFT & np.uint64(1))
    while num_runs:
        num_longer = 0
        for begin in range(0, num_runs, _WAVE):
            num_kept = 0
            for run in range(begin, min(begin + _WAVE, num_runs)):
                following = nexts[run]
                number = np.uint64(numbers[following])
                spread = spread_edge(np.uint64(nodes[run]), number, unit_bits, key_bits)
                edges[num_kept] = spread
                nexts_of_edges[num_kept] = following
                prefetch(tails, edge_line(spread, key_bits, num_lines) << 6)
                num_kept += number != 0
            for run in range(num_kept):
                spread, following = edges[run], nexts_of_edges[run]
                at = edge_line(spread, key_bits, num_lines) << 3
                print_ = spread & PRINT_MASK
                which = find_among_eight(tails, at, PRINT_SHIFT, print_)
                while which == 8 and tails[at + 7] != 0 and print_ >> _PRINT_BITS < 7:
                    at = at + 8 if at + 8 < len(tails) else 0
                    print_ += ONE_LINE
                    which = find_among_eight(tails, at, PRINT_SHIFT, print_)
                at += min(which, 7)
                tail = tails[at] if which < 8 else np.uint64(0)
                place = min(num_found, room - 1)
                found[place] = np.uint32(tail & VALUE)
                owners[place] = rows[following]
                num_found += np.int64(tail >> ENTRY_SHIFT & np.uint64(1))
                if tail & IS_LIST:
                    num_found = _append_list(
                        records, tail, rows[following], owners, found, num_found
                    )
                nodes[num_longer] = first_node + at
                nexts[num_longer] = following + 1
                num_longer += np.int64(tail >> GOES_ON_SHIFT & np.uint64(1))
        num_runs = num_longer
    return num_found


@compiled
def _append_list(
    records: Any, meaning: np.uint64, row: int, owners: Any, found: Any, num_found: int
) -> int:
    """Append the entry ids of a list; return their number."""
    at = np.int64(meaning & VALUE)
    for i in range(np.int64(records[at])):
        if num_found < len(found):
            found[num_found] = records[at + 1 + i]
            owners[num_found] = row
        num_found += 1
    return num_found
