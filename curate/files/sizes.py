"""Sizes in bytes, and whole numbers, as people write them."""

import re
from decimal import Decimal

from curate.errors import UsageError

__all__ = ["in_words", "parse_number", "parse_numbers", "parse_size", "several"]

MOST_NUMBERS = 256


def several(num: int, noun: str) -> str:
    """Return a number of things in words.

    >>> several(1, "file"), several(1200, "file"), several(2, "more language")
    ('1 file', '1,200 files', '2 more languages')
    """
    return f"{num:,} {noun}" if num == 1 else f"{num:,} {noun}s"


def parse_size(text: str, option: str, least: int = 1) -> int:
    """Return a size in bytes; K, M, G and T are powers of a thousand.

    Args:
        text: such as ``4GB``.
        option: that it was given with.
        least: bytes, the smallest size that can be meant.

    Raises:
        UsageError: it is none, or less than that.

    >>> parse_size("1.5 GB", "--memory")
    1500000000
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * 1000 ** " KMGT".index(found[2].upper() or " ")) if found else 0
    if size < least:
        shown = f"{least / 1e6:.0f}MB" if least >= 1_000_000 else f"{least} bytes"
        raise UsageError(f"{option} is {text!r}; expected a size such as 4GB, at least {shown}")
    return size


def parse_number(text: str, option: str) -> int:
    """Return a whole number, at least 1; k and m are a thousand and a million, 1e3 is one too.

    Args:
        text: such as ``20k``.
        option: that it was given with.

    Raises:
        UsageError: it is none.

    >>> [parse_number(text, "--t") for text in ("20k", "1.5M", "1_000", "2.5e4")]
    [20000, 1500000, 1000, 25000]
    """
    found = re.fullmatch(
        r"([0-9]+(?:\.[0-9]+)?(?:e\+?[0-9])?)([km]?)",
        text.strip().replace("_", ""),
        re.IGNORECASE,
    )
    number = Decimal(found[1]) * 1000 ** " km".index(found[2].lower() or " ") if found else None
    if number is None or number != int(number) or number < 1:
        raise UsageError(
            f"{option} is {text.strip()!r}; expected a whole number such as 5000, 20k or 1.5m, "
            "at least 1"
        )
    return int(number)


def parse_numbers(text: str, option: str) -> list[int]:
    """Return the numbers of a comma-separated list, ascending, each once.

    Raises:
        UsageError: one is no number, or there are too many.

    >>> parse_numbers("20k, 1_000,20000", "--grid")
    [1000, 20000]
    """
    found = {parse_number(word, option) for word in text.split(",")}
    if len(found) > MOST_NUMBERS:
        raise UsageError(f"{option} has {len(found)} values; expected at most {MOST_NUMBERS}")
    return sorted(found)


def in_words(num_bytes: float) -> str:
    """Write a number of bytes for people.

    >>> in_words(999), in_words(21_300_000_000)
    ('999 B', '21.3 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} B" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"
