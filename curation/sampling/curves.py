"""Entry counts in, the cumulative curve of balancing out: few points of it, whatever the size.

Entries of equal count are one group. Groups of several languages merge into those of all, and a
curve drawn through the ends of groups does not depend on how equal entries are ordered.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CountGroups", "cumulative_curve", "group_counts", "merge_groups"]

_SMALL = 1 << 16  # counts below are told apart by counting them, which is faster than sorting


class CountGroups(NamedTuple):
    """Entries by how many pairs they match; int64, shape (num_groups,).

    Attributes:
        counts: pairs matched per entry, ascending, each value once.
        entries: entries with that count.
        slots: Σ min(count, t) over them.
        kept: Σ over them of kept pairs that match.
    """

    counts: NDArray[np.int64]
    entries: NDArray[np.int64]
    slots: NDArray[np.int64]
    kept: NDArray[np.int64]


def group_counts(
    entry_count: NDArray[np.int64], kept_count: NDArray[np.int64], t: int | None
) -> CountGroups:
    """Group the entries of a language by their count.

    Args:
        entry_count: pairs matched per entry; shape (num_entries,).
        kept_count: kept pairs per entry; same shape.
        t: threshold in pairs; None if nothing matched.

    >>> group_counts(np.array([0, 5, 1, 1]), np.array([0, 3, 1, 1]), t=2).slots.tolist()
    [0, 2, 2]
    """
    is_small = entry_count < _SMALL
    small = entry_count[is_small]
    small_entries = np.bincount(small, minlength=1)
    counts = np.flatnonzero(small_entries)
    rest, inverse = np.unique(entry_count[~is_small], return_inverse=True)
    entries = np.r_[small_entries[counts], np.bincount(inverse, minlength=len(rest))]
    kept = np.r_[
        _sum_by(small, kept_count[is_small], len(small_entries))[counts],
        _sum_by(inverse, kept_count[~is_small], len(rest)),
    ]
    counts = np.r_[counts, rest].astype(np.int64)
    capped = counts if t is None else np.minimum(counts, t)
    return CountGroups(counts, entries.astype(np.int64), capped * entries, kept)


def merge_groups(several: Sequence[CountGroups]) -> CountGroups:
    """Return the groups of the entries of all.

    >>> one = group_counts(np.array([1, 2]), np.array([1, 2]), t=2)
    >>> merge_groups([one, one]).entries.tolist()
    [2, 2]
    """
    if not several:
        return CountGroups(*(np.zeros(0, np.int64) for _ in range(4)))
    count, inverse = np.unique(np.concatenate([g.counts for g in several]), return_inverse=True)
    summed = [
        _sum_by(inverse, np.concatenate([g[at] for g in several]), len(count)) for at in (1, 2, 3)
    ]
    return CountGroups(count, *summed)


def _sum_by(inverse: NDArray[np.intp], values: NDArray[np.int64], num: int) -> NDArray[np.int64]:
    # Sums are below 2^53 pairs, where float64 counts exactly.
    return np.bincount(inverse, weights=values, minlength=num).astype(np.int64)


def cumulative_curve(groups: CountGroups, num_points: int) -> dict[str, list[int]]:
    """Return points of the cumulative curve over entries, from the rarest to the most frequent.

    Points lie at ends of groups, spread evenly over the way that the entries and the three sums
    go together, so that neither the flat tail nor the steep head loses its shape.

    Args:
        groups: of one language or of all.
        num_points: at most so many after the origin; >= 1.

    Returns:
        entries (so many entries have at most that count), and the sums over them: matches, slots
        and kept; each begins with 0.

    Source: Xu et al. 2023, arXiv:2309.16671, Figure 2.
    """
    sums = [np.cumsum(column) for column in groups[1:]]
    matches = np.cumsum(groups.counts * groups.entries)
    columns = dict(zip(("entries", "slots", "kept"), sums, strict=True)) | {"matches": matches}
    if not len(matches):
        return {name: [0] for name in ("entries", "matches", "slots", "kept")}
    way = np.sum([column / max(1, column[-1]) for column in columns.values()], axis=0)
    steps = np.linspace(0, way[-1], num_points + 1)[1:]
    chosen = np.unique(np.minimum(np.searchsorted(way, steps * (1 - 1e-12)), len(way) - 1))
    return {
        name: [0, *columns[name][chosen].tolist()]
        for name in ("entries", "matches", "slots", "kept")
    }
