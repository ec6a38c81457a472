"""Compiled counting: text in UTF-8 in, tables of words and of pairs of neighbours out.

The tables are open-addressed. Words have ids from 1 on, in the order they are met; a slot of 0 is
free. A pair's key is ``first id << 32 | second id``, so no key is 0 either. Both kinds of text
resume where a table was full: the caller grows or empties the tables and calls again.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined

__all__ = [
    "BREAK",
    "JOINER",
    "SPACE",
    "WORD",
    "count_segments",
    "count_words",
    "hash_strings",
    "put_pairs",
    "put_words",
    "take_pairs",
]

# Classes of characters. In segments, which a segmenter has cut, no joiner is looked for.
BREAK, WORD, JOINER, SPACE = 0, 1, 2, 3

_OFFSET = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_MIX1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX2 = np.uint64(0xC4CEB9FE1A85EC53)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SHIFT = np.uint64(33)


@inlined
def _decode(text: Any, at: int) -> Any:
    """Return the code point at a position of valid UTF-8, and its length in bytes."""
    first = np.int64(text[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 31) << 6 | np.int64(text[at + 1]) & 63, 2
    middle = np.int64(text[at + 1]) & 63
    if first < 0xF0:
        return (first & 15) << 12 | middle << 6 | np.int64(text[at + 2]) & 63, 3
    last = (np.int64(text[at + 2]) & 63) << 6 | np.int64(text[at + 3]) & 63
    return (first & 7) << 18 | middle << 12 | last, 4


@inlined
def _mix(state: Any) -> Any:
    """Spread the bits of a hash (the last step of MurmurHash3)."""
    state = (state ^ state >> _SHIFT) * _MIX1
    state = (state ^ state >> _SHIFT) * _MIX2
    return state ^ state >> _SHIFT


@inlined
def _hash(text: Any, start: int, end: int) -> Any:
    """Hash bytes with FNV-1a, mixed. What it gives is stored in files: it must never change."""
    state = _OFFSET
    for at in range(start, end):
        state = (state ^ np.uint64(text[at])) * _PRIME
    return _mix(state)


@inlined
def _slot(hashed: Any, num_slots: int) -> Any:
    """Scale a hash to a slot."""
    return np.int64((hashed >> _HALF) * np.uint64(num_slots) >> _HALF)


@inlined
def _word_id(
    text: Any, start: int, end: int, slots: Any, hashes: Any, ends: Any, arena: Any, sizes: Any
) -> Any:
    """Return the id of a word, a new one if it is new; there is room for it."""
    hashed = _hash(text, start, end)
    slot = _slot(hashed, len(slots))
    length = end - start
    while slots[slot]:
        word = np.int64(slots[slot])
        first = ends[word - 1]
        if hashes[word] == hashed and ends[word] - first == length:
            at = 0
            while at < length and arena[first + at] == text[start + at]:
                at += 1
            if at == length:
                return word
        slot += 1
        if slot == len(slots):
            slot = 0
    sizes[0] += 1
    word = sizes[0]
    slots[slot] = word
    hashes[word] = hashed
    first = ends[word - 1]
    for at in range(length):
        arena[first + at] = text[start + at]
    ends[word] = first + length
    return word


@inlined
def _add_pair(pairs: Any, key: Any, count: Any) -> int:
    """Add to the count of a pair; return 1 if it is new."""
    num_slots = len(pairs) // 2
    slot = _slot(_mix(key), num_slots)
    while True:
        found = pairs[2 * slot]
        if found == key:
            pairs[2 * slot + 1] += count
            return 0
        if found == 0:
            pairs[2 * slot] = key
            pairs[2 * slot + 1] = count
            return 1
        slot += 1
        if slot == num_slots:
            slot = 0


@inlined
def _count_word(
    text: Any, start: int, end: int, previous: int, slots: Any, hashes: Any, ends: Any,
    counts: Any, arena: Any, pairs: Any, sizes: Any,
) -> Any:  # fmt: skip
    """Count a word and the pair it makes; return its id, or 0 if a table may be too full."""
    is_full = (
        sizes[0] + 1 >= len(ends)
        or sizes[0] * 3 >= len(slots) * 2
        or ends[sizes[0]] + end - start > len(arena)
        or sizes[1] * 3 >= len(pairs)
    )
    if is_full:
        return 0
    word = _word_id(text, start, end, slots, hashes, ends, arena, sizes)
    counts[word] += 1
    if previous:
        key = np.uint64(previous) << _HALF | np.uint64(word)
        sizes[1] += _add_pair(pairs, key, np.uint64(1))
        sizes[3] += 1
    sizes[2] += 1
    return word


@compiled
def count_words(
    text: Any, num: int, classes: Any, slots: Any, hashes: Any, ends: Any, counts: Any, arena: Any,
    pairs: Any, sizes: Any, state: Any,
) -> bool:  # fmt: skip
    """Count the words of a text, and pairs of words with nothing but spaces between them.

    A word is a run of WORD characters; a JOINER between two of them belongs to it.

    Args:
        text: valid UTF-8 and behind it eight bytes of 0; uint8.
        num: bytes of text.
        classes: of each code point; uint8, shape (0x110000,).
        slots: ids of words by hash; int32.
        hashes: of each word; uint64.
        ends: of each word in the arena; int64; ``ends[0]`` is 0.
        counts: of each word; int64.
        arena: the words' bytes; uint8.
        pairs: key and count by turns; uint64.
        sizes: words, pairs, occurrences of words, occurrences of pairs; int64.
        state: where to begin, and the start and end of the word before; int64; written when a
            table is full.

    Returns:
        Whether the text came to its end.
    """
    at, before, before_end = state[0], state[1], state[2]
    previous = 0
    if before_end > before:
        previous = _word_id(text, before, before_end, slots, hashes, ends, arena, sizes)
    while at < num:
        code, size = _decode(text, at)
        kind = classes[code]
        if kind != WORD:
            if kind != SPACE:
                previous = 0
            at += size
            continue
        start = at
        while kind == WORD:
            at += size
            code, size = _decode(text, at)
            kind = classes[code]
            if kind == JOINER:
                behind, behind_size = _decode(text, at + size)
                if classes[behind] == WORD:
                    at += size
                    size = behind_size
                    kind = np.uint8(WORD)
        word = _count_word(
            text, start, at, previous, slots, hashes, ends, counts, arena, pairs, sizes
        )  # fmt: skip
        if word == 0:
            state[0], state[1], state[2] = start, before, before_end if previous else before
            return False
        previous, before, before_end = word, start, at
    return True


@compiled
def count_segments(
    text: Any, num: int, classes: Any, slots: Any, hashes: Any, ends: Any, counts: Any, arena: Any,
    pairs: Any, sizes: Any, state: Any,
) -> bool:  # fmt: skip
    """Count segments, each followed by a byte of 0.

    One with a WORD character is a word. One of nothing but SPACE does not part two words, every
    other does.

    Args:
        text: as for `count_words`, as are all others.
        num: see there.
        classes: see there.
        slots: see there.
        hashes: see there.
        ends: see there.
        counts: see there.
        arena: see there.
        pairs: see there.
        sizes: see there.
        state: see there.

    Returns:
        Whether the text came to its end.
    """
    at, before, before_end = state[0], state[1], state[2]
    previous = 0
    if before_end > before:
        previous = _word_id(text, before, before_end, slots, hashes, ends, arena, sizes)
    while at < num:
        start = at
        is_word, is_blank = False, True
        while text[at]:
            code, size = _decode(text, at)
            kind = classes[code]
            is_word = is_word or kind == WORD
            is_blank = is_blank and kind == SPACE
            at += size
        if is_word:
            word = _count_word(
                text, start, at, previous, slots, hashes, ends, counts, arena, pairs, sizes
            )  # fmt: skip
            if word == 0:
                state[0], state[1], state[2] = start, before, before_end if previous else before
                return False
            previous, before, before_end = word, start, at
        elif not is_blank:
            previous = 0
        at += 1
    return True


@compiled
def put_words(slots: Any, hashes: Any, num_words: int) -> None:
    """Enter words, which are all different, into new slots."""
    for word in range(1, num_words + 1):
        slot = _slot(hashes[word], len(slots))
        while slots[slot]:
            slot += 1
            if slot == len(slots):
                slot = 0
        slots[slot] = word


@compiled
def put_pairs(source: Any, target: Any) -> None:
    """Enter the pairs of a table into a larger one."""
    for at in range(0, len(source), 2):
        if source[at]:
            _add_pair(target, source[at], source[at + 1])


@compiled
def take_pairs(pairs: Any, ranks: Any, keys: Any, counts: Any) -> None:
    """Take the pairs out of a table, the ids of their words replaced by ranks.

    Args:
        pairs: key and count by turns; uint64.
        ranks: of each id; uint64.
        keys: written: ``first rank << 32 | second rank``; uint64.
        counts: written; uint32.
    """
    num = 0
    for at in range(0, len(pairs), 2):
        key = pairs[at]
        if key:
            keys[num] = ranks[np.int64(key >> _HALF)] << _HALF | ranks[np.int64(key & _LOW)]
            counts[num] = pairs[at + 1]
            num += 1


@compiled
def hash_strings(offsets: Any, data: Any, hashes: Any) -> None:
    """Hash the strings of an Arrow array as words are hashed.

    Args:
        offsets: int64, shape (num_strings + 1,).
        data: uint8.
        hashes: written: uint64, shape (num_strings,).
    """
    for row in range(len(hashes)):
        hashes[row] = _hash(data, offsets[row], offsets[row + 1])
