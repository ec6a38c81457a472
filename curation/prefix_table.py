"""The table behind fast matching: which runs of units are entries, and which begin longer ones.

A *needle* is the normalized string of one or more entries. Its units are hashed one after the
other, so that each prefix of a needle has a hash, and all of them go into one open-addressing
table. Looking a text up takes one independent probe per unit, which the memory system overlaps,
and one more for each further unit only where an entry does begin like that.

A slot is 64 bits: 31 of the hash, one that says that longer needles begin so, and the place of the
needle's record (0 for a mere prefix). A record is read only to compare the needle's bytes with the
text's: hashes are never trusted. Equal hashes of different needles just take two slots.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from curation.kernels import compiled, mix

__all__ = ["Needles", "PrefixTable", "build_table", "find_needles"]

_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
_MIN_BITS = 4


class Needles(NamedTuple):
    """Normalized entries, cut into units.

    Attributes:
        data: their bytes, one after the other; uint8.
        offsets: int64, shape (num_needles + 1,).
        entry_ids: uint32, shape (num_needles,); one per needle, equal needles may repeat.
        hashes: of all units; uint64.
        unit_offsets: int64, shape (num_needles + 1,); a needle without units never matches.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    entry_ids: NDArray[np.uint32]
    hashes: NDArray[np.uint64]
    unit_offsets: NDArray[np.int64]


class PrefixTable(NamedTuple):
    """The table and the records.

    Attributes:
        slots: uint64, shape (2^n,), with n >= 4; at most half of them taken.
        records: uint32; a record is the number of entry ids, these, the length in bytes, and the
            bytes in whole words. Word 0 is unused, so that no record is at 0.
    """

    slots: NDArray[np.uint64]
    records: NDArray[np.uint32]


@compiled
def _prefix_hashes(hashes: Any, unit_offsets: Any) -> Any:
    """Return the hash of each prefix of each needle, in the place of the prefix's last unit."""
    out = np.empty_like(hashes)
    for needle in range(len(unit_offsets) - 1):
        state = np.uint64(0)
        for at in range(unit_offsets[needle], unit_offsets[needle + 1]):
            state = mix(state * _MULTIPLIER + hashes[at])
            out[at] = state
    return out


@compiled
def _same_bytes(data: Any, first: int, second: int, length: int) -> bool:
    for i in range(length):
        if data[first + i] != data[second + i]:
            return False
    return True


@compiled
def _group(data: Any, offsets: Any, full: Any, has_units: Any, bits: int) -> Any:
    """Return for each needle the first needle of the same bytes; −1 where there are no units."""
    size = 1 << bits
    slots = np.full(size, -1, dtype=np.int64)
    same_as = np.full(len(full), -1, dtype=np.int64)
    for needle in range(len(full)):
        if not has_units[needle]:
            continue
        length = offsets[needle + 1] - offsets[needle]
        at = np.int64(full[needle] >> np.uint64(64 - bits))
        while slots[at] >= 0:
            other = slots[at]
            if (
                full[other] == full[needle]
                and offsets[other + 1] - offsets[other] == length
                and _same_bytes(data, offsets[other], offsets[needle], length)
            ):
                break
            at = (at + 1) & (size - 1)
        if slots[at] < 0:
            slots[at] = needle
        same_as[needle] = slots[at]
    return same_as


@compiled
def _write_records(
    data: Any, offsets: Any, entry_ids: Any, same_as: Any, num_words: int
) -> tuple[Any, Any]:
    """Write a record for each distinct needle; return them and where each one is."""
    num_ids = np.zeros(len(same_as), dtype=np.int64)
    for needle in range(len(same_as)):
        if same_as[needle] >= 0:
            num_ids[same_as[needle]] += 1
    records = np.zeros(num_words, dtype=np.uint32)
    place = np.zeros(len(same_as), dtype=np.int64)
    at = 1
    for needle in range(len(same_as)):
        if num_ids[needle] == 0:
            continue
        place[needle] = at
        length = offsets[needle + 1] - offsets[needle]
        records[at + 1 + num_ids[needle]] = length
        text = at + 2 + num_ids[needle]
        for i in range(length):
            byte = np.uint32(data[offsets[needle] + i])
            records[text + (i >> 2)] |= byte << np.uint32(8 * (i & 3))
        at = text + (length + 3) // 4
    for needle in range(len(same_as)):
        if same_as[needle] >= 0:
            record = place[same_as[needle]]
            records[record] += np.uint32(1)
            records[record + records[record]] = entry_ids[needle]
    return records[:at], place


@compiled
def _insert(slots: Any, state: np.uint64, bits: int, place: int, goes_on: bool) -> int:
    """Add a prefix or a needle; return 1 if it took a new slot."""
    mask = len(slots) - 1
    at = np.int64(state >> np.uint64(64 - bits))
    print_ = (state & np.uint64(0x7FFFFFFF)) << np.uint64(33)
    flag = np.uint64(1) << np.uint64(32) if goes_on else np.uint64(0)
    while slots[at] != 0:
        if place == 0 and slots[at] >> np.uint64(33) == print_ >> np.uint64(33):
            slots[at] |= flag
            return 0
        at = (at + 1) & mask
    slots[at] = print_ | flag | np.uint64(place)
    return 1


@compiled
def _fill(slots: Any, bits: int, prefixes: Any, unit_offsets: Any, same_as: Any, place: Any) -> int:
    """Insert all needles, then all prefixes of more units that follow."""
    taken = 0
    for needle in range(len(same_as)):
        if same_as[needle] == needle:
            last = prefixes[unit_offsets[needle + 1] - 1]
            taken += _insert(slots, last, bits, place[needle], False)
    for needle in range(len(same_as)):
        if same_as[needle] == needle:
            for at in range(unit_offsets[needle], unit_offsets[needle + 1] - 1):
                taken += _insert(slots, prefixes[at], bits, 0, True)
                if 2 * taken > len(slots):
                    return -1
    return taken


def build_table(needles: Needles) -> PrefixTable:
    """Build the table of some needles.

    Equal needles become one record with all their entry ids, ascending.
    """
    num = len(needles.entry_ids)
    has_units = np.diff(needles.unit_offsets) > 0
    prefixes = _prefix_hashes(needles.hashes, needles.unit_offsets)
    full = np.zeros(num, dtype=np.uint64)
    full[has_units] = prefixes[needles.unit_offsets[1:][has_units] - 1]
    bits = max(_MIN_BITS, int(2 * num).bit_length())
    same_as = _group(needles.data, needles.offsets, full, has_units, bits)
    num_words = 1 + int((np.diff(needles.offsets) + 3).sum()) // 4 + 4 * num
    if num_words >= 2**32:
        raise ValueError(f"{num} entries take {4 * num_words} bytes; expected less than 16 GiB")
    records, place = _write_records(
        needles.data, needles.offsets, needles.entry_ids, same_as, num_words
    )
    while True:
        slots = np.zeros(1 << bits, dtype=np.uint64)
        if _fill(slots, bits, prefixes, needles.unit_offsets, same_as, place) >= 0:
            return PrefixTable(slots, records)
        bits += 1


@compiled
def _equals(records: Any, at: int, text: Any, start: int, length: int) -> bool:
    """Compare a record's bytes with the text's, a word at a time where it can."""
    whole = length >> 2
    for i in range(whole):
        p = start + 4 * i
        word = (
            np.uint32(text[p])
            | np.uint32(text[p + 1]) << np.uint32(8)
            | np.uint32(text[p + 2]) << np.uint32(16)
            | np.uint32(text[p + 3]) << np.uint32(24)
        )
        if records[at + i] != word:
            return False
    for i in range(4 * whole, length):
        byte = records[at + (i >> 2)] >> np.uint32(8 * (i & 3)) & np.uint32(0xFF)
        if byte != text[start + i]:
            return False
    return True


@compiled
def find_needles(
    slots: Any,
    records: Any,
    text: Any,
    starts: Any,
    ends: Any,
    hashes: Any,
    limits: Any,
    num_units: int,
    work: Any,
    states: Any,
    owners: Any,
    found: Any,
    num_found: int,
) -> tuple[Any, Any, int]:
    """Append every needle that occurs in a block of texts: its entry ids, and where it begins.

    The block goes through in waves. A wave holds the runs of units that may still be needles; its
    slots are loaded one after the other without looking at them, so that their cache misses
    overlap; then they are looked at, and runs that begin longer needles make the next wave. The
    records of the candidates are loaded in the same manner before they are compared.

    Args:
        slots: of the table.
        records: of the table.
        text: the normalized texts of the block; uint8.
        starts: first byte of each unit in the text.
        ends: byte after each unit.
        hashes: of each unit.
        limits: the unit after the last one of the text that a unit belongs to.
        num_units: units of the block.
        work: scratch for four numbers per run; int32, shape (4, at least num_units).
        states: scratch for a hash and a slot per run; uint64, shape (2, at least num_units).
        owners: first unit of each entry found; int32; a longer copy is made where it is full.
        found: entry ids; uint32, as long as owners.
        num_found: how many they hold.

    Returns:
        owners, found, and how many they hold now.
    """  # fmt: skip
    mask = len(slots) - 1
    shift = np.uint64(64)
    size = len(slots)
    while size > 1:
        shift -= np.uint64(1)
        size >>= 1
    firsts, lasts, origins, candidates = work[0], work[1], work[2], work[3]
    state_of, slot_of = states[0], states[1]
    for unit in range(num_units):
        firsts[unit] = unit
        lasts[unit] = unit
        state_of[unit] = 0
    num_runs = num_units
    while num_runs:
        for run in range(num_runs):
            state = mix(state_of[run] * _MULTIPLIER + hashes[lasts[run]])
            state_of[run] = state
            slot_of[run] = slots[state >> shift]
        num_next = num_candidates = 0
        for run in range(num_runs):
            slot = slot_of[run]
            if slot == 0:
                continue
            state = state_of[run]
            first = firsts[run]
            last = lasts[run]
            at = np.int64(state >> shift)
            print_ = state & np.uint64(0x7FFFFFFF)
            goes_on = False
            while slot != 0:
                if slot >> np.uint64(33) == print_:
                    goes_on |= slot >> np.uint64(32) & np.uint64(1) != 0
                    record = slot & np.uint64(0xFFFFFFFF)
                    if record != 0:
                        # `slot_of` is read no further than this run, `candidates` no further than
                        # there are: a record's number takes the place of a slot that is done.
                        origins[num_candidates] = first
                        candidates[num_candidates] = last
                        slot_of[num_candidates] = record
                        num_candidates += 1
                at = (at + 1) & mask
                slot = slots[at]
                if num_candidates > run:
                    break
            while slot != 0:  # the rest of a run with several candidates: rare, so not gathered
                if slot >> np.uint64(33) == print_:
                    goes_on |= slot >> np.uint64(32) & np.uint64(1) != 0
                    record = slot & np.uint64(0xFFFFFFFF)
                    if record != 0:
                        owners, found, num_found = _compare_one(
                            records, np.int64(record), text, starts[first], ends[last], first,
                            owners, found, num_found,
                        )  # fmt: skip
                at = (at + 1) & mask
                slot = slots[at]
            if goes_on and last + 1 < limits[first]:
                firsts[num_next] = first
                lasts[num_next] = last + 1
                state_of[num_next] = state
                num_next += 1
        owners, found, num_found = _compare(
            records, text, starts, ends, origins, candidates, slot_of, num_candidates,
            owners, found, num_found,
        )  # fmt: skip
        num_runs = num_next
    return owners, found, num_found


@compiled
def _compare(
    records: Any,
    text: Any,
    starts: Any,
    ends: Any,
    origins: Any,
    lasts: Any,
    record_of: Any,
    num: int,
    owners: Any,
    found: Any,
    num_found: int,
) -> tuple[Any, Any, int]:
    """Append the entry ids of those candidates whose bytes stand in the text."""  # fmt: skip
    touched = np.uint32(0)
    for i in range(num):
        touched |= records[record_of[i]]
    if touched == 0:  # never: it only keeps the loop above, which loads the records, alive
        return owners, found, num_found
    for i in range(num):
        first = origins[i]
        owners, found, num_found = _compare_one(
            records, np.int64(record_of[i]), text, starts[first], ends[lasts[i]], first,
            owners, found, num_found,
        )  # fmt: skip
    return owners, found, num_found


@numba.njit(inline="always")
def _compare_one(
    records: Any, record: int, text: Any, start: int, stop: int, first: int,
    owners: Any, found: Any, num_found: int,
) -> tuple[Any, Any, int]:  # fmt: skip
    num_ids = np.int64(records[record])
    length = np.int64(records[record + 1 + num_ids])
    if length == stop - start and _equals(records, record + 2 + num_ids, text, start, length):
        if num_found + num_ids > len(found):
            found = _longer(found, num_found, num_ids)
            owners = _longer(owners, num_found, num_ids)
        for i in range(num_ids):
            found[num_found] = records[record + 1 + i]
            owners[num_found] = first
            num_found += 1
    return owners, found, num_found


@compiled
def _longer(array: Any, num: int, more: int) -> Any:
    longer = np.empty(2 * (num + more), dtype=array.dtype)
    longer[:num] = array[:num]
    return longer
