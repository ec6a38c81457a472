"""Sizes in bytes as people write them."""

import re

from metadata.errors import UsageError

__all__ = ["parse_size"]


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
