"""Vectors in, a tree of clusters out; and how many vectors each of its leaves is to keep.

Clusters of k-means are where vectors are dense. Clusters of their centres, and again of those, are
ever more evenly spread over what vectors there are, so that a budget that is shared out evenly from
the top of the tree down gives what is rare its part.

Source: Vo et al. 2024, arXiv:2405.15613, sections 3.2 to 3.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.curation.vectors.nearest import fit_centres, nearest_centres

__all__ = ["Level", "fit_tree", "leaf_budgets", "share_out", "sizes_of_levels"]


@dataclass(frozen=True, slots=True)
class Level:
    """Clusters of a level.

    Attributes:
        centres: of unit length, float32, shape (K, E).
        parent: of each, its cluster in the next level; zeros in the last one; int64, shape (K,).
    """

    centres: NDArray[np.float32]
    parent: NDArray[np.int64]


def fit_tree(
    sample: NDArray[np.float32], nums: Sequence[int], *, seed: int, resample: int = 0
) -> list[Level]:
    """Fit a tree from its leaves up: k-means, then k-means of its centres, and so on.

    Args:
        sample: of unit length, shape (S, E).
        nums: clusters of each level, the leaves first; descending, at most S.
        seed: of the first centres.
        resample: how often the clusters of a level are fitted again to the vectors nearest to
            them, half of the mean number from each, as many from sparse ones as from dense ones.

    Returns:
        A level for each of `nums`.

    Raises:
        MissingExtraError: faiss is not installed.
    """
    found: list[NDArray[np.float32]] = []
    points = sample
    for num in nums:
        centres = fit_centres(points, num, seed=seed)
        for _ in range(resample if num < len(points) else 0):
            centres = fit_centres(_near_centres(points, centres), num, seed=seed)
        found.append(centres)
        points = centres
    levels = []
    for at, centres in enumerate(found):
        parent = np.zeros(len(centres), np.int64)
        if at + 1 < len(found):
            parent = _nearest(centres, found[at + 1])[0]
        levels.append(Level(centres, parent))
    return levels


def _nearest(
    points: NDArray[np.float32], centres: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    numbers, cosines = nearest_centres(points, centres, 1)
    return numbers[:, 0].astype(np.int64), cosines[:, 0]


def _near_centres(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return of each cluster the points nearest to its centre, at most half of the mean number."""
    cluster, cosine = _nearest(points, centres)
    most = max(1, -(-len(points) // (2 * len(centres))))
    order = np.lexsort((-cosine, cluster))
    begins = np.searchsorted(cluster[order], cluster[order])
    chosen = np.sort(order[np.arange(len(order)) - begins < most])
    # Enough for as many centres, whatever clusters are empty.
    return points[chosen] if len(chosen) >= len(centres) else points


def sizes_of_levels(levels: Sequence[Level], sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the vectors in each cluster of each level, given those of the leaves."""
    found = [sizes]
    for level, above in zip(levels[:-1], levels[1:], strict=True):
        num = len(above.centres)
        found.append(np.bincount(level.parent, weights=found[-1], minlength=num).astype(np.int64))
    return found


def share_out(sizes: NDArray[np.int64], budget: float) -> NDArray[np.float64]:
    """Share a budget out evenly; what a cluster does not have, the others get.

    Each gets min(n, size) with the one n for which these add up to the budget.

    Args:
        sizes: shape (K,); >= 0.
        budget: >= 0; more than there is gives each all it has.

    Returns:
        Shape (K,).

    >>> share_out(np.array([100, 3, 0, 50]), 23.0).tolist()
    [10.0, 3.0, 0.0, 10.0]
    """
    order = np.argsort(sizes, kind="stable")
    ascending = sizes[order].astype(np.float64)
    smaller = np.concatenate([[0.0], np.cumsum(ascending)[:-1]])
    left = np.arange(len(sizes), 0, -1)
    # The total if n is the size of each in turn; n lies before the first that is too large.
    totals = smaller + ascending * left
    at = int(np.searchsorted(totals, budget, side="left"))
    if at == len(sizes):
        return sizes.astype(np.float64)
    even = (budget - smaller[at]) / left[at]
    return np.asarray(np.minimum(sizes, even), np.float64)


def leaf_budgets(
    levels: Sequence[Level], sizes: NDArray[np.int64], budget: float
) -> NDArray[np.float64]:
    """Return how many vectors each leaf is to keep: a budget, shared out level by level.

    Args:
        levels: of the tree, the leaves first.
        sizes: vectors in each leaf; int64, shape (K,).
        budget: vectors to keep in all.

    Returns:
        Shape (K,), each at most its size; the larger the budget, the larger each of them.

    >>> centres = np.zeros((3, 2), np.float32)
    >>> leaves, top = Level(centres, np.array([0, 0, 1])), Level(centres[:2], np.array([0, 0]))
    >>> leaf_budgets([leaves, top], np.array([90, 6, 40]), 40.0).tolist()
    [14.0, 6.0, 20.0]
    """
    of_level = sizes_of_levels(levels, sizes)
    budgets = share_out(of_level[-1], budget)
    for level, inside in zip(levels[-2::-1], of_level[-2::-1], strict=True):
        shares = np.zeros(len(inside))
        for cluster, of_cluster in enumerate(budgets):
            children = np.flatnonzero(level.parent == cluster)
            shares[children] = share_out(inside[children], float(of_cluster))
        budgets = shares
    return budgets
