"""Compiled code over the buffers of Arrow string arrays: texts in, units and their keys out.

A *unit* is what entries are compared by: a token of `standard`, a space-delimited piece or a
character of `metaclip`. Both kinds of text are first written to a scratch buffer in their
normalized form, in which an entry then stands as one run of bytes.

Everything here releases the GIL, keeps no state, and reads nothing outside the arrays it is given:
invalid UTF-8 gives unspecified units but no access out of bounds.
"""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import load_word, store_word, trailing_zeros
from curate.curation.matching.character_table import (
    DIGIT,
    FOLD,
    MARK,
    NFC,
    SPACELESS,
    VISIBLE,
    WORD,
)

__all__ = [
    "needs_composition",
    "split_tokens",
]


_SPACE = np.uint8(32)
_NO_TOKEN, _WORD_TOKEN, _LETTER_TOKEN = 0, 1, 2
_APOSTROPHE, _HYPHEN, _POINT, _COMMA = 0x27, 0x2D, 0x2E, 0x2C
_ONES = 0x0101010101010101
_LOW_BITS, _HIGH_BITS = np.uint64(0x7F * _ONES), np.uint64(0x80 * _ONES)
_CASE_BITS, _UNDERSCORES = np.uint64(0x20 * _ONES), np.uint64(ord("_") * _ONES)
_FROM_A, _AFTER_Z = np.uint64((0x80 - ord("a")) * _ONES), np.uint64((0x7F - ord("z")) * _ONES)
_FROM_0, _AFTER_9 = np.uint64((0x80 - ord("0")) * _ONES), np.uint64((0x7F - ord("9")) * _ONES)
_COENG, _VIRAMA = 0x17D2, 0x1039  # they stack the next consonant under the last one


@inlined
def _decode(data: Any, at: int, stop: int) -> tuple[int, int]:
    """Return the code point at a position and the number of its bytes."""
    first = np.int32(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0 and at + 1 < stop:
        return (first & 0x1F) << 6 | (np.int32(data[at + 1]) & 0x3F), 2
    if first < 0xF0 and at + 2 < stop:
        return (
            (first & 0x0F) << 12
            | (np.int32(data[at + 1]) & 0x3F) << 6
            | (np.int32(data[at + 2]) & 0x3F)
        ), 3
    if at + 3 < stop:
        code = (
            (first & 0x07) << 18
            | (np.int32(data[at + 1]) & 0x3F) << 12
            | (np.int32(data[at + 2]) & 0x3F) << 6
            | (np.int32(data[at + 3]) & 0x3F)
        )
        return min(code, 0x10FFFF), 4
    return 0, 1  # cut off: as a control character, which is no token


@inlined
def _encode(code: int, out: Any, at: int) -> int:
    """Write a code point; return the position after it."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | code >> 6
        out[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        out[at] = 0xE0 | code >> 12
        out[at + 1] = 0x80 | code >> 6 & 0x3F
        out[at + 2] = 0x80 | code & 0x3F
        return at + 3
    out[at] = 0xF0 | code >> 18
    out[at + 1] = 0x80 | code >> 12 & 0x3F
    out[at + 2] = 0x80 | code >> 6 & 0x3F
    out[at + 3] = 0x80 | code & 0x3F
    return at + 4


@inlined
def _leading_letters(word: np.uint64) -> int:
    """Return how many of a word's first bytes are ASCII letters, digits or underscores.

    Eight bytes at once: the highest bit of a byte says what is true of it. Adding 0x80 - c sets it
    where the byte is at least c, and no carry leaves a byte whose own highest bit was cleared.
    """
    low = word & _LOW_BITS
    letters = (low | _CASE_BITS) & _LOW_BITS
    is_letter = (letters + _FROM_A) & ~(letters + _AFTER_Z)
    is_digit = (low + _FROM_0) & ~(low + _AFTER_9)
    is_underscore = ~((low ^ _UNDERSCORES) + _LOW_BITS)
    is_word = (is_letter | is_digit | is_underscore) & ~word & _HIGH_BITS
    return trailing_zeros(is_word ^ _HIGH_BITS) >> 3


@compiled
def needs_composition(
    data: Any, offsets: Any, classes: Any, combining: Any, folded: Any, out: Any
) -> int:
    """Mark the texts that NFC may change once they are folded (UAX #15, section 9).

    Args:
        data: UTF-8; uint8.
        offsets: shape (num_texts + 1,).
        classes: as in `CharacterTable`; so are combining and folded.
        combining: see there.
        folded: see there.
        out: bool, shape (num_texts,), all False; set where the text has to be composed.

    Returns:
        The number of them.
    """
    num = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        last = 0
        while at < stop:
            if data[at] < 0x80:
                last = 0
                at += 1
                continue
            code, length = _decode(data, at, stop)
            at += length
            kind = classes[code]
            if kind & FOLD:
                code = folded[code]
                if code == 0:
                    continue
                kind = classes[code]
            order = np.int64(combining[code])
            if (kind & NFC != 0) | ((order != 0) & (last > order)):
                out[row] = True
                num += 1
                break
            last = order
    return num


@compiled
def split_tokens(
    data: Any,
    start: int,
    stop: int,
    classes: Any,
    folded: Any,
    out: Any,
    write: int,
    starts: Any,
    ends: Any,
) -> int:
    """Split a text into the tokens of `standard`.

    Args:
        data: UTF-8, folded and in NFC but for characters that fold one by one; uint8.
        start: of the text.
        stop: of the text.
        classes: as in `CharacterTable`.
        folded: as in `CharacterTable`.
        out: scratch for the normalized text: tokens with single spaces between them; uint8, at
            least write + 2 · (stop − start) + SLACK long.
        write: where in `out` to begin.
        starts: first byte of each token in `out`; at least stop − start + 1 long.
        ends: byte after each token in `out`; as long.

    Returns:
        The number of tokens.
    """  # fmt: skip
    num = 0
    kind = _NO_TOKEN  # of the token being written
    begin = write  # of a letter
    last = 0  # the last code point written to it
    joiner = 0  # a code point that belongs to the token only if a word character follows
    at = start
    while at < stop:
        if data[at] < 0x80:
            code, length = np.int32(data[at]), 1
            bits = classes[code]
            # Most of most texts: an ASCII word, or more of it.
            if bits & WORD and joiner == 0 and kind != _LETTER_TOKEN and at + 8 <= len(data):
                if kind == _NO_TOKEN:
                    starts[num] = write
                    kind = _WORD_TOKEN
                num_letters = 8
                while num_letters == 8 and at < stop and at + 8 <= len(data):
                    word = load_word(data, at)
                    num_letters = min(_leading_letters(word), stop - at)
                    store_word(out, write, word)
                    at += num_letters
                    write += num_letters
                last = np.int32(data[at - 1])
                if at < stop and data[at] == _SPACE:
                    at += 1
                    ends[num] = write
                    num += 1
                    out[write] = _SPACE
                    write += 1
                    kind = _NO_TOKEN
                continue
        else:
            code, length = _decode(data, at, stop)
            bits = classes[code]
            # Most of other texts: a letter that is a token by itself, or a mark, after another one.
            # Which of both it is would be foretold wrongly, so that there is no branch on it.
            if (
                kind == _LETTER_TOKEN and bits & (MARK | SPACELESS) and bits & FOLD == 0
                and last != _COENG and last != _VIRAMA and at + 8 <= len(data)
            ):  # fmt: skip
                is_new = np.int64(bits & MARK == 0)
                ends[num] = write
                out[write] = _SPACE
                num += is_new
                write += is_new
                begin = write if is_new else begin
                starts[num] = begin
                store_word(out, write, load_word(data, at))
                write += length
                at += length
                last = code
                continue
            if bits & FOLD:
                code = folded[code]
                if code == 0:
                    at += length
                    continue
                bits = classes[code]
        at += length
        if joiner != 0:
            inside = bits & WORD
            if joiner == _POINT or joiner == _COMMA:
                inside = bits & DIGIT
            if inside:
                write = _encode(joiner, out, write)
            else:
                ends[num] = write
                num += 1
                out[write] = _SPACE
                write += 1
                kind = _NO_TOKEN
                if joiner < 0x80:  # the zero-width joiners are invisible
                    starts[num] = write
                    out[write] = joiner
                    write += 1
                    ends[num] = write
                    num += 1
                    out[write] = _SPACE
                    write += 1
            joiner = 0
        if kind == _WORD_TOKEN and not bits & WORD:
            number = classes[last] & DIGIT and (code == _POINT or code == _COMMA)
            if number or code == _APOSTROPHE or code == _HYPHEN or code == 0x200C or code == 0x200D:
                joiner = code
                continue
        goes_on = (kind == _WORD_TOKEN and bits & WORD) or (
            kind == _LETTER_TOKEN
            and (bits & MARK or (bits & SPACELESS and (last == _COENG or last == _VIRAMA)))
        )
        if not goes_on:
            if kind != _NO_TOKEN:
                ends[num] = write
                num += 1
                out[write] = _SPACE
                write += 1
                kind = _NO_TOKEN
            if not bits & (WORD | SPACELESS | VISIBLE):
                continue
            starts[num] = write
            begin = write
            kind = _WORD_TOKEN if bits & WORD else _LETTER_TOKEN
        write = _encode(code, out, write)
        last = code
        if not bits & (WORD | SPACELESS):  # a sign is a token by itself
            ends[num] = write
            num += 1
            out[write] = _SPACE
            write += 1
            kind = _NO_TOKEN
    if kind != _NO_TOKEN:
        ends[num] = write
        num += 1
        out[write] = _SPACE
        write += 1
    if joiner != 0 and joiner < 0x80:
        starts[num] = write
        out[write] = joiner
        write += 1
        ends[num] = write
        num += 1
    return num
