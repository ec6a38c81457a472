"""Compiled product over the lists of an Arrow list array: entry ids in, chances to miss out."""

from typing import Any

from curation.unit_keys import compiled

__all__ = ["multiply_misses"]


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
