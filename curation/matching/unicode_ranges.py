"""The character classes that the `standard` normalization is defined by.

They are our own table and not the interpreter's `unicodedata`, so that the same pairs match under
every Python. `unicode_ranges.tsv` holds Unicode 17 ranges of these classes:

- ``word``       letters, marks, numbers, connector punctuation;
- ``mark``       combining marks;
- ``digit``      decimal digits;
- ``nfc``        characters that NFC may change (NFC_Quick_Check No or Maybe);
- ``cccN``       characters of canonical combining class N, which NFC may reorder;
- ``spaceless``  letters of scripts that do not put spaces between words: Han, kana, Bopomofo, Yi,
  Tangut, Nüshu, Khitan, and the South East Asian scripts of UAX #14's class SA. Hangul and
  Tibetan are not here: spaces and tshegs delimit their words and syllables.
"""

import re
from functools import cache
from importlib.resources import files

__all__ = ["character_class", "character_ranges"]

Range = tuple[int, int]


@cache
def character_ranges() -> dict[str, list[Range]]:
    """Return the first and the last code point of each run of each class."""
    table: dict[str, list[Range]] = {}
    lines = (
        files("curate.curation.matching")
        .joinpath("unicode_ranges.tsv")
        .read_text("ascii")
        .splitlines()
    )
    for line in lines[1:]:
        name, first, last = line.split("\t")
        table.setdefault(name, []).append((int(first, 16), int(last, 16)))
    return table


def _subtract(ranges: list[Range], removed: list[Range]) -> list[Range]:
    """Ranges without the code points of other, sorted ranges.

    >>> _subtract([(1, 9)], [(3, 4), (9, 12)])
    [(1, 2), (5, 8)]
    """
    out = []
    for first, last in ranges:
        for gone_first, gone_last in removed:
            if gone_last < first or gone_first > last:
                continue
            if gone_first > first:
                out.append((first, gone_first - 1))
            first = gone_last + 1
        if first <= last:
            out.append((first, last))
    return out


@cache
def character_class(name: str, *, without: str | None = None) -> str:
    """Return the inside of a regular expression's ``[...]`` for a class of the table.

    Args:
        name: one of ``word``, ``mark``, ``digit``, ``spaceless``.
        without: a class whose characters are taken out.
    """
    ranges = character_ranges()[name]
    if without is not None:
        ranges = _subtract(ranges, character_ranges()[without])
    return "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in ranges)
