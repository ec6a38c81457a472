"""Compiled look at the bytes of texts: what is in each, so that regular expressions see few texts.

Of characters beyond ASCII only that is noted which holds in every version of Unicode: what is not
noted is unknown, and for somebody else to find out.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.compiled.kernel import compiled
from curate.curation.compiled.arrow_buffers import string_buffers

__all__ = [
    "DIGIT",
    "DOT",
    "JOINER",
    "LETTER",
    "LOWER",
    "MAYBE_CASED",
    "SPACE",
    "WIDE_SPACE",
    "Marks",
    "marks_of",
]

# A letter; one in lower case; one that may have a case; a digit, a dot, a space of ASCII; what may
# stand between words instead; a white space of no ASCII.
LETTER, LOWER, MAYBE_CASED, DIGIT, DOT, SPACE, JOINER, WIDE_SPACE = (1 << i for i in range(8))


def _ascii_marks() -> NDArray[np.uint32]:
    """Return what each byte of ASCII is."""
    table = np.zeros(128, np.uint32)
    for byte in range(128):
        char = chr(byte)
        if char.isalpha():
            table[byte] = LETTER | MAYBE_CASED | (LOWER if char.islower() else 0)
    for chars, mark in (("0123456789", DIGIT), (".", DOT), (" ", SPACE), ("_-+%", JOINER)):
        for char in chars:
            table[ord(char)] |= mark
    return table


# Ranges of code points, last ones included: letters without case, others without case, letters in
# lower case, letters in capitals or of both kinds.
_LETTERS = (
    (0x05D0, 0x05EA), (0x0621, 0x063A), (0x0641, 0x064A), (0x0671, 0x06D3), (0x0905, 0x0939),
    (0x0995, 0x09A8), (0x0A15, 0x0A28), (0x0A95, 0x0AA8), (0x0B95, 0x0B95), (0x0BAE, 0x0BB9),
    (0x0C15, 0x0C28), (0x0C95, 0x0CA8), (0x0D15, 0x0D28), (0x0E01, 0x0E30), (0x1000, 0x1020),
    (0x1780, 0x17A2), (0x3041, 0x3094), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3),
)  # fmt: skip
_CASELESS = (
    (0x0590, 0x06FF), (0x0900, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2010, 0x205E),
    (0x3001, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
)  # fmt: skip
_LOWER = ((0x00DF, 0x00F6), (0x00F8, 0x00FF), (0x03B1, 0x03C9), (0x0430, 0x045F))
_CASED = ((0x00C0, 0x00D6), (0x00D8, 0x00DE), (0x0100, 0x017F), (0x0391, 0x03A1), (0x0400, 0x042F))
# What `no_text` has as white space that fastText parts no words at.
_WIDE_SPACES = (
    (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip


def _wide_marks() -> NDArray[np.uint8]:
    """Return what each code point below U+10000 is, beyond ASCII."""
    table = np.full(1 << 16, MAYBE_CASED, np.uint8)
    for ranges, mark in ((_CASELESS, 0), (_LETTERS, LETTER), (_LOWER, LETTER | LOWER | MAYBE_CASED),
                         (_CASED, LETTER | MAYBE_CASED), (_WIDE_SPACES, WIDE_SPACE)):  # fmt: skip
        for first, last in ranges:
            table[first : last + 1] = mark
    return table


_ASCII, _WIDE = _ascii_marks(), _wide_marks()
_IS_LETTER, _IS_VOWEL = (np.zeros(256, np.uint8) for _ in range(2))
_IS_LETTER[[b for b in range(128) if chr(b).isalpha()]] = 1
_IS_VOWEL[list(b"aeiouAEIOU")] = 1


class Marks(NamedTuple):
    """What is in texts; each array has shape (num_texts,).

    Attributes:
        marks: LETTER and so on; uint8.
        letters: letters of ASCII; int32.
        vowels: of these; int32.
    """

    marks: NDArray[np.uint8]
    letters: NDArray[np.int32]
    vowels: NDArray[np.int32]

    def has(self, mark: int) -> NDArray[np.bool_]:
        """Tell which texts have a mark."""
        return np.asarray(self.marks & mark != 0)


@compiled
def mark_texts(data: Any, offsets: Any, marks: Any, letters: Any, vowels: Any) -> None:
    """Write what is in each text, as `Marks` has it.

    Args:
        data: UTF-8 of all texts.
        offsets: shape (num_texts + 1,).
        marks: written.
        letters: written.
        vowels: written.
    """
    for text in range(len(offsets) - 1):
        at, stop = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        found = np.uint32(0)
        num_letters = num_vowels = 0
        while at < stop:
            byte = data[at]
            if byte < 0x80:
                found |= _ASCII[byte]
                num_letters += _IS_LETTER[byte]
                num_vowels += _IS_VOWEL[byte]
                at += np.uint64(1)
            elif byte < 0xE0 and at + np.uint64(1) < stop:
                point = np.uint64(byte & 0x1F) << np.uint64(6) | np.uint64(
                    data[at + np.uint64(1)] & 0x3F
                )
                found |= _WIDE[point]
                at += np.uint64(2)
            elif byte < 0xF0 and at + np.uint64(2) < stop:
                point = (
                    np.uint64(byte & 0xF) << np.uint64(12)
                    | np.uint64(data[at + np.uint64(1)] & 0x3F) << np.uint64(6)
                    | np.uint64(data[at + np.uint64(2)] & 0x3F)
                )
                found |= _WIDE[point]
                at += np.uint64(3)
            else:
                found |= np.uint32(MAYBE_CASED)
                at += np.uint64(4)
        marks[text] = found
        letters[text], vowels[text] = num_letters, num_vowels


def marks_of(texts: pa.StringArray) -> Marks:
    """Return what is in each text; shape (num_texts,), no nulls."""
    data, offsets = string_buffers(texts)
    num = len(texts)
    found = Marks(np.empty(num, np.uint8), np.empty(num, np.int32), np.empty(num, np.int32))
    mark_texts(data, offsets, *found)
    return found
