# mypy: disable-error-code="call-arg"
"""Compiled reading of a tar's headers: where each sample's image, text and JSON lie.

As WebDataset does, neighbouring members of one key are a sample, and a key ends at the first point
of the file name. Only 512 bytes of every member are looked at.
"""

from typing import Any

import numba
import numpy as np

from curate.curation.compiled.unit_keys import compiled

__all__ = ["CUT_OFF", "DAMAGED", "FIELDS", "UNUSUAL", "WHOLE", "find_samples", "gather"]

# What a tar is found to be: whole; cut off; with a header that is none; with kinds of members
# that tarfile has to be asked about.
WHOLE, CUT_OFF, DAMAGED, UNUSUAL = 0, 1, 2, 3

# Columns of a sample: where its key (without folders), image, text and JSON begin, and how many
# bytes they have.
FIELDS = 8
_KEY, _IMAGE, _TEXT, _JSON = 0, 2, 4, 6
_BLOCK = 512
_NAMES = (b"jpg", b"jpeg", b"png", b"webp", b"txt", b"text", b"caption", b"json")
_SUFFIXES = np.zeros((len(_NAMES), 8), np.uint8)
for _row, _name in enumerate(_NAMES):
    _SUFFIXES[_row, : len(_name)] = np.frombuffer(_name, np.uint8)
_NUM_IMAGES, _NUM_TEXTS = 4, 7  # images are before the one, texts before the other
_PATH, _SIZE = np.frombuffer(b"path=", np.uint8), np.frombuffer(b"size=", np.uint8)


@numba.njit(inline="always")
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


@compiled
def _kind_of_suffix(data: Any, begin: int, end: int) -> int:
    """Return the number of a suffix in _SUFFIXES; -1 for any other."""
    length = end - begin
    if length < 3 or length > 7:
        return -1
    for kind in range(len(_SUFFIXES)):
        is_same = _SUFFIXES[kind, length] == 0
        for i in range(length):
            letter = data[begin + i]
            if 65 <= letter <= 90:
                letter += 32
            is_same &= letter == _SUFFIXES[kind, i]
        if is_same:
            return kind
    return -1


@compiled
def _same_key(data: Any, first: int, first_length: int, second: int, second_length: int) -> bool:
    if first_length != second_length:
        return False
    for i in range(first_length):
        if data[first + i] != data[second + i]:
            return False
    return True


@numba.njit(inline="always")
def _begins(data: Any, at: int, word: Any) -> bool:
    is_same = True
    for i in range(len(word)):
        is_same &= data[at + i] == word[i]
    return is_same


@compiled
def _renames(data: Any, begin: int, end: int) -> bool:
    """Tell whether the records of a pax header name or size the next member.

    Most have nothing but a fraction of the second of its time. A record is its length, a space,
    `keyword=value` and a line feed.

    Source: POSIX.1-2017, pax, "pax Extended Header".
    """
    at = begin
    while at < end:
        length, start = 0, at
        while at < end and 48 <= data[at] <= 57:
            length = length * 10 + data[at] - 48
            at += 1
        if length < 5 or start + length > end or at + 6 > end or data[at] != 32:
            return True
        if _begins(data, at + 1, _PATH) or _begins(data, at + 1, _SIZE):
            return True
        at = start + length
    return False


@compiled
def find_samples(data: Any, samples: Any) -> Any:
    """Find the samples of a tar.

    Args:
        data: the tar's bytes; uint8.
        samples: written: FIELDS columns for each sample, -1 and 0 where a part is missing; int64,
            with room for a sample per 1,024 bytes.

    Returns:
        Number of samples, and one of WHOLE, CUT_OFF, DAMAGED, UNUSUAL.
    """
    num, at, rank, text_rank, key, key_length = 0, 0, 0, 0, 0, 0
    while at + _BLOCK <= len(data):
        if data[at] == 0:
            return num, WHOLE
        if not _is_checked(data, at):
            return num, DAMAGED
        kind, size = data[at + 156], _octal(data, at + 124, 12)
        is_file = kind == 48 or kind == 0
        is_pax = kind == 103 or kind == 120
        # Long names, names in two parts and sizes of 8 GiB and more are for tarfile.
        if size < 0 or data[at + 345] != 0 or not (is_file or is_pax or kind == 53):
            return num, UNUSUAL
        content = at + _BLOCK
        if kind == 53:
            at = content
            continue
        if content + size > len(data):
            return num, CUT_OFF
        if is_pax:
            if _renames(data, content, content + size):
                return num, UNUSUAL
            at = content + (size + _BLOCK - 1) // _BLOCK * _BLOCK
            continue
        end = at
        while end < at + 100 and data[end] != 0:
            end += 1
        base = end
        while base > at and data[base - 1] != 47:
            base -= 1
        point = base
        while point < end and data[point] != 46:
            point += 1
        if num == 0 or not _same_key(data, key, key_length, at, point - at):
            for column in range(0, FIELDS, 2):
                samples[num, column] = -1
                samples[num, column + 1] = 0
            samples[num, _KEY] = base
            samples[num, _KEY + 1] = point - base
            key, key_length = at, point - at
            num += 1
            rank, text_rank = _NUM_IMAGES, _NUM_TEXTS
        which = _kind_of_suffix(data, point + 1, end)
        column = -1
        if which >= _NUM_TEXTS:
            column = _JSON
        elif which >= _NUM_IMAGES:
            if which < text_rank and size > 0:
                column, text_rank = _TEXT, which
        elif 0 <= which < rank:
            column, rank = _IMAGE, which
        if column >= 0:
            samples[num - 1, column] = content
            samples[num - 1, column + 1] = size
        at = content + (size + _BLOCK - 1) // _BLOCK * _BLOCK
    return num, CUT_OFF


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
            out[to : to + size] = data[at : at + size]
            to += size
        else:
            out[to : to + len(filler)] = filler
            to += len(filler)
    offsets[len(places)] = to
