"""Strings in, a text of lines out; and of such a text the lines that hold a string.

Two bytes of the string, its rarest ones, are compared with 64 places at a time, which a processor
does in a few instructions; only where both are there the others are.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled, inlined

__all__ = ["as_lines", "lines_with", "rarest_places"]

_WIDTH = 64
_LINE = ord("\n")
_SPACE = ord(" ")


def as_lines(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], order: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    r"""Return strings as lines, each with a line feed behind it, and where each begins.

    A line feed in a string becomes a space.

    Args:
        data: bytes of the strings.
        offsets: where they begin in it, and where the last one ends.
        order: strings that are wanted, in the order of the lines.

    Returns:
        Lines; and where each begins, shape (num_lines + 1,), the last is the number of bytes.

    >>> data = np.frombuffer(b"red\ndogcat", np.uint8)
    >>> lines, starts = as_lines(data, np.array([0, 7, 10]), np.array([1, 0]))
    >>> lines.tobytes(), starts.tolist()
    (b'cat\nred dog\n', [0, 4, 12])
    """
    starts = np.zeros(len(order) + 1, np.int64)
    np.cumsum(offsets[order + 1] - offsets[order] + 1, out=starts[1:])
    lines = np.empty(int(starts[-1]), np.uint8)
    _put_lines(data, offsets, order, lines)
    return lines, starts


def rarest_places(needle: bytes, frequency: NDArray[np.int64]) -> tuple[int, int]:
    """Return where the two rarest bytes of a string stand in it.

    Args:
        needle: of at least one byte.
        frequency: of each byte in what is searched; shape (256,).

    >>> frequency = np.full(256, 9)
    >>> frequency[[ord("z"), ord("y")]] = 1, 2
    >>> rarest_places(b"crazy", frequency), rarest_places(b"a", frequency)
    ((3, 4), (0, 0))
    """
    order = sorted(range(len(needle)), key=lambda at: (int(frequency[needle[at]]), at))
    return order[0], order[min(1, len(order) - 1)]


def lines_with(data: NDArray[np.uint8], needle: bytes, places: tuple[int, int]) -> NDArray[Any]:
    r"""Return the numbers of the lines that hold a string, ascending.

    A string that begins with a line feed is the beginning of a line, one that ends with it its end.

    Args:
        data: a line feed, and then lines, each with a line feed at its end.
        needle: without a line feed inside.
        places: of two of its bytes, best the rarest ones.

    >>> data = np.frombuffer(b"\nred dog\ndog\ncat\n", np.uint8)
    >>> [lines_with(data, one, (0, 1)).tolist() for one in (b"dog", b"\ndog", b"\nc", b"zz")]
    [[0, 1], [1], [2], []]
    """
    wanted = np.frombuffer(needle, np.uint8)
    out = np.empty(max(16, len(data) // 64), np.int64)
    while (num := int(_find(data, wanted, *places, out))) < 0:
        out = np.empty(4 * len(out), np.int64)
    return out[:num]


@compiled
def _put_lines(data: Any, offsets: Any, order: Any, lines: Any) -> None:
    to = 0
    for row in order:
        for at in range(offsets[row], offsets[row + 1]):
            byte = data[at]
            lines[to] = _SPACE if byte == _LINE else byte
            to += 1
        lines[to] = _LINE
        to += 1


@compiled
def _find(data: Any, needle: Any, one: Any, other: Any, out: Any) -> int:
    """Fill `out` and return how many lines there are; -1 if there is no room for them."""
    length, size, num = len(needle), len(data), 0
    last = size - length
    lines, counted, at, ahead = -1, 0, 0, 0
    first_byte, second_byte = needle[one], needle[other]
    flags = np.zeros(_WIDTH, np.uint8)
    eight = flags.view(np.uint64)
    while at <= last:
        if at >= ahead:  # look at the next places, as far as there are so many
            if at + _WIDTH + length <= size:
                _compare(
                    data[at + one : at + one + _WIDTH],
                    data[at + other : at + other + _WIDTH],
                    first_byte,
                    second_byte,
                    flags,
                )
                if _are_none(eight):
                    at += _WIDTH
                    continue
            else:
                flags[:] = 1
            ahead = at + _WIDTH
        lane = at - (ahead - _WIDTH)
        if lane % 8 == 0 and eight[lane // 8] == 0:
            at += 8
            continue
        if flags[lane] and _is_at(data, at, needle):
            lines += _count_lines(data[counted : at + 1])
            counted = at + 1
            if num == len(out):
                return -1
            out[num] = lines
            num += 1
            at += 1
            while at < size and data[at] != _LINE:  # one hit a line
                at += 1
        else:
            at += 1
    return num


@compiled
def _compare(first: Any, second: Any, first_byte: Any, second_byte: Any, flags: Any) -> None:
    """Tell at which of 64 places the two bytes are."""
    for lane in range(np.uint64(_WIDTH)):
        flags[lane] = np.uint8(first[lane] == first_byte) & np.uint8(second[lane] == second_byte)


@inlined
def _are_none(eight: Any) -> bool:
    """Tell whether they are at none of the places, whose flags are eight words."""
    some = eight[0] | eight[1] | eight[2] | eight[3] | eight[4] | eight[5] | eight[6] | eight[7]
    return bool(some == 0)


@compiled
def _is_at(data: Any, at: Any, needle: Any) -> bool:
    for i in range(len(needle)):
        if data[at + i] != needle[i]:
            return False
    return True


@compiled
def _count_lines(data: Any) -> int:
    num = np.int64(0)
    for i in range(np.uint64(len(data))):
        num += data[i] == _LINE
    return int(num)
