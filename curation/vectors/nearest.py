"""Vectors of unit length in; centres, and the nearest centres of each, out.

Whatever depends on how a matrix product is rounded is computed again in double precision, element
by element, so that results are the same for any number of threads.
"""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import MissingExtraError

__all__ = ["CLUSTER_ROWS", "fit_centres", "nearest_centres", "num_clusters"]

CLUSTER_ROWS = 4096
_MOST_CLUSTERS = 1 << 15
_BLOCK = 1024


def num_clusters(num: int) -> int:
    """Return how many clusters so many vectors are compared in, about 4,096 in each.

    >>> num_clusters(600), num_clusters(10_000_000)
    (1, 2441)
    """
    return int(np.clip(num // CLUSTER_ROWS, 1, _MOST_CLUSTERS))


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
