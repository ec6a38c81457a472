import tracemalloc
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from curate.metadata.views.most_viewed import most_viewed


@dataclass
class Days:
    """Views of some days, as tables."""

    days: list[list[tuple[str, int]]]

    def tables(self):
        for rows in self.days:
            titles, views = zip(*rows, strict=True) if rows else ((), ())
            yield pa.table({"title": pa.array(titles, "utf8"), "views": pa.array(views, "i8")})


def naive(days, num):
    totals = Counter()
    for rows in days:
        for title, views in rows:
            totals[title] += views
    return [t for t, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:num]]


def test_the_most_viewed_come_first_and_ties_by_code_point():
    views = Days([[("b", 2), ("a", 1), ("c", 5)], [], [("a", 1), ("é", 2)]])
    assert most_viewed(views, 3) == ["c", "a", "b"]
    assert most_viewed(views, 99) == ["c", "a", "b", "é"]
    assert most_viewed(Days([]), 3) == []


@pytest.mark.parametrize("num", [1, 7, 60, 400])
@pytest.mark.parametrize("num_cells", [1, 8, 64, 1 << 12])
def test_cells_that_many_titles_share_change_nothing(num, num_cells):
    rng = np.random.default_rng(num)
    days = [
        [(f"T{title}", int(views)) for title, views in enumerate(rng.zipf(1.5, 300) % 1000 + 1)]
        for _ in range(3)
    ]
    assert most_viewed(Days(days), num, num_cells) == naive(days, num)


@dataclass
class Many:
    """A hundred thousand titles on each of three days, a table at a time."""

    def tables(self):
        for start in range(0, 300_000, 10_000):
            numbers = np.arange(start, start + 10_000) % 100_000
            titles = pa.array(numbers).cast(pa.string())
            yield pa.table(
                {"title": titles, "views": 1 + np.where(numbers < 99, 1000, numbers % 9)}
            )


def test_titles_of_few_views_are_not_held():
    """Held by title, they would take over 5 MB."""
    most_viewed(Days([[("compiled", 1)]]), 1)
    tracemalloc.start()
    try:
        found = most_viewed(Many(), 9, num_cells=1 << 14)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == sorted(map(str, range(99)))[:9]
    assert peak < 2_000_000
