"""The table behind fast matching: a trie of units, its edges in two open-addressing tables.

A *needle* is the normalized string of one or more entries, a run of units. Units are numbered from
1 on, and so are the nodes of the trie: the run of one unit has its unit's number, longer ones have
their slot's, which comes after these. One independent probe per unit is made into each table, which
the memory system overlaps:

- ``heads`` give a unit's number. A slot is the unit's key and what is known of it; a unit of at
  most sixteen bytes *is* its key, that of a longer one is a hash, and its bytes stand in a record.
- ``tails`` lead from a node by a unit to the next node. The pair of both numbers, its bits spread
  by steps that can be undone, chooses a line of eight slots by its upper bits, and its lower ones
  stand in the slot, with how many lines further on it had to go: no two pairs look alike, so that
  nothing else is compared.

A slot of either holds the entry's id, so that nothing else is read.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.curation.compiled.unit_keys import LONG, SLACK, key_units, same_bytes
from curate.curation.matching.unit_hashes import (
    PRINT_BITS,
    edge_line,
    head_line,
    spread_edge,
)

__all__ = ["Needles", "PrefixTable", "build_table", "empty_table"]

_SLOTS_PER_TAKEN = 2.2
_SLOTS_PER_TAIL = 2.2
_SPARE_SLOTS = 16
_MAX_KEY_BITS = 32 + PRINT_BITS - 1
_MAX_DOUBLINGS = 7

# Bits of a tail, and of the third word of a head; its fourth is the unit's number.
VALUE = np.uint64(0xFFFFFFFF)  # an entry id, or the place of a list of them among the records
GOES_ON = np.uint64(1 << 32)
IS_ENTRY = np.uint64(1 << 33)
IS_LIST = np.uint64(1 << 34)
GOES_ON_SHIFT = np.uint64(32)
ENTRY_SHIFT = np.uint64(33)
# Of a head alone.
TAKEN = np.uint64(1 << 35)
LENGTH_SHIFT = np.uint64(40)
# Of a tail alone: the lower bits of its edge, and above them by how many lines it is displaced.
PRINT_SHIFT = np.uint64(35)
PRINT_MASK = np.uint64((1 << PRINT_BITS) - 1)
ONE_LINE = np.uint64(1 << PRINT_BITS)
LINES = 8  # that a tail may lie in, the first included


class Needles(NamedTuple):
    """Normalized entries, cut into units.

    Attributes:
        data: their bytes, one after the other, and SLACK; uint8.
        offsets: int64, shape (num_needles + 1,).
        entry_ids: uint32, shape (num_needles,), ascending; equal needles may repeat.
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
        heads: uint64, shape (num_slots, 4): key, meaning, number; about half of the slots are
            taken. The key of a long unit is its hash and the place of its record.
        tails: uint64, shape (8 · num_lines,), about half of them taken; a search goes through a
            line of the cache at once, and on to the next one only where that is full.
        bits: uint64, shape (3,): of a unit's number; of an edge; the number of units.
        records: uint32; of a long unit: the length in bytes, and the bytes in whole words; of
            several entries with one needle: how many, and their ids.
    """

    heads: NDArray[np.uint64]
    tails: NDArray[np.uint64]
    bits: NDArray[np.uint64]
    records: NDArray[np.uint32]


@compiled
def _write_bytes(data: Any, start: int, length: int, records: Any, at: int) -> int:
    """Write a length and bytes in whole words; return the place after them."""
    records[at] = length
    for i in range(length):
        byte = np.uint32(data[start + i])
        records[at + 1 + (i >> 2)] |= byte << np.uint32(8 * (i & 3))
    return at + 1 + (length + 3) // 4


@compiled
def find_head(
    heads: Any,
    records: Any,
    text: Any,
    start: int,
    stop: int,
    low: np.uint64,
    high: np.uint64,
    code: np.uint64,
    at: int,
) -> int:
    """Return the slot of a unit, or the free one where a search for it from a slot on ends."""
    while heads[at, 2] != 0:
        if heads[at, 0] == low and heads[at, 2] >> LENGTH_SHIFT == code:
            if code != LONG:
                if heads[at, 1] == high:
                    return at
            else:
                record = np.int64(heads[at, 1])
                if np.int64(records[record]) == stop - start and same_bytes(
                    records, 4 * (record + 1), text, start, stop - start
                ):
                    return at
        at = at + 1 if at + 1 < len(heads) else 0
    return at


@compiled
def _number_units(
    heads: Any, records: Any, data: Any, starts: Any, ends: Any, keys: Any, lengths: Any, units: Any
) -> tuple[int, int]:
    """Give each unit a number in the order in which they first come.

    Args:
        heads: written.
        records: written: the bytes of long units, from 0 on.
        data: as in `Needles`; so are starts and ends.
        starts: see there.
        ends: see there.
        keys: as `key_units` gives them; so are lengths.
        lengths: see there.
        units: written: the slot of each unit; int64.

    Returns:
        How many units there are, and how many words of the records are written.
    """
    num = words = 0
    for i in range(len(starts)):
        low, high, code = keys[i, 0], keys[i, 1], np.uint64(lengths[i])
        first = head_line(low, high, lengths[i], np.uint64(len(heads) >> 1))
        at = find_head(heads, records, data, starts[i], ends[i], low, high, code, first)
        units[i] = at
        if heads[at, 2] == 0:
            num += 1
            if num >= len(heads):
                return num, words
            heads[at, 0] = low
            heads[at, 1] = high
            heads[at, 2] = TAKEN | code << LENGTH_SHIFT
            heads[at, 3] = num
            if code == LONG:
                heads[at, 1] = words
                words = _write_bytes(data, starts[i], ends[i] - starts[i], records, words)
    return num, words


@compiled
def _add_edge(tails: Any, spread: np.uint64, key_bits: np.uint64) -> int:
    """Return the slot of an edge, a new one if there is none; −1 where there is no room."""
    num_lines = len(tails) >> 3
    line = edge_line(spread, key_bits, np.uint64(num_lines))
    print_ = spread & PRINT_MASK
    for _ in range(LINES):
        for at in range(8 * line, 8 * line + 8):
            if tails[at] == 0:
                tails[at] = print_ << PRINT_SHIFT
                return at
            if tails[at] >> PRINT_SHIFT == print_:
                return at
        print_ += ONE_LINE
        line = line + 1 if line + 1 < num_lines else 0
    return -1


@compiled
def _fill_tails(
    tails: Any, bits: Any, heads: Any, units: Any, unit_offsets: Any, places: Any
) -> int:
    """Insert the runs of several units.

    Args:
        tails: written.
        bits: as in `PrefixTable`.
        heads: as in `PrefixTable`; what goes on is marked.
        units: the slot of each unit.
        unit_offsets: as in `Needles`.
        places: written: the slot of each needle, of a head as −1 − slot; int64.

    Returns:
        How many slots are taken, −1 where there is no room.
    """
    taken = 0
    for needle in range(len(places)):
        first, stop = unit_offsets[needle], unit_offsets[needle + 1]
        if first == stop:
            continue
        place = -1 - units[first]
        node = heads[units[first], 3]
        for i in range(first + 1, stop):
            spread = spread_edge(node, heads[units[i], 3], bits[0], bits[1])
            at = _add_edge(tails, spread, bits[1])
            if at < 0:
                return -1
            if place < 0:
                heads[-1 - place, 2] |= GOES_ON
            else:
                tails[place] |= GOES_ON
            taken += tails[at] & (GOES_ON | IS_ENTRY) == 0
            tails[at] |= IS_ENTRY if i + 1 == stop else GOES_ON
            place = at
            node = bits[2] + np.uint64(1 + at)
        places[needle] = place
    return taken


@compiled
def _fill_entries(
    heads: Any, tails: Any, records: Any, words: int, places: Any, entry_ids: Any, unit_offsets: Any
) -> int:
    """Write the entry ids of each needle to its slot, or to a list; return the words of records."""
    before = np.full(len(places), -1, dtype=np.int64)  # the needle before of the same slot
    last_tail = np.full(len(tails), -1, dtype=np.int64)
    last_head = np.full(len(heads), -1, dtype=np.int64)
    for needle in range(len(places)):
        if unit_offsets[needle] == unit_offsets[needle + 1]:
            continue
        place = places[needle]
        last, at = (last_tail, place) if place >= 0 else (last_head, -1 - place)
        before[needle] = last[at]
        last[at] = needle
    for kind in range(2):
        last = last_tail if kind == 0 else last_head
        for at in range(len(last)):
            needle = last[at]
            if needle < 0:
                continue
            num = 0
            while needle >= 0:
                num += 1
                needle = before[needle]
            needle = last[at]
            meaning = IS_ENTRY | np.uint64(entry_ids[needle])
            if num > 1:
                meaning = IS_LIST | np.uint64(words)
                records[words] = num
                for i in range(num):
                    records[words + num - i] = entry_ids[needle]
                    needle = before[needle]
                words += num + 1
            if kind == 0:
                tails[at] = tails[at] & ~IS_ENTRY | meaning
            else:
                heads[at, 2] |= meaning
    return words


def _aligned_zeros(num_rows: int, num_columns: int) -> NDArray[np.uint64]:
    """Return words that begin at a multiple of 64 bytes, so that no slot lies in two lines."""
    words = np.zeros(num_rows * num_columns + 8, dtype=np.uint64)
    first = -(words.ctypes.data // 8) % 8
    return words[first : first + num_rows * num_columns].reshape(num_rows, num_columns)


def _bits(num_units: int, num_lines: int) -> tuple[int, NDArray[np.uint64]]:
    """Return how many lines there have to be, at least those, and the bits of numbers."""
    unit_bits = num_units.bit_length()
    while True:
        key_bits = max(32, (num_units + 8 * num_lines).bit_length() + unit_bits)
        if key_bits > _MAX_KEY_BITS:
            raise ValueError(f"{num_units} units of entries in {num_lines} lines are too many")
        # As many edges as may begin in one line have to differ in their lower bits.
        if 2**32 // num_lines + 1 << key_bits - 32 <= 1 << PRINT_BITS:
            return num_lines, np.array([unit_bits, key_bits, num_units], np.uint64)
        num_lines *= 2


def build_table(needles: Needles) -> PrefixTable:
    """Build the table of some needles.

    Equal needles become one list with all their entry ids, ascending.
    """
    num, num_units = len(needles.entry_ids), len(needles.starts)
    keys = np.empty((num_units, 2), dtype=np.uint64)
    lengths = np.empty(num_units, dtype=np.uint8)
    key_units(needles.data, needles.starts, needles.ends, num_units, keys, lengths)
    sizes = (needles.ends - needles.starts)[lengths == LONG]
    num_words = int((1 + (sizes + 3) // 4).sum()) + 2 * num + SLACK
    if num_words >= 2**32:
        raise ValueError(f"{num} entries take {4 * num_words} bytes; expected less than 16 GiB")
    spans = (needles.data, needles.starts, needles.ends, keys, lengths)
    units = np.empty(num_units, dtype=np.int64)
    # Filled twice: how many slots are taken tells how many there should be.
    heads = np.zeros((2 * (num_units // 2) + _SPARE_SLOTS, 4), dtype=np.uint64)
    taken, _ = _number_units(heads, np.zeros(num_words, np.uint32), *spans, units)
    heads = _aligned_zeros(2 * int(_SLOTS_PER_TAKEN / 2 * taken) + _SPARE_SLOTS, 4)
    records = np.zeros(num_words, dtype=np.uint32)
    num_distinct, words = _number_units(heads, records, *spans, units)
    num_edges = num_units - np.count_nonzero(np.diff(needles.unit_offsets))
    places = np.empty(num, dtype=np.int64)
    shared = (heads, units, needles.unit_offsets, places)
    tails, bits, _ = _filled(num_distinct, _filled(num_distinct, num_edges, *shared)[2], *shared)
    words = _fill_entries(
        heads, tails, records, words, places, needles.entry_ids, needles.unit_offsets
    )
    return PrefixTable(heads, tails, bits, records[: words + SLACK // 4].copy())


def _filled(
    num_units: int, num_edges: int, *shared: NDArray[Any]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], int]:
    """Return tails with all edges, the bits of numbers, and how many slots are taken.

    Raises:
        ValueError: there are too many units, or edges that lie too close together.
    """
    for doublings in range(_MAX_DOUBLINGS):
        num_lines = int(2**doublings * (_SLOTS_PER_TAIL * num_edges + _SPARE_SLOTS)) // 8 + 1
        num_lines, bits = _bits(num_units, num_lines)
        tails = _aligned_zeros(num_lines, 8).ravel()
        taken = _fill_tails(tails, bits, *shared)
        if taken >= 0:
            return tails, bits, taken
    raise ValueError(f"{num_edges} runs of units lie too close together to be told apart")


def empty_table() -> PrefixTable:
    """Return the table of no needles."""
    nothing = np.zeros(0, np.int64)
    data = np.zeros(SLACK, np.uint8)
    offsets = np.zeros(1, np.int64)
    return build_table(
        Needles(data, offsets, np.zeros(0, np.uint32), nothing, nothing, offsets.copy())
    )
