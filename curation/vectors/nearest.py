"""Vectors of unit length in; centres, the nearest centres of each, and near-duplicates out.

Whatever depends on how a matrix product is rounded is computed again in double precision, element
by element, so that results are the same for any number of threads.
"""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import MissingExtraError

__all__ = ["fall_for_earlier", "fit_centres", "nearest_centres", "num_clusters"]

_CLUSTER_ROWS = 4096
_MOST_CLUSTERS = 1 << 15
_SLACK = 1e-4  # of products in single precision
_BLOCK = 1024


def num_clusters(num: int) -> int:
    """Return how many clusters so many vectors are compared in, about 4,096 in each.

    >>> num_clusters(600), num_clusters(10_000_000)
    (1, 2441)
    """
    return int(np.clip(num // _CLUSTER_ROWS, 1, _MOST_CLUSTERS))


def fit_centres(
    sample: NDArray[np.float32], num: int, *, seed: int, steps: int = 10
) -> NDArray[np.float32]:
    """Return centres of vectors: k-means on the sphere, by faiss, on one thread.

    Args:
        sample: of unit length, shape (S, E).
        num: of centres; more than S vectors have no more than S.
        seed: of the first centres.
        steps: of k-means.

    Returns:
        Of unit length, shape (min(num, S), E).

    Raises:
        MissingExtraError: faiss is not installed.
    """
    num = min(num, len(sample))
    if num <= 1:
        mean = sample.mean(axis=0, dtype=np.float64, keepdims=True)
        return np.asarray(mean / max(np.linalg.norm(mean), 1e-12), dtype=np.float32)
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        means = faiss.Kmeans(
            sample.shape[1], num, niter=steps, seed=seed, spherical=True, verbose=False,
            min_points_per_centroid=1, max_points_per_centroid=len(sample),
        )  # fmt: skip
        means.train(np.ascontiguousarray(sample))
    finally:
        faiss.omp_set_num_threads(before)
    return np.asarray(means.centroids, dtype=np.float32)


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ModuleNotFoundError as error:
        raise MissingExtraError("k-means over vectors", "dedup") from error


def nearest_centres(
    vectors: NDArray[np.float16] | NDArray[np.float32], centres: NDArray[np.float32], num: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the nearest centres of each vector, the nearest first; of two as near, the first.

    Args:
        vectors: of unit length, shape (N, E).
        centres: of unit length, shape (K, E).
        num: of them; no more than K are there.

    Returns:
        Numbers of centres, and cosines; shape (N, min(num, K)).
    """
    num = min(num, len(centres))
    found = np.empty((len(vectors), num), np.int32)
    cosines = np.empty((len(vectors), num))
    few = min(num + 2, len(centres))
    exact_centres = centres.astype(np.float64)
    for first in range(0, len(vectors), _BLOCK):
        block = vectors[first : first + _BLOCK].astype(np.float32)
        products = block @ centres.T
        likely = (
            np.argpartition(-products, few - 1, axis=1)[:, :few]
            if few < len(centres)
            else np.broadcast_to(np.arange(few), products.shape)
        )
        likely = np.sort(likely, axis=1)
        exact = np.einsum("ne,nke->nk", block.astype(np.float64), exact_centres[likely])
        order = np.argsort(-exact, axis=1, kind="stable")[:, :num]
        found[first : first + len(block)] = np.take_along_axis(likely, order, axis=1)
        cosines[first : first + len(block)] = np.take_along_axis(exact, order, axis=1)
    return found, cosines


def fall_for_earlier(
    vectors: NDArray[np.float16], least: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Go through vectors in their order; each falls for the first one kept that it is like.

    Args:
        vectors: of unit length, the best first; shape (N, E).
        least: cosine from which on two are alike.

    Returns:
        Of each vector, the place of the one that it falls for, -1 if it is kept; and the cosine of
        the two, 0 if it is kept; shape (N,).
    """
    num = len(vectors)
    falls, cosines = np.full(num, -1, np.int64), np.zeros(num)
    kept = np.zeros(0, np.int64)
    for first in range(0, num, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, num))
        for at in range(0, len(kept), 8 * _BLOCK):
            some = kept[at : at + 8 * _BLOCK]
            open_rows = rows[falls[rows] < 0]
            if not len(open_rows):
                break
            near = _products(vectors, open_rows, some) >= least - _SLACK
            _take_first(vectors, open_rows, some, near, least, falls, cosines)
        open_rows = rows[falls[rows] < 0]
        near = np.triu(_products(vectors, open_rows, open_rows) >= least - _SLACK, 1)
        for place in np.flatnonzero(near.any(axis=0)).tolist():
            row = open_rows[place]
            earlier = open_rows[np.flatnonzero(near[:, place])]
            earlier = earlier[falls[earlier] < 0]
            exact = _exact(vectors, np.full(len(earlier), row), earlier)
            hits = np.flatnonzero(exact >= least)
            if len(hits):
                falls[row], cosines[row] = earlier[hits[0]], exact[hits[0]]
        kept = np.concatenate([kept, rows[falls[rows] < 0]])
    return falls, cosines


def _products(
    vectors: NDArray[np.float16], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float32]:
    products: NDArray[np.float32] = (
        vectors[left].astype(np.float32) @ vectors[right].astype(np.float32).T
    )
    return products


def _take_first(
    vectors: NDArray[np.float16], rows: NDArray[np.int64], kept: NDArray[np.int64],
    near: NDArray[np.bool_], least: float, falls: NDArray[np.int64], cosines: NDArray[np.float64],
) -> None:  # fmt: skip
    """Have rows fall for the first kept one that is near enough, exactly."""
    at, of = np.nonzero(near)
    if not len(at):
        return
    exact = _exact(vectors, rows[at], kept[of])
    hits = np.flatnonzero(exact >= least)
    _, first = np.unique(at[hits], return_index=True)
    chosen = hits[first]
    falls[rows[at[chosen]]] = kept[of[chosen]]
    cosines[rows[at[chosen]]] = exact[chosen]


def _exact(
    vectors: NDArray[np.float16], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return cosines in double precision, some thousand at a time."""
    found = np.empty(len(left))
    for first in range(0, len(left), 4 * _BLOCK):
        a, b = (
            vectors[one[first : first + 4 * _BLOCK]].astype(np.float64) for one in (left, right)
        )
        lengths = np.sqrt(np.einsum("ne,ne->n", a, a) * np.einsum("ne,ne->n", b, b))
        found[first : first + len(a)] = np.einsum("ne,ne->n", a, b) / np.maximum(lengths, 1e-12)
    return found
