"""Write curation/unicode_ranges.tsv from the Unicode data inside the `regex` package.

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

CLASSES = {
    "mark": r"\p{M}",
    "digit": r"\p{Nd}",
    "spaceless": "["
    + "".join(rf"\p{{Script={s}}}" for s in SPACELESS_SCRIPTS)
    + r"&&[\p{L}\p{Nl}]]",
    "word": r"[\p{L}\p{N}\p{Pc}\p{M}]",
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
    path = Path(__file__).parents[2] / "curation" / "unicode_ranges.tsv"
    lines = ["class\tfirst\tlast"]
    for name, pattern in CLASSES.items():
        extra = SPACELESS_COMMON if name == "spaceless" else ()
        lines += [f"{name}\t{first:04X}\t{last:04X}" for first, last in ranges(pattern, extra)]
    path.write_text("\n".join(lines) + "\n")
    sys.stdout.write(f"{path}: {len(lines) - 1} ranges\n")


if __name__ == "__main__":
    main()
