"""The titles with the most views, in bounded memory: for wikis of millions of titles.

The views of all titles are summed in cells, by the hash of the title, so a cell has at least what
any of its titles has. Hence titles of cells below a floor need not be told apart.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.metadata.views.titles import hash_titles

__all__ = ["most_viewed"]

_NUM_CELLS = 1 << 22  # 32 MB


class ViewTables(Protocol):
    """Page views that can be read more than once."""

    def tables(self) -> Iterable[pa.Table]:
        """Yield titles and views; a title may come more than once."""


def most_viewed(views: ViewTables, num: int, num_cells: int = _NUM_CELLS) -> list[str]:
    """Return the titles with the most views, the most viewed first; ties by code point.

    Args:
        views: read two or three times.
        num: titles at most; memory grows with it, and with how many tie with the last of them.
        num_cells: a power of two. What comes out does not depend on it, but on it depends how many
            titles share a cell with one of the most viewed, and are held for nothing.
    """
    cells = np.zeros(num_cells, np.int64)
    for table, places in _placed(views, num_cells):
        np.add.at(cells, places, _counts(table))
    floor = max(1, int(np.partition(cells, -num)[-num])) if num < num_cells else 1
    best = _ranked(_totals(views, cells, floor), num)
    # The titles of the fullest cells show how many views suffice; others may have as many.
    enough = best[-1][1] if len(best) == num else 1
    if enough < floor:
        best = _ranked(_totals(views, cells, enough), num)
    return [title for title, _ in best]


def _placed(views: ViewTables, num_cells: int) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
    for table in views.tables():
        hashes = hash_titles(table.column("title")) & np.uint64(num_cells - 1)
        yield table, hashes.astype(np.int64)


def _counts(table: pa.Table) -> NDArray[Any]:
    counts: NDArray[Any] = table.column("views").to_numpy()
    return counts


def _totals(views: ViewTables, cells: NDArray[np.int64], floor: int) -> Counter[str]:
    """Sum the views of the titles in cells that reach a floor."""
    totals: Counter[str] = Counter()
    for table, places in _placed(views, len(cells)):
        rows = np.flatnonzero(cells[places] >= floor)
        titles = table.column("title").take(pa.array(rows)).to_pylist()
        for title, count in zip(titles, _counts(table)[rows].tolist(), strict=True):
            totals[title] += count
    return totals


def _ranked(totals: Counter[str], num: int) -> list[tuple[str, int]]:
    return nsmallest(num, totals.items(), key=lambda item: (-item[1], item[0]))
