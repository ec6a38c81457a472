"""Vectors in the order in which they stay in; out which of them fall for an earlier one.

Most pairs are told apart by a few numbers of each vector: its parts along some axes, and the length
of what is left. The product of two such sketches is no less than that of the vectors (Cauchy and
Schwarz), so that none that is alike is passed over. What depends on how a product is rounded
is computed again in double precision, so that results are the same for any number of threads.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fall_for_earlier"]

_SLACK = 1e-4  # of products in single precision
_ROUNDING = 1e-6  # of a squared length in single precision
_BLOCK = 256
_KEPT = 4096
_PAIR = 256  # a product by itself takes as long as so many in a matrix

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def fall_for_earlier(
    vectors: NDArray[np.float16], least: float, axes: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Go through vectors in their order; each falls for the first one kept that it is like.

    Args:
        vectors: of unit length, the best first; shape (N, E).
        least: cosine from which on two are alike.
        axes: orthonormal; the more of the vectors' lengths they have, the sooner it is done, and
            nothing else depends on them; shape (E, A).

    Returns:
        Of each vector, the place of the one that it falls for, -1 if it is kept; and the cosine of
        the two, 0 if it is kept; shape (N,).
    """
    num = len(vectors)
    falls, kept = np.full(num, -1, np.int64), np.zeros(num, np.int64)
    sketches = np.empty((num, axes.shape[1] + 1), np.float32)
    for first in range(0, num, _BLOCK):
        sketches[first : first + _BLOCK] = _sketches(vectors[first : first + _BLOCK], axes)
    of_kept, num_kept = np.empty_like(sketches), 0
    for first in range(0, num, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, num))
        for at in range(0, num_kept, _KEPT):
            some = slice(at, min(at + _KEPT, num_kept))
            bounds = sketches[rows] @ of_kept[some].T
            row, other = _alike(vectors, bounds, rows, kept[some], least)
            row, begins = np.unique(row, return_index=True)
            falls[rows[row]] = kept[some][other[begins]]
            rows = rows[falls[rows] < 0]
        bounds = sketches[rows] @ sketches[rows].T
        bounds[~np.tri(len(rows), k=-1, dtype=bool)] = -np.inf  # those that are no earlier
        row, other = _alike(vectors, bounds, rows, rows, least)
        row, begins = np.unique(row, return_index=True)
        for place, earlier in zip(row.tolist(), np.split(rows[other], begins[1:]), strict=False):
            earlier = earlier[falls[earlier] < 0]
            if len(earlier):
                falls[rows[place]] = earlier[0]
        rows = rows[falls[rows] < 0]
        kept[num_kept : num_kept + len(rows)] = rows
        of_kept[num_kept : num_kept + len(rows)] = sketches[rows]
        num_kept += len(rows)
    fallen = np.flatnonzero(falls >= 0)
    cosines = np.zeros(num)
    cosines[fallen] = _cosines(vectors, fallen, falls[fallen], np.float64)
    return falls, cosines


def _sketches(vectors: NDArray[np.float16], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return parts of vectors along axes, and the length of the rest; shape (N, A + 1)."""
    whole = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("ne,ne->n", whole, whole))
    found = np.empty((len(vectors), axes.shape[1] + 1), np.float32)
    found[:, :-1] = whole @ axes / np.maximum(lengths, 1e-12)[:, None]
    rest = 1.0 - np.einsum("na,na->n", found[:, :-1], found[:, :-1])
    found[:, -1] = np.sqrt(np.maximum(rest, 0.0) + _ROUNDING)
    return found


def _alike(
    vectors: NDArray[np.float16], bounds: NDArray[np.float32], left: NDArray[np.int64],
    right: NDArray[np.int64], least: float,
) -> Pairs:  # fmt: skip
    """Return the pairs of `left` and `right` that are alike, by their places there, in order.

    Args:
        vectors: shape (N, E).
        bounds: no cosine is larger; shape (num_left, num_right).
        left: rows of vectors.
        right: rows of vectors.
        least: cosine from which on two are alike.
    """
    some = np.flatnonzero(bounds.max(axis=1, initial=-np.inf) >= least - _SLACK)
    row, other = np.nonzero(bounds[some] >= least - _SLACK)
    if _PAIR * len(row) > len(some) * len(right):
        products = _directions(vectors[left[some]]) @ _directions(vectors[right]).T
        near = products[row, other]
    else:
        near = _cosines(vectors, left[some[row]], right[other], np.float32)
    is_near = near >= least - _SLACK
    row, other, near = some[row[is_near]], other[is_near], near[is_near]
    close = np.flatnonzero(near <= least + _SLACK)
    exact = _cosines(vectors, left[row[close]], right[other[close]], np.float64)
    is_alike = np.ones(len(row), bool)
    is_alike[close] = exact >= least
    return row[is_alike], other[is_alike]


def _directions(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    found = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("ne,ne->n", found, found))
    found /= np.maximum(lengths, 1e-12)[:, None]
    return found


def _cosines(
    vectors: NDArray[np.float16], left: NDArray[np.int64], right: NDArray[np.int64],
    kind: type[np.floating[Any]],
) -> NDArray[Any]:  # fmt: skip
    """Return cosines of rows in a precision, some hundred at a time."""
    found = np.empty(len(left), kind)
    for first in range(0, len(left), _BLOCK):
        a: NDArray[Any] = vectors[left[first : first + _BLOCK]].astype(kind)
        b: NDArray[Any] = vectors[right[first : first + _BLOCK]].astype(kind)
        lengths = np.sqrt(np.einsum("ne,ne->n", a, a) * np.einsum("ne,ne->n", b, b))
        found[first : first + len(a)] = np.einsum("ne,ne->n", a, b) / np.maximum(lengths, 1e-12)
    return found
