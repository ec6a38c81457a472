"""The search in a `PrefixTable`: the units of a block of texts in, the entries among them out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import find_among_eight
from curate.curation.compiled.unit_keys import LONG, SHORT, same_bytes, same_short_bytes
from curate.curation.matching.prefix_table import (
    ENTRY_SHIFT,
    GOES_ON,
    IS_RECORD,
    LENGTH_SHIFT,
    MORE,
    PRINT_MASK,
    PRINT_SHIFT,
    VALUE,
)
from curate.curation.matching.unit_hashes import (
    filter_place,
    head_hash,
    log2,
    next_hash,
    slot,
    tail_slot,
)

__all__ = ["find_needles"]


@compiled
def find_needles(
    heads: Any,
    tails: Any,
    filter_: Any,
    records: Any,
    text: Any,
    starts: Any,
    ends: Any,
    keys: Any,
    lengths: Any,
    limits: Any,
    rows: Any,
    num_units: int,
    runs: Any,
    states: Any,
    slots: Any,
    touched: Any,
    owners: Any,
    found: Any,
    num_found: int,
) -> int:
    """Append every needle that occurs in a block of texts: its entry ids, and in which text.

    The block goes through in waves, one per length of runs. Slots are loaded for a whole wave
    before they are looked at, so that their cache misses overlap.

    Args:
        heads: as in `PrefixTable`; so are tails, filter_ and records.
        tails: see there.
        filter_: see there.
        records: see there.
        text: the normalized texts of the block, and SLACK; uint8.
        starts: first byte of each unit in the text.
        ends: byte after each unit.
        keys: as `key_units` gives them, as are lengths.
        lengths: see there.
        limits: the unit after the last one of the text that a unit belongs to.
        rows: the text that each unit belongs to.
        num_units: units of the block.
        runs: scratch: first and last unit of each run; uint32, shape (2, at least num_units).
        states: scratch: hash of each run; uint64, shape (at least num_units,).
        slots: scratch: slot of each run; uint64, shape (at least num_units,).
        touched: scratch that is written and never read; uint32, shape (at least num_units,).
        owners: the text of each entry found; uint32.
        found: entry ids; uint32, as long as owners.
        num_found: how many they hold.

    Returns:
        How many there are now; if there is no room for one more, the last place was written over,
        and the caller makes room and begins again.
    """  # fmt: skip
    num_heads, num_tails = np.uint64(len(heads)), np.uint64(len(tails))
    filter_bits = log2(len(filter_))
    firsts, lasts = runs[0], runs[1]
    room = len(found)
    for unit in range(num_units):
        state = head_hash(keys[unit, 0], keys[unit, 1], lengths[unit])
        states[unit] = state
        slots[unit] = heads[slot(state, num_heads), 2]
    num_runs = 0
    for unit in range(num_units):
        meaning = slots[unit]
        low, high, code = keys[unit, 0], keys[unit, 1], np.uint64(lengths[unit])
        state = states[unit]
        at = slot(state, num_heads)
        while meaning != 0 and (
            heads[at, 0] != low or heads[at, 1] != high or meaning >> LENGTH_SHIFT != code
        ):
            at = at + 1 if at + 1 < len(heads) else 0
            meaning = heads[at, 2]
        if meaning & IS_RECORD or code == LONG:
            meaning, num_found = _search_records(
                heads, at, low, records, text, np.int64(starts[unit]), np.int64(ends[unit]),
                rows[unit], owners, found, num_found,
            )  # fmt: skip
        # No branch on what is found: as good as random, it would be foretold wrongly.
        place = min(num_found, room - 1)
        found[place] = np.uint32(meaning & VALUE)
        owners[place] = rows[unit]
        num_found += np.int64(meaning >> ENTRY_SHIFT & np.uint64(1))
        firsts[num_runs] = unit
        lasts[num_runs] = unit + 1
        states[num_runs] = state
        num_runs += (meaning & GOES_ON != 0) & (unit + 1 < limits[unit])
    while num_runs:
        num_kept = 0
        for run in range(num_runs):
            last = lasts[run]
            state = next_hash(states[run], keys[last, 0], keys[last, 1], lengths[last])
            word, bit = filter_place(state, filter_bits)
            firsts[num_kept] = firsts[run]
            lasts[num_kept] = last
            states[num_kept] = state
            num_kept += filter_[word] & bit != 0
        for run in range(num_kept):
            at = tail_slot(states[run], num_tails)
            touched[run] = np.uint32(tails[at])
            slots[run] = np.uint64(at)
        for run in range(num_kept):
            tail = _find_tail(tails, np.int64(slots[run]), states[run] & PRINT_MASK)
            slots[run] = tail
            record = np.int64(tail & VALUE)
            touched[run] = records[record] ^ records[record + 8]  # it may lie in two lines
        num_runs = 0
        for run in range(num_kept):
            tail = slots[run]
            first, last, state = firsts[run], lasts[run], states[run]
            record = np.int64(tail & VALUE)
            start, stop = np.int64(starts[first]), np.int64(ends[last])
            goes_on = tail & GOES_ON != 0
            if tail & MORE or stop - start > SHORT or records[record] != 1:
                goes_on, num_found = _search_tails(
                    tails, state, records, text, start, stop, rows[first],
                    owners, found, num_found,
                )  # fmt: skip
            else:
                length = stop - start
                is_same = np.int64(records[record + 2] == length) & np.int64(
                    same_short_bytes(records, 4 * (record + 3), text, start, length)
                )
                place = min(num_found, room - 1)
                found[place] = records[record + 1]
                owners[place] = rows[first]
                num_found += is_same
            firsts[num_runs] = first
            lasts[num_runs] = last + 1
            states[num_runs] = state
            num_runs += goes_on & (last + 1 < limits[first])
    return num_found


@inlined
def _find_tail(tails: Any, at: int, print_: np.uint64) -> np.uint64:
    """Return the first tail of a print, 0 if there is none, from the first slot of a line on."""
    found = find_among_eight(tails, at, PRINT_SHIFT, print_)
    while found == 8 and tails[at + 7] != 0:
        at = at + 8 if at + 8 < len(tails) else 0
        found = find_among_eight(tails, at, PRINT_SHIFT, print_)
    return tails[at + found] if found < 8 else np.uint64(0)


@compiled
def _search_records(
    heads: Any,
    at: int,
    low: np.uint64,
    records: Any,
    text: Any,
    start: int,
    stop: int,
    row: int,
    owners: Any,
    found: Any,
    num_found: int,
) -> tuple[np.uint64, int]:
    """Look at the heads of a unit whose entries stand in records: long ones, and shared ones.

    Returns:
        GOES_ON or 0, and the number of entry ids found.
    """  # fmt: skip
    goes_on = np.uint64(0)
    is_long = heads[at, 2] >> LENGTH_SHIFT == LONG
    while heads[at, 2] != 0:
        meaning = heads[at, 2]
        is_same = not is_long or (meaning >> LENGTH_SHIFT == LONG and heads[at, 0] == low)
        if is_same:
            goes_on |= meaning & GOES_ON
        if is_same and meaning & IS_RECORD:
            num_found = _compare(
                records, np.int64(meaning & VALUE), text, start, stop, row,
                owners, found, num_found,
            )  # fmt: skip
        if not is_long:
            break
        at = at + 1 if at + 1 < len(heads) else 0
    return goes_on, num_found


@compiled
def _search_tails(
    tails: Any,
    state: np.uint64,
    records: Any,
    text: Any,
    start: int,
    stop: int,
    row: int,
    owners: Any,
    found: Any,
    num_found: int,
) -> tuple[bool, int]:
    """Look at all tails of a run: where they are several, long, or of several entries.

    Returns:
        Whether longer needles begin so, and the number of entry ids found.
    """  # fmt: skip
    goes_on = False
    at = tail_slot(state, np.uint64(len(tails)))
    while tails[at] != 0:
        if tails[at] >> PRINT_SHIFT == state & PRINT_MASK:
            goes_on |= tails[at] & GOES_ON != 0
            num_found = _compare(
                records, np.int64(tails[at] & VALUE), text, start, stop, row,
                owners, found, num_found,
            )  # fmt: skip
            if tails[at] & MORE == 0:
                break
        at = at + 1 if at + 1 < len(tails) else 0
    return goes_on, num_found


@compiled
def _compare(
    records: Any,
    record: int,
    text: Any,
    start: int,
    stop: int,
    row: int,
    owners: Any,
    found: Any,
    num_found: int,
) -> int:
    """Append the entry ids of a record if its bytes stand in the text; return their number."""
    num_ids = np.int64(records[record])
    length = np.int64(records[record + 1 + num_ids])
    if length == stop - start and same_bytes(
        records, 4 * (record + 2 + num_ids), text, start, length
    ):
        for i in range(num_ids):
            if num_found < len(found):
                found[num_found] = records[record + 1 + i]
                owners[num_found] = row
            num_found += 1
    return num_found
