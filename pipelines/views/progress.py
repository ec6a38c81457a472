"""How long work shows itself: a tqdm bar on a terminal, else a line on stderr now and then."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

__all__ = ["log", "progress"]

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 30.0


def log(message: str, *, quiet: bool = False) -> None:
    """Write a line to stderr."""
    if not quiet:
        sys.stderr.write(f"{message}\n")


def progress(
    items: Iterable[Item], *, total: int, label: str, unit: str, quiet: bool
) -> Iterator[Item]:
    """Yield the items and show how many of them have gone by."""
    if quiet:
        yield from items
    elif sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, unit=unit, dynamic_ncols=True)
    else:
        yield from _with_lines(items, total, label, unit)


def _with_lines(items: Iterable[Item], total: int, label: str, unit: str) -> Iterator[Item]:
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log(f"{label}: {done} of {total} {unit}s")
