"""Write curation/matching/unicode_ranges.tsv from the Unicode data inside the `regex` package.

Run by hand (`make unicode`) when a new Unicode version is adopted: it changes which pairs match,
so it is a schema change and stands in the CHANGELOG.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import regex

SPACELESS_SCRIPTS = (
    "Han Hiragana Katakana Bopomofo Yi Tangut Nushu Khitan_Small_Script "
    "Thai Lao Khmer Myanmar Tai_Le New_Tai_Lue Tai_Tham Tai_Viet Ahom"
).split()
# Letters that Unicode calls Common although only these scripts use them: 〆 ー ｰ.
SPACELESS_COMMON = (0x3006, 0x30FC, 0xFF70)

# UAX #44, table 15; no other value is used, and a test compares them with Python's own.
COMBINING_CLASSES = (1, *range(6, 37), 84, 91, 103, 107, 118, 122, 129, 130, 132, 202, 214, 216,
                     218, 220, 222, 224, 226, 228, 230, 232, 233, 234, 240)  # fmt: skip

CLASSES = {
    "mark": r"\p{M}",
    "digit": r"\p{Nd}",
    "spaceless": "["
    + "".join(rf"\p{{Script={s}}}" for s in SPACELESS_SCRIPTS)
    + r"&&[\p{L}\p{Nl}]]",
    "word": r"[\p{L}\p{N}\p{Pc}\p{M}]",
    "nfc": r"\P{NFC_Quick_Check=Yes}",
    **{f"ccc{n}": rf"\p{{Canonical_Combining_Class={n}}}" for n in COMBINING_CLASSES},
}


def ranges(pattern: str, extra: tuple[int, ...] = ()) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each run of code points that match the pattern."""
    matches = regex.compile(pattern, regex.V1).fullmatch
    first = None
    for code in range(0x110001):
        inside = code < 0x110000 and (bool(matches(chr(code))) or code in extra)
        if inside and first is None:
            first = code
        elif not inside and first is not None:
            yield first, code - 1
            first = None


def main() -> None:
    path = Path(__file__).parents[2] / "curation" / "matching" / "unicode_ranges.tsv"
    lines = ["class\tfirst\tlast"]
    for name, pattern in CLASSES.items():
        extra = SPACELESS_COMMON if name == "spaceless" else ()
        lines += [f"{name}\t{first:04X}\t{last:04X}" for first, last in ranges(pattern, extra)]
    path.write_text("\n".join(lines) + "\n")
    sys.stdout.write(f"{path}: {len(lines) - 1} ranges\n")


if __name__ == "__main__":
    main()
