"""The table behind fast matching: which runs of units are entries, and which begin longer ones.

A *needle* is the normalized string of one or more entries, a run of units. Two open-addressing
tables are looked into, one independent probe per unit, which the memory system overlaps:

- ``heads``, for runs of one unit. A slot is the unit's key and what is known of it; a unit of at
  most sixteen bytes *is* its key, and the entry's id stands in the slot, so that nothing else is
  read.
- ``tails``, for longer runs: 30 bits of a hash, one that says that longer needles begin so, one
  that says that a later slot holds another such run, and the place of a record. It is looked into
  only where the run before goes on, and where a bit of ``filter`` says that there may be something.

A record holds the needle's bytes, which are compared with the text's: hashes are never trusted.
Different needles of one hash just take two slots.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.curation.compiled.unit_keys import LONG, SLACK, key_units, same_bytes
from curate.curation.matching.unit_hashes import (
    filter_place,
    head_hash,
    log2,
    next_hash,
    slot,
    tail_slot,
)

__all__ = ["Needles", "PrefixTable", "build_table", "empty_table"]

_MIN_BITS = 6
_FILTER_BITS_PER_PREFIX = 8
_SLOTS_PER_TAKEN = 2.2
_SPARE_SLOTS = 16

# Bits of the third word of a head; the fourth fills the line.
VALUE = np.uint64(0xFFFFFFFF)  # an entry id, or the place of a record
GOES_ON = np.uint64(1 << 32)
IS_ENTRY = np.uint64(1 << 33)
IS_RECORD = np.uint64(1 << 34)
TAKEN = np.uint64(1 << 35)
ENTRY_SHIFT = np.uint64(33)
LENGTH_SHIFT = np.uint64(40)

# Bits of a tail: a record in the lower 32, then GOES_ON, then MORE, then the print.
MORE = np.uint64(1 << 33)  # another slot of the same print comes after this one
PRINT_SHIFT = np.uint64(34)
PRINT_MASK = np.uint64(0x3FFFFFFF)

# Record 0 matches nothing: one entry id, and a length that no run has.
NO_RECORD = np.array([1, 0, 0xFFFFFFFF], np.uint32)


class Needles(NamedTuple):
    """Normalized entries, cut into units.

    Attributes:
        data: their bytes, one after the other, and SLACK; uint8.
        offsets: int64, shape (num_needles + 1,).
        entry_ids: uint32, shape (num_needles,); equal needles may repeat.
        starts: first byte of each unit in data; int64.
        ends: byte after each unit; int64.
        unit_offsets: int64, shape (num_needles + 1,); a needle without units never matches.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    entry_ids: NDArray[np.uint32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    unit_offsets: NDArray[np.int64]


class PrefixTable(NamedTuple):
    """The tables and the records.

    Attributes:
        heads: uint64, shape (num_slots, 4): key, meaning, 0; about half of the slots are taken.
        tails: uint64, shape (8 · num_lines,), about half of them taken; a search goes through a
            line of the cache at once, and on to the next one only where that is full.
        filter: uint64, shape (2^n,): a bit for each tail.
        records: uint32; a record is the number of entry ids, these, the length in bytes, and the
            bytes in whole words. The one at 0 matches nothing.
    """

    heads: NDArray[np.uint64]
    tails: NDArray[np.uint64]
    filter: NDArray[np.uint64]
    records: NDArray[np.uint32]


@compiled
def _prefix_hashes(keys: Any, lengths: Any, unit_offsets: Any) -> Any:
    """Return the hash of each prefix of each needle, in the place of the prefix's last unit."""
    out = np.empty(len(keys), dtype=np.uint64)
    for needle in range(len(unit_offsets) - 1):
        first = unit_offsets[needle]
        for at in range(first, unit_offsets[needle + 1]):
            if at == first:
                out[at] = head_hash(keys[at, 0], keys[at, 1], lengths[at])
            else:
                out[at] = next_hash(out[at - 1], keys[at, 0], keys[at, 1], lengths[at])
    return out


@compiled
def _group(data: Any, offsets: Any, full: Any, unit_offsets: Any, bits: int) -> Any:
    """Return for each needle the first needle of the same bytes; −1 where there are no units."""
    size = 1 << bits
    slots = np.full(size, -1, dtype=np.int64)
    same_as = np.full(len(full), -1, dtype=np.int64)
    for needle in range(len(full)):
        if unit_offsets[needle] == unit_offsets[needle + 1]:
            continue
        length = offsets[needle + 1] - offsets[needle]
        at = np.int64(full[needle] >> np.uint64(64 - bits))
        while slots[at] >= 0:
            other = slots[at]
            if (
                full[other] == full[needle]
                and offsets[other + 1] - offsets[other] == length
                and same_bytes(data, offsets[other], data, offsets[needle], length)
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
    at = len(NO_RECORD)
    for i in range(at):
        records[i] = NO_RECORD[i]
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
    return records[: at + SLACK // 4], place


@compiled
def _add_head(heads: Any, low: np.uint64, high: np.uint64, length: int, meaning: np.uint64) -> int:
    """Add what is known of a unit to its slot.

    A long unit's key is a hash, so its needles take slots of their own.
    """
    at = slot(head_hash(low, high, length), np.uint64(len(heads)))
    code = np.uint64(length) << LENGTH_SHIFT
    own = length == LONG and meaning & IS_RECORD != 0
    while heads[at, 2] != 0:
        known = heads[at, 2]
        same = heads[at, 0] == low and heads[at, 1] == high
        if not own and same and known >> LENGTH_SHIFT << LENGTH_SHIFT == code:
            heads[at, 2] = known | meaning
            return 0
        at = at + 1 if at + 1 < len(heads) else 0
    heads[at, 0] = low
    heads[at, 1] = high
    heads[at, 2] = meaning | code | TAKEN
    return 1


@compiled
def _fill_heads(
    heads: Any, keys: Any, lengths: Any, unit_offsets: Any, same_as: Any, place: Any, records: Any
) -> int:
    """Insert the needles of one unit, then the first units of others; return how many slots."""
    taken = 0
    for wanted in range(2):  # in this order, so that the first units find the slots of needles
        for needle in range(len(same_as)):
            first = unit_offsets[needle]
            is_single = unit_offsets[needle + 1] - first == 1
            if same_as[needle] != needle or is_single != (wanted == 0):
                continue
            meaning = GOES_ON
            if is_single:
                record = place[needle]
                if lengths[first] != LONG and records[record] == 1:
                    meaning = IS_ENTRY | np.uint64(records[record + 1])
                else:
                    meaning = IS_RECORD | np.uint64(record)
            taken += _add_head(heads, keys[first, 0], keys[first, 1], lengths[first], meaning)
            if taken >= len(heads):
                return taken
    return taken


@compiled
def _add_tail(tails: Any, state: np.uint64, record: int) -> int:
    """Add a needle (record > 0) or a prefix to the tails; return 1 if it took a new slot."""
    at = tail_slot(state, np.uint64(len(tails)))
    print_ = state & PRINT_MASK
    while tails[at] != 0:
        if tails[at] >> PRINT_SHIFT == print_:
            tails[at] |= MORE if record else GOES_ON
            if record == 0:
                return 0
        at = at + 1 if at + 1 < len(tails) else 0
    tails[at] = print_ << PRINT_SHIFT | (np.uint64(record) if record else GOES_ON)
    return 1


@compiled
def _fill_tails(tails: Any, prefixes: Any, unit_offsets: Any, same_as: Any, place: Any) -> int:
    """Insert the needles of several units, then their prefixes; return how many slots."""
    taken = 0
    for needle in range(len(same_as)):
        if same_as[needle] == needle and unit_offsets[needle + 1] - unit_offsets[needle] > 1:
            last = prefixes[unit_offsets[needle + 1] - 1]
            taken += _add_tail(tails, last, place[needle])
            if taken >= len(tails):
                return taken
    for needle in range(len(same_as)):
        if same_as[needle] == needle:
            for at in range(unit_offsets[needle] + 1, unit_offsets[needle + 1] - 1):
                taken += _add_tail(tails, prefixes[at], 0)
                if taken >= len(tails):
                    return taken
    return taken


@compiled
def _fill_filter(filter_: Any, prefixes: Any, unit_offsets: Any, same_as: Any) -> None:
    bits = log2(len(filter_))
    for needle in range(len(same_as)):
        if same_as[needle] == needle:
            for at in range(unit_offsets[needle] + 1, unit_offsets[needle + 1]):
                word, bit = filter_place(prefixes[at], bits)
                filter_[word] |= bit


def _aligned_zeros(num_rows: int, num_columns: int) -> NDArray[np.uint64]:
    """Return words that begin at a multiple of 64 bytes, so that no slot lies in two lines."""
    words = np.zeros(num_rows * num_columns + 8, dtype=np.uint64)
    first = -(words.ctypes.data // 8) % 8
    return words[first : first + num_rows * num_columns].reshape(num_rows, num_columns)


def build_table(needles: Needles) -> PrefixTable:
    """Build the table of some needles.

    Equal needles become one record with all their entry ids, ascending.
    """
    num, num_units = len(needles.entry_ids), len(needles.starts)
    keys = np.empty((num_units, 2), dtype=np.uint64)
    lengths = np.empty(num_units, dtype=np.uint8)
    key_units(needles.data, needles.starts, needles.ends, num_units, keys, lengths)
    prefixes = _prefix_hashes(keys, lengths, needles.unit_offsets)
    full = np.zeros(num, dtype=np.uint64)
    has_units = np.diff(needles.unit_offsets) > 0
    full[has_units] = prefixes[needles.unit_offsets[1:][has_units] - 1]
    bits = max(_MIN_BITS, int(2 * num).bit_length())
    same_as = _group(needles.data, needles.offsets, full, needles.unit_offsets, bits)
    num_words = len(NO_RECORD) + SLACK + int((np.diff(needles.offsets) + 3).sum()) // 4 + 4 * num
    if num_words >= 2**32:
        raise ValueError(f"{num} entries take {4 * num_words} bytes; expected less than 16 GiB")
    records, place = _write_records(
        needles.data, needles.offsets, needles.entry_ids, same_as, num_words
    )
    records = records.copy()  # without the room that was not needed
    shared = (needles.unit_offsets, same_as)
    # Filled twice: how many slots are taken tells how many there should be.
    upper = max(1, np.count_nonzero(same_as == np.arange(num))) + _SPARE_SLOTS
    heads = np.zeros((upper, 4), dtype=np.uint64)
    taken = _fill_heads(heads, keys, lengths, *shared, place, records)
    heads = _aligned_zeros(int(_SLOTS_PER_TAKEN * taken) + _SPARE_SLOTS, 4)
    _fill_heads(heads, keys, lengths, *shared, place, records)
    upper = max(0, num_units - int(has_units.sum())) + _SPARE_SLOTS
    tails = _aligned_zeros(upper // 8 + 1, 8).ravel()
    taken = _fill_tails(tails, prefixes, *shared, place)
    tails = _aligned_zeros(int(_SLOTS_PER_TAKEN * taken + _SPARE_SLOTS) // 8 + 1, 8).ravel()
    _fill_tails(tails, prefixes, *shared, place)
    num_bits = _FILTER_BITS_PER_PREFIX * int(np.count_nonzero(tails))
    filter_ = np.zeros(1 << max(0, (num_bits // 64).bit_length()), dtype=np.uint64)
    _fill_filter(filter_, prefixes, *shared)
    return PrefixTable(heads, tails, filter_, records)


def empty_table() -> PrefixTable:
    """Return the table of no needles."""
    nothing = np.zeros(0, np.int64)
    data = np.zeros(SLACK, np.uint8)
    offsets = np.zeros(1, np.int64)
    return build_table(
        Needles(data, offsets, np.zeros(0, np.uint32), nothing, nothing, offsets.copy())
    )
