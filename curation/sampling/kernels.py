"""Compiled loops over the lists of an Arrow list array: entry ids in, counts or chances out."""

from typing import Any

from curate.compiled.kernel import compiled

__all__ = ["add_counts", "multiply_misses"]


@compiled
def add_counts(offsets: Any, values: Any, rows: Any, count: Any) -> bool:
    """Count the entry ids in the lists of chosen rows; return False for one beyond the counts.

    Args:
        offsets: of the lists; int64.
        values: entry ids; uint32.
        rows: positions of the lists; int64.
        count: added to; int64, shape (num_entries,).
    """
    for row in rows:
        for at in range(offsets[row], offsets[row + 1]):
            if values[at] >= len(count):
                return False
            count[values[at]] += 1
    return True


@compiled
def multiply_misses(offsets: Any, values: Any, rows: Any, probability: Any, out: Any) -> bool:
    """Write Π(1 − prob_i) over the list of each chosen row, in the order of the list.

    Args:
        offsets: of the lists; int64.
        values: entry ids; uint32, checked to be below the length of probability.
        rows: positions of the lists; int64.
        probability: of each entry; float64.
        out: written: float64, shape (num_rows,).

    Returns:
        False if there is an entry id beyond the probabilities.
    """
    for i in range(len(rows)):
        missed = 1.0
        for at in range(offsets[rows[i]], offsets[rows[i] + 1]):
            entry_id = values[at]
            if entry_id >= len(probability):
                return False
            missed *= 1.0 - probability[entry_id]
        out[i] = missed
    return True
