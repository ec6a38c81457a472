"""Compiled loops over entries, one for each normalization: entries in, needles out."""

from typing import Any

import numpy as np

from curate.compiled.kernel import compiled
from curate.curation.compiled.unit_keys import SLACK
from curate.curation.matching.kernels import split_tokens
from curate.curation.matching.pieces import split_characters, split_pieces

__all__ = ["split_metaclip_entries", "split_standard_entries"]

_SPACE = np.uint8(32)


@compiled
def split_standard_entries(data: Any, offsets: Any, classes: Any, folded: Any) -> tuple[Any, ...]:
    """Return the fields of `Needles` for entries normalized by `standard`."""
    num_entries = len(offsets) - 1
    size = offsets[num_entries] - offsets[0]
    out = np.zeros(2 * size + 2 * SLACK, dtype=np.uint8)
    needle_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    starts = np.empty(size + 1, dtype=np.int64)
    ends = np.empty(size + 1, dtype=np.int64)
    unit_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    write = num_units = 0
    for entry in range(num_entries):
        num = split_tokens(
            data, offsets[entry], offsets[entry + 1], classes, folded,
            out, write, starts[num_units:], ends[num_units:],
        )  # fmt: skip
        num_units += num
        if num:  # the space after the last token is written over
            write = ends[num_units - 1]
        needle_offsets[entry + 1] = write
        unit_offsets[entry + 1] = num_units
    ids = np.empty(num_entries, dtype=np.uint32)
    for entry in range(num_entries):
        ids[entry] = entry
    return (
        out[: write + SLACK], needle_offsets, ids, starts[:num_units], ends[:num_units],
        unit_offsets,
    )  # fmt: skip


@compiled
def _split_spaced(data: Any, offsets: Any, between: bool) -> tuple[Any, ...]:
    """Return the fields of `Needles` for the spaced entries of one of the two kinds.

    Args:
        data: UTF-8 of the entries, with the spaces that `metaclip` puts around them.
        offsets: of the entries.
        between: take those that begin and end with a space, without these; else the others.
    """
    num_entries = len(offsets) - 1
    size = offsets[num_entries] - offsets[0]
    out = np.zeros(size + SLACK, dtype=np.uint8)
    needle_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    starts = np.empty(size + 1, dtype=np.int64)
    ends = np.empty(size + 1, dtype=np.int64)
    unit_offsets = np.zeros(num_entries + 1, dtype=np.int64)
    ids = np.empty(num_entries, dtype=np.uint32)
    num_needles = write = num_units = 0
    for entry in range(num_entries):
        start, stop = offsets[entry], offsets[entry + 1]
        closed = stop - start > 2 and data[start] == _SPACE and data[stop - 1] == _SPACE
        if stop == start or closed != between:
            continue
        if between:
            num = split_pieces(data, start, stop - start, starts[num_units:], ends[num_units:])
            start, stop = start + 1, stop - 1
        else:
            num = split_characters(data, start, stop - start, starts[num_units:], ends[num_units:])
        for unit in range(num_units, num_units + num):
            starts[unit] += write - start
            ends[unit] += write - start
        for i in range(stop - start):
            out[write + i] = data[start + i]
        ids[num_needles] = entry
        write += stop - start
        num_units += num
        num_needles += 1
        needle_offsets[num_needles] = write
        unit_offsets[num_needles] = num_units
    return (
        out[: write + SLACK], needle_offsets[: num_needles + 1], ids[:num_needles],
        starts[:num_units], ends[:num_units], unit_offsets[: num_needles + 1],
    )  # fmt: skip


def split_metaclip_entries(data: Any, offsets: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the fields of `Needles` of entries between spaces, and of those that need none."""
    return _split_spaced(data, offsets, True), _split_spaced(data, offsets, False)
