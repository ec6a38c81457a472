"""One caption of each of many pairs at once: for those who match them, not for the loader."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.training.captions.lookup import CaptionIndex, Place

__all__ = ["Instead", "first_captions"]


class Instead(NamedTuple):
    """A caption of each pair; null where a pair has none.

    Attributes:
        texts: string, shape (n,).
        sources: string, shape (n,).
        langs: string, shape (n,); null also where nobody says it.
    """

    texts: pa.StringArray
    sources: pa.StringArray
    langs: pa.StringArray


def first_captions(index: CaptionIndex, pair_ids: pa.StringArray) -> Instead:
    """Return a caption of each pair: of several, the first by its source's name, then by its text.

    Args:
        index: of the captions.
        pair_ids: without nulls; shape (n,).

    Raises:
        OSError: a caption cannot be read.
    """
    rows = _first_rows(index, pair_ids)
    chosen = index.rows[rows[rows >= 0]]
    places = [Place(*one) for one in chosen[["source", "at", "size", "lang"]].tolist()]
    nothing: list[str | None] = [None] * len(rows)
    columns = [list(nothing) for _ in Instead._fields]
    said: tuple[list[str | None], ...] = (
        [index.read(place) for place in places],
        [index.sources[place.source] for place in places],
        [index.lang_of(place) for place in places],
    )
    for column, values in zip(columns, said, strict=True):
        for at, value in zip(np.flatnonzero(rows >= 0).tolist(), values, strict=True):
            column[at] = value
    return Instead(*(pa.array(column, pa.string()) for column in columns))


def _first_rows(index: CaptionIndex, pair_ids: pa.StringArray) -> NDArray[np.int64]:
    """Return the row of a caption of each pair, -1 where there is none; shape (n,)."""
    from curate.curation.hashing.ids import quick_hashes  # only here: it compiles
    from curate.training.captions.write import SEEDS

    first, second = (quick_hashes(pair_ids, seed) for seed in SEEDS)
    rank = np.argsort(np.argsort(index.sources)) if index.sources else np.zeros(0, np.int64)
    found = np.full(len(first), -1, np.int64)
    best = np.full(len(first), len(rank), np.int64)
    order = np.argsort(first, kind="stable")  # so that neighbours are looked for one by one
    at = np.empty(len(first), np.int64)
    at[order] = np.searchsorted(index.keys, first[order])
    left = order
    while True:
        left = left[at[left] < len(index)]
        left = left[index.keys[at[left]] == first[left]]
        if not len(left):
            return found
        rows = index.rows[at[left]]
        ranks = rank[rows["source"]]
        better = (rows["hash"] == second[left]) & (ranks < best[left])
        found[left[better]], best[left[better]] = at[left[better]], ranks[better]
        at[left] += 1
