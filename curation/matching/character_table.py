"""The character classes of `standard` as arrays that compiled code looks up by code point."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.curation.matching.normalize import FOLDED, fold_character
from curate.curation.matching.unicode_ranges import character_ranges

__all__ = ["CharacterTable", "character_table"]

NUM_CODE_POINTS = 0x110000

# Bits of a code point's class.
WORD = 1  # word character of a script with spaces
SPACELESS = 2  # letter of a script without spaces
MARK = 4  # combining mark; also WORD
DIGIT = 8
VISIBLE = 16  # neither white space, nor a control character, nor a joiner
FOLD = 32  # `folded` says what it becomes
NFC = 64  # NFC may change it
COMBINING = 128  # its combining class is not 0

_ZERO_WIDTH_JOINERS = (0x200C, 0x200D)


class CharacterTable(NamedTuple):
    """What is known of each code point.

    Attributes:
        classes: bits above; uint8, shape (NUM_CODE_POINTS,).
        combining: canonical combining class; uint8, shape (NUM_CODE_POINTS,).
        folded: the code point that one with FOLD becomes, 0 if it vanishes; int32, same shape.
    """

    classes: NDArray[np.uint8]
    combining: NDArray[np.uint8]
    folded: NDArray[np.int32]


@cache
def character_table() -> CharacterTable:
    """Return the table; made once, in a few milliseconds."""
    classes = np.full(NUM_CODE_POINTS, VISIBLE, dtype=np.uint8)
    combining = np.zeros(NUM_CODE_POINTS, dtype=np.uint8)
    folded = np.zeros(NUM_CODE_POINTS, dtype=np.int32)
    bits = {"word": WORD, "mark": MARK, "digit": DIGIT, "nfc": NFC}
    ranges = character_ranges()
    for name, bit in bits.items():
        for first, last in ranges[name]:
            classes[first : last + 1] |= bit
    for first, last in ranges["spaceless"]:
        classes[first : last + 1] = (classes[first : last + 1] & ~np.uint8(WORD)) | SPACELESS
    for name in (n for n in ranges if n.startswith("ccc")):
        for first, last in ranges[name]:
            classes[first : last + 1] |= COMBINING
            combining[first : last + 1] = int(name.removeprefix("ccc"))
    # The same white space as `\s` of Python's regular expressions, which str.isspace defines.
    blank = [c for c in range(0x3001) if chr(c).isspace()]
    controls = [*range(0x20), *range(0x7F, 0xA0)]
    for code in (*blank, *controls, *_ZERO_WIDTH_JOINERS):
        classes[code] &= ~np.uint8(VISIBLE)
    for code in FOLDED:
        becomes = fold_character(chr(code))
        if becomes != chr(code):
            classes[code] |= FOLD
            folded[code] = ord(becomes) if becomes else 0
    return CharacterTable(classes, combining, folded)
