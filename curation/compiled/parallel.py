"""A function over the pieces of an array, in threads: compiled code releases the lock."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_threads"]

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_threads(function: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """Return the function's result for each piece, in order; one thread a piece."""
    if len(pieces) == 1:
        return [function(pieces[0])]
    with ThreadPoolExecutor(len(pieces)) as pool:
        return list(pool.map(function, pieces))
