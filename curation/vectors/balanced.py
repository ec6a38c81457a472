"""Vectors in, centres of clusters of equal size out: balanced k-means; and who is nearest to whom.

In the fit every centre holds as many vectors of the sample as every other (one more or less), as in
the balanced clustering of MoDE; afterwards a vector simply belongs to the centre nearest to it.
Distances are Euclidean, and centres are means: they are not of unit length.

Source: Ma et al. 2024, arXiv:2404.16030, section 3.1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["balanced_assignment", "balanced_centres", "nearest_centre"]

_CANDIDATES = 16  # nearest centres that a vector may have to choose from before all are asked
_BLOCK = 1024
_SLACK = 2e-4  # of squared distances in single precision
_FEW = 1e-3  # share of the vectors that no further step is taken for


def balanced_centres(
    sample: NDArray[np.float32], num: int, *, steps: int = 50
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return centres that share vectors out evenly: Lloyd's steps with places that are limited.

    Args:
        sample: in an order that is as good as random: its first vectors are the first centres;
            shape (S, E).
        num: of centres, K; at most S.
        steps: at most; fewer where not more than one vector in a thousand changes its centre.

    Returns:
        Centres, (K, E); and of each vector the centre that it was given, (S,), of which each has
        S // K or one more.

    Raises:
        ValueError: there are fewer vectors than centres.

    >>> points = np.array([[0, 0], [9, 0], [0, 1], [9, 1], [0, 2], [2, 0]], np.float32)
    >>> centres, given = balanced_centres(points, 2)  # the last one is the nearest to spare
    >>> given.tolist(), centres[0].tolist()
    ([0, 1, 0, 1, 0, 1], [0.0, 1.0])
    """
    if not 1 <= num <= len(sample):
        raise ValueError(f"{num} centres of {len(sample)} vectors")
    centres = sample[:num].astype(np.float32)
    given = np.full(len(sample), -1, np.int64)
    for _ in range(steps):
        before = given
        given = balanced_assignment(sample, centres)
        centres = _means(sample, given, num)
        if (given != before).mean() <= _FEW:
            break
    return centres, given


def balanced_assignment(
    vectors: NDArray[np.float32], centres: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Give each vector a centre, the nearest pairs of both first, until a centre has its share.

    That is the only assignment in which no vector and centre would both rather have each other
    than what they have, so that it may be found by offers (Gale and Shapley 1962): each vector
    asks its nearest centre, each centre keeps the nearest of those that asked, and those it does
    not keep ask the next one.

    Args:
        vectors: shape (S, E).
        centres: shape (K, E); K at most S.

    Returns:
        Shape (S,); each centre occurs S // K times or, the first S % K of them, once more.
    """
    num, total = len(centres), len(vectors)
    places = np.full(num, total // num, np.int64)
    places[: total % num] += 1
    given = np.full(total, -1, np.int64)
    left, room = np.arange(total), places.copy()
    while len(left):
        there = np.flatnonzero(room)
        few = min(_CANDIDATES, len(there))
        likely, distances = _candidates(vectors[left], centres[there], few)
        found = _offers(likely, distances, room[there])
        got = found >= 0
        given[left[got]] = there[found[got]]
        room -= np.bincount(given[left[got]], minlength=num)
        left = left[~got]
    return given


def _candidates(
    vectors: NDArray[np.float32], centres: NDArray[np.float32], few: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest centres of each vector, the nearest first, and squared distances."""
    likely = np.empty((len(vectors), few), np.int64)
    near = np.empty((len(vectors), few), np.float32)
    lengths = np.einsum("ke,ke->k", centres, centres)
    for first in range(0, len(vectors), _BLOCK):
        block = vectors[first : first + _BLOCK]
        squares = lengths - 2.0 * (block @ centres.T)
        some = (
            np.argpartition(squares, few - 1, axis=1)[:, :few]
            if few < len(centres)
            else np.broadcast_to(np.arange(few), squares.shape)
        )
        distances = np.take_along_axis(squares, some, axis=1)
        order = np.lexsort((some, distances), axis=1)
        likely[first : first + len(block)] = np.take_along_axis(some, order, axis=1)
        near[first : first + len(block)] = np.take_along_axis(distances, order, axis=1)
    near += np.einsum("ne,ne->n", vectors, vectors)[:, None]
    return likely, near


def _offers(
    likely: NDArray[np.int64], distances: NDArray[np.float32], room: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the centre that each vector ends up with; -1 for those that no candidate keeps."""
    num, few = likely.shape
    asks = np.zeros(num, np.int64)  # which candidate it asks now
    is_in = np.ones(num, bool)
    while True:
        rows = np.flatnonzero(is_in)
        centre, distance = likely[rows, asks[rows]], distances[rows, asks[rows]]
        order = np.lexsort((rows, distance, centre))
        of_order = centre[order]
        begins = np.searchsorted(of_order, of_order)  # where the centre's offers begin
        refused = rows[order[np.arange(len(rows)) - begins >= room[of_order]]]
        if not len(refused):
            break
        asks[refused] += 1
        is_in[refused[asks[refused] >= few]] = False
    found = np.full(num, -1, np.int64)
    found[is_in] = likely[is_in, asks[is_in]]
    return found


def _means(vectors: NDArray[np.float32], given: NDArray[np.int64], num: int) -> NDArray[np.float32]:
    """Return the mean of the vectors of each centre, added up in their order."""
    order = np.argsort(given, kind="stable")
    counts = np.bincount(given, minlength=num)
    begins = np.cumsum(counts) - counts
    means = np.empty((num, vectors.shape[1]), np.float32)
    for centre, (begin, count) in enumerate(zip(begins.tolist(), counts.tolist(), strict=True)):
        some = vectors[order[begin : begin + count]].astype(np.float64)
        means[centre] = some.sum(axis=0) / max(count, 1)
    return means


def nearest_centre(
    vectors: NDArray[np.floating[Any]], centres: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the centre nearest to each vector, and how far it is; of two as near, the first.

    What single precision cannot tell apart is computed in double precision, element by element,
    so that the result is the same for any number of threads.

    Args:
        vectors: shape (N, E).
        centres: shape (K, E).

    Returns:
        Numbers of centres, and Euclidean distances; shape (N,).

    >>> nearest_centre(np.float16([[1, 0], [0, 1]]), np.float32([[0, 1], [0.5, 0.5]]))
    (array([1, 0], dtype=int32), array([0.70710678, 0.        ]))
    """
    found = np.empty(len(vectors), np.int32)
    distances = np.empty(len(vectors))
    lengths = np.einsum("ke,ke->k", centres, centres, dtype=np.float64).astype(np.float32)
    twice = np.ascontiguousarray(-2.0 * centres.T)
    for first in range(0, len(vectors), _BLOCK):
        block = vectors[first : first + _BLOCK].astype(np.float32)
        squares = block @ twice
        squares += lengths
        best = squares.min(axis=1)
        row, centre = np.nonzero(squares <= (best + _SLACK)[:, None])
        exact = np.sqrt(_squares(block, row, centres, centre))
        order = np.lexsort((centre, exact, row))
        _, at = np.unique(row[order], return_index=True)
        found[first : first + len(block)] = centre[order[at]]
        distances[first : first + len(block)] = exact[order[at]]
    return found, distances


def _squares(
    block: NDArray[np.float32], row: NDArray[np.int64], centres: NDArray[np.float32],
    centre: NDArray[np.int64],
) -> NDArray[np.float64]:  # fmt: skip
    """Return squared distances of rows and centres in double precision."""
    squares = np.empty(len(row))
    for first in range(0, len(row), _BLOCK):
        piece = slice(first, first + _BLOCK)
        apart = block[row[piece]].astype(np.float64) - centres[centre[piece]]
        squares[piece] = np.einsum("ne,ne->n", apart, apart)
    return squares
