"""Pairs of things that are alike in; which of each group stays, and what the others fall for, out.

A thing's rank says which of two stays: the smaller one. Links lead from a thing to one of a smaller
rank, so that following them ends at a thing that stays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.compiled.kernel import compiled

__all__ = ["NO_LINK", "Components", "follow_links", "link_groups"]

NO_LINK = -1


def link_groups(order: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Link the things of each group to the first of it.

    Args:
        order: things by their rank, the first one stays; shape (num_things,).
        group: of each thing, -1 for those that are in none; shape (num_things,).

    Returns:
        Of each thing, the one that it falls for; NO_LINK if it stays; shape (num_things,).

    >>> link_groups(np.array([2, 0, 1, 3]), np.array([5, 5, 5, -1])).tolist()
    [2, 2, -1, -1]
    """
    links = np.full(len(group), NO_LINK, np.int64)
    known = order[group[order] >= 0]
    _, first, inverse = np.unique(group[known], return_index=True, return_inverse=True)
    best = known[first][inverse]
    falls = known != best
    links[known[falls]] = best[falls]
    return links


class Components:
    """Things that are joined, pair by pair, by union-find.

    Args:
        rank: of each thing, unique; shape (num_things,).

    >>> found = Components(np.array([3, 1, 2, 0]))
    >>> found.join(np.array([0, 1]), np.array([1, 2]))
    >>> found.links().tolist()
    [1, -1, 1, -1]
    """

    def __init__(self, rank: NDArray[np.int64]) -> None:
        self._rank = np.ascontiguousarray(rank)
        self._roots = np.arange(len(rank))

    def join(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Join each of some things with another one; shape (num_pairs,)."""
        _join(self._rank, np.ascontiguousarray(left), np.ascontiguousarray(right), self._roots)

    def links(self) -> NDArray[np.int64]:
        """Return of each thing the one of its component with the smallest rank; NO_LINK of that."""
        return np.where(self._roots == np.arange(len(self._roots)), NO_LINK, self._roots)


@compiled
def _join(rank: Any, left: Any, right: Any, roots: Any) -> None:
    """Join components pair by pair, the one of the smaller rank above; then flatten them."""
    for at in range(len(left)):
        a, b = left[at], right[at]
        while roots[a] != a:
            roots[a] = roots[roots[a]]
            a = roots[a]
        while roots[b] != b:
            roots[b] = roots[roots[b]]
            b = roots[b]
        if a != b:
            if rank[a] < rank[b]:
                roots[b] = a
            else:
                roots[a] = b
    for thing in range(len(roots)):
        root = thing
        while roots[root] != root:
            root = roots[root]
        roots[thing] = root


def follow_links(links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the thing that stays at the end of each thing's links; of one that stays, itself.

    Args:
        links: as above; without circles; shape (num_things,).

    >>> follow_links(np.array([1, 2, -1])).tolist()
    [2, 2, 2]
    """
    ends = np.where(links < 0, np.arange(len(links)), links)
    while True:
        further = ends[ends]
        if np.array_equal(further, ends):
            return ends
        ends = further
