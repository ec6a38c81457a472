"""Compiled code of `metaclip`: texts in, spaced texts and their pieces and characters out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled

__all__ = ["space_text", "split_characters", "split_pieces"]

_SPACE = np.uint8(32)


@compiled
def space_text(data: Any, start: int, stop: int, out: Any) -> int:
    """Write a text as `metaclip` spaces it; return its length.

    Args:
        data: UTF-8; uint8.
        start: of the text.
        stop: of the text.
        out: uint8, at least 3 · (stop − start) + 2 long.
    """
    out[0] = _SPACE
    write = 1
    for at in range(start, stop):
        byte = data[at]
        if byte == 9 or byte == 10 or byte == 13:
            out[write] = _SPACE
            write += 1
        elif (
            byte == 44 or byte == 46 or byte == 59 or byte == 58
            or byte == 63 or byte == 33 or byte == 96
        ):  # fmt: skip
            out[write] = _SPACE
            out[write + 1] = byte
            out[write + 2] = _SPACE
            write += 3
        else:
            out[write] = byte
            write += 1
    out[write] = _SPACE
    return write + 1


@compiled
def split_pieces(text: Any, start: int, length: int, starts: Any, ends: Any) -> int:
    """Split a text that begins and ends with a space at every space; pieces may be empty."""
    num = 0
    begin = start + 1
    for at in range(start + 1, start + length):
        if text[at] == _SPACE:
            starts[num] = begin
            ends[num] = at
            num += 1
            begin = at + 1
    return num


@compiled
def split_characters(text: Any, start: int, length: int, starts: Any, ends: Any) -> int:
    """Split a text into its characters."""
    num = 0
    at = start
    stop = start + length
    while at < stop:
        starts[num] = at
        at += 1
        while at < stop and text[at] & 0xC0 == 0x80:
            at += 1
        ends[num] = at
        num += 1
    return num
