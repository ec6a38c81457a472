# mypy: disable-error-code="call-arg,no-any-return"
"""Compiled reading of a tar's plain headers, and of what a member's name says.

Only 512 bytes of every member are looked at. What is not a plain file of ustar, old or pax format
is left to `headers`, which the caller then asks about this one member.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.training.tars.names import IMAGE_SUFFIXES, JSON_SUFFIX, TEXT_SUFFIXES

__all__ = [
    "ASK", "COMPOUND", "CONTENT", "FIELDS", "FULL", "HEADER", "IMAGE", "JSON", "KEY", "KEY_HASH",
    "KEY_LENGTH", "KIND", "NAME", "NAME_LENGTH", "OTHER", "PASSED_OVER", "RANK", "SIZE",
    "SUFFIX_HASH", "TEXT", "describe_name", "first_not_zero", "gather", "scan_plain",
]  # fmt: skip

# Why a scan of plain headers stopped: at a block to ask `headers` about (an end, or a header that
# is not plain), or because there was no room for more members.
ASK, FULL = 0, 1

# Columns of a member. A name is bytes of the tar, or of a string of its own where it does not stand
# in one header (then it begins at -1, and the key's place is one in that string).
HEADER, NAME, NAME_LENGTH, CONTENT, SIZE = 0, 1, 2, 3, 4
KEY, KEY_LENGTH, KEY_HASH, SUFFIX_HASH, KIND, RANK = 5, 6, 7, 8, 9, 10
FIELDS = 11

# What a member is by its suffix. The rank orders suffixes of a kind; COMPOUND is added to it where
# only the last part of the suffix says so (`input.jpg`).
PASSED_OVER, IMAGE, TEXT, JSON, OTHER = -1, 0, 1, 2, 3
COMPOUND = 100

_BLOCK = 512
_LONGEST = 8
_KNOWN = [
    *((IMAGE, rank, name) for rank, name in enumerate(IMAGE_SUFFIXES)),
    *((TEXT, rank, name) for rank, name in enumerate(TEXT_SUFFIXES)),
    (JSON, 0, JSON_SUFFIX),
]
_SUFFIXES = np.zeros((len(_KNOWN), _LONGEST), np.uint8)
_LENGTHS = np.array([len(name) for _, _, name in _KNOWN], np.int64)
_MEANINGS = np.array([(kind, rank) for kind, rank, _ in _KNOWN], np.int64)
for _row, (_, _, _name) in enumerate(_KNOWN):
    _SUFFIXES[_row, : len(_name)] = np.frombuffer(_name.encode(), np.uint8)
_PATH, _SIZE = np.frombuffer(b"path=", np.uint8), np.frombuffer(b"size=", np.uint8)
_SPARSE = np.frombuffer(b"GNU.s", np.uint8)
_MACOS = np.frombuffer(b"__MACOSX", np.uint8)
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@inlined
def _octal(data: Any, at: int, length: int) -> int:
    """Return a number in octal digits; -1 if it is written otherwise."""
    value, num_digits = 0, 0
    for i in range(at, at + length):
        if data[i] == 32 or data[i] == 0:
            if num_digits:
                break
            continue
        if data[i] < 48 or data[i] > 55:
            return -1
        value = value * 8 + data[i] - 48
        num_digits += 1
    return value


@compiled
def _is_checked(data: Any, at: int) -> bool:
    """Tell whether a header's checksum is that of its bytes."""
    total = 256  # the checksum's own eight bytes count as spaces
    for i in range(_BLOCK):
        if i < 148 or i >= 156:
            total += data[at + i]
    return total == _octal(data, at + 148, 8)


@inlined
def _begins(data: Any, at: int, word: Any) -> bool:
    is_same = True
    for i in range(len(word)):
        is_same &= data[at + i] == word[i]
    return is_same


@compiled
def _changes(data: Any, begin: int, end: int) -> bool:
    """Tell whether the records of a pax header name or size the next member, or are not plain.

    Most have nothing but a fraction of the second of its time. A record is its length, a space,
    `keyword=value` and a line feed.

    Source: POSIX.1-2017, pax, "pax Extended Header".
    """
    at = begin
    while at < end:
        length, start = 0, at
        while at < end and 48 <= data[at] <= 57 and length < 1 << 32:
            length = length * 10 + data[at] - 48
            at += 1
        if length < 5 or start + length > end or at + 6 > end or data[at] != 32:
            return True
        if _begins(data, at + 1, _PATH) or _begins(data, at + 1, _SIZE):
            return True
        if _begins(data, at + 1, _SPARSE):
            return True
        at = start + length
    return False


@compiled
def _mixed(data: Any, begin: int, end: int, lower: bool) -> Any:
    """Return a hash of bytes, with ASCII letters in lower case if wanted."""
    value = np.uint64(end - begin)
    for i in range(begin, end):
        letter = np.uint64(data[i])
        if lower and 65 <= letter <= 90:
            letter += np.uint64(32)
        value = (value ^ letter) * _PRIME
        value ^= value >> np.uint64(29)
    return np.int64(value)


@compiled
def _known_suffix(data: Any, begin: int, end: int) -> int:
    """Return the number of a suffix in _SUFFIXES; -1 for any other."""
    for known in range(len(_LENGTHS)):
        is_same = _LENGTHS[known] == end - begin
        for i in range(end - begin if is_same else 0):
            letter = data[begin + i]
            if 65 <= letter <= 90:
                letter += 32
            is_same &= letter == _SUFFIXES[known, i]
        if is_same:
            return known
    return -1


@compiled
def _is_hidden(data: Any, begin: int, end: int) -> bool:
    """Tell whether a folder is none of data: `.anything`, or macOS's `__MACOSX`."""
    length = end - begin
    if length == len(_MACOS) and _begins(data, begin, _MACOS):
        return True
    is_up = length == 2 and data[begin] == 46 and data[begin + 1] == 46
    return length > 1 and data[begin] == 46 and not is_up


@compiled
def describe_name(data: Any, at: int, length: int, member: Any) -> None:
    """Write what a name says: its key, hashes of key and suffix, and what the suffix means.

    As in WebDataset a key ends at the first point of the file name, and names that begin with a
    point or have none are no data. A leading `./` is not part of the key.

    Args:
        data: bytes that the name is in; uint8.
        at: where it begins.
        length: in bytes.
        member: written: KEY, KEY_LENGTH, KEY_HASH, SUFFIX_HASH, KIND, RANK; int64.
    """
    end = at + length
    while at + 1 < end and data[at] == 46 and data[at + 1] == 47:
        at += 2
    base, hidden = at, False
    for i in range(at, end):
        if data[i] == 47:
            hidden |= _is_hidden(data, base, i)
            base = i + 1
    point = base
    while point < end and data[point] != 46:
        point += 1
    member[KEY], member[KEY_LENGTH] = at, point - at
    member[KIND], member[RANK] = PASSED_OVER, 0
    member[KEY_HASH] = member[SUFFIX_HASH] = 0
    if hidden or point == base or point == end:
        return
    member[KEY_HASH] = _mixed(data, at, point, False)
    member[SUFFIX_HASH] = _mixed(data, point + 1, end, True)
    member[KIND] = OTHER
    known = _known_suffix(data, point + 1, end)
    last = end
    while data[last - 1] != 46:
        last -= 1
    is_compound = last > point + 1
    if is_compound:
        known = _known_suffix(data, last, end)
    if known >= 0:
        member[KIND] = _MEANINGS[known, 0]
        member[RANK] = _MEANINGS[known, 1] + (COMPOUND if is_compound else 0)


@compiled
def scan_plain(data: Any, at: int, members: Any, num: int) -> Any:
    """Read plain headers from a place on, until one of them is none.

    Args:
        data: the tar's bytes; uint8.
        at: where a header begins.
        members: written from row `num` on; int64, with FIELDS columns.
        num: of the members that are known.

    Returns:
        Number of members, where reading ended, and ASK or FULL.
    """
    while at + _BLOCK <= len(data):
        if num == len(members):
            return num, at, FULL
        if data[at] == 0:
            return num, at, ASK
        kind, size = data[at + 156], _octal(data, at + 124, 12)
        is_file = kind == 48 or kind == 0
        is_pax = kind == 103 or kind == 120
        if size < 0 or data[at + 345] != 0 or not (is_file or is_pax or kind == 53):
            return num, at, ASK
        content = at + _BLOCK
        after = content + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        if not _is_checked(data, at) or (kind != 53 and content + size > len(data)):
            return num, at, ASK
        if kind == 53:
            at = content
            continue
        if is_pax:
            if _changes(data, content, content + size):
                return num, at, ASK
            at = after
            continue
        end = at
        while end < at + 100 and data[end] != 0:
            end += 1
        if end == at or data[end - 1] == 47:  # no name, or a folder of old times
            return num, at, ASK
        members[num, HEADER], members[num, NAME], members[num, NAME_LENGTH] = at, at, end - at
        members[num, CONTENT], members[num, SIZE] = content, size
        describe_name(data, at, end - at, members[num])
        num += 1
        at = after
    return num, at, ASK


@compiled
def first_not_zero(data: Any, at: int) -> int:
    """Return the place of the first byte from `at` on that is not zero; -1 without any."""
    for i in range(at, len(data)):
        if data[i] != 0:
            return i
    return -1


@compiled
def gather(data: Any, places: Any, filler: Any, out: Any, offsets: Any) -> None:
    """Copy pieces of a tar one behind the other, as Arrow's strings lie.

    Args:
        data: the tar's bytes; uint8.
        places: offset and size of each piece; int64, shape (n, 2).
        filler: what stands for a piece of no size; uint8.
        out: written; uint8, with room for all.
        offsets: written: where each piece begins, and the end; int32, shape (n + 1,).
    """
    to = 0
    for i in range(len(places)):
        offsets[i] = to
        at, size = places[i, 0], places[i, 1]
        if size > 0:
            for k in range(size):
                out[to + k] = data[at + k]
            to += size
        else:
            for k in range(len(filler)):
                out[to + k] = filler[k]
            to += len(filler)
    offsets[len(places)] = to
