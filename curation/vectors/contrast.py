"""Counts of things by group in, what a group has more of than its share out."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["over_represented"]


def over_represented(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how surely each group has more of each thing than the others have.

    G = 2·(a·ln(a / E) + (n - a)·ln((n - a) / (n - E))), where a group has a of the n of a thing,
    and E = n · the group's share of all: the log-likelihood ratio of the thing being in the group
    or outside of it by the groups' sizes alone. 0 where there is not more than expected.

    Args:
        counts: of each thing by group; shape (N, C).
        totals: of all that is in each group; shape (C,).

    Returns:
        Shape (N, C).

    Source: Dunning 1993, "Accurate Methods for the Statistics of Surprise and Coincidence",
    section 4.

    >>> over_represented(np.array([[9, 1], [5, 5]]), np.array([500, 500])).round(2).tolist()
    [[7.36, 0.0], [0.0, 0.0]]
    """
    num = counts.sum(axis=1, keepdims=True).astype(np.float64)
    expected = num * (totals / max(1, totals.sum()))
    rest, expected_rest = num - counts, num - expected
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(counts > 0, counts * np.log(counts / expected), 0.0)
        outside = np.where(rest > 0, rest * np.log(rest / expected_rest), 0.0)
    return np.where(counts > expected, 2.0 * (inside + outside), 0.0)
