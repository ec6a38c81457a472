from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.files.parquet.sealed import sealed_writer
from curate.metadata.entries import Thresholds
from curate.metadata.views import titles
from curate.metadata.views.titles import TITLES, select_titles

ALL = Thresholds(title_top_share=1)
NAMES = st.sampled_from(["A", "B", "C", "Ä", "日本", "x: y"])


def write(path, rows):
    named = [dict(zip(TITLES.names, row, strict=True)) for row in rows]
    with path.open("wb") as sink, sealed_writer(sink, TITLES) as writer:
        writer.write_table(pa.Table.from_pylist(named, TITLES))
    return path


class Items:
    def __init__(self, rows):
        self.rows = rows

    def items(self):
        return iter(self.rows)


def naive(rows, views):
    """Return the views of articles with those of the redirects that lead to them."""
    articles = {title for title, redirect in rows if redirect is None}
    redirects = {}
    for title, redirect in rows:
        if redirect is not None:
            redirects[title] = min(redirect, redirects.get(title, redirect))
    summed = Counter()
    for title, num in views:
        target = title if title in articles else redirects.get(title)
        if target in articles:
            summed[target] += num
    return articles, {title: num for title, num in summed.items() if num > 0}


@pytest.mark.parametrize("per_bucket", [500_000, 2])
@given(
    rows=st.lists(st.tuples(NAMES, st.one_of(st.none(), NAMES)), max_size=12),
    views=st.lists(st.tuples(NAMES, st.integers(0, 5)), max_size=12),
)
def test_views_are_those_of_the_definition(tmp_path_factory, per_bucket, rows, views):
    folder = tmp_path_factory.mktemp("titles")
    files = [write(folder / "a", rows[::2]), write(folder / "b", rows[1::2])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(titles, "_TITLES_PER_BUCKET", per_bucket)
        patch.setattr(titles, "_SPILL_BYTES", 50)
        patch.setattr(titles, "_ROWS", 2)
        patch.setattr(titles, "_ROWS_TO_FOLD", 3)
        found = select_titles(files, Items(views), ALL, folder / "tmp")
    articles, expected = naive(rows, views)
    assert found.num_raw == len(articles)
    assert dict(found.kept) == expected
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


def test_the_share_is_one_of_the_viewed_articles(tmp_path):
    file = write(tmp_path / "a", [(name, None) for name in "ABCDE"])
    views = Counter({"A": 4, "B": 3, "C": 2, "D": 1})
    found = select_titles([file], views, Thresholds(title_top_share=0.5), tmp_path / "tmp")
    assert found.kept == [("A", 4.0), ("B", 3.0)]
    assert found.left_out == [("C", 2.0), ("D", 1.0)]
    least = Thresholds(title_top_share=None, title_min_views=2)
    assert len(select_titles([file], views, least, tmp_path / "tmp").kept) == 3


def test_without_views_there_are_no_titles(tmp_path):
    file = write(tmp_path / "a", [("A", None)])
    found = select_titles([file], Counter(), ALL, tmp_path / "tmp")
    assert (found.num_raw, found.kept) == (1, [])
    assert select_titles([], Counter(A=1), ALL, tmp_path / "tmp").num_raw == 0


def test_more_days_of_views_take_no_more_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(titles, "_ROWS_TO_FOLD", 100)
    viewed = titles._Buckets(tmp_path / "tmp", titles._VIEWS, 1, titles._sums)
    day = pa.table([[f"T{n}" for n in range(60)], [1] * 60], schema=titles._VIEWS)
    held = []
    for _ in range(40):
        viewed.add(day)
        held.append(viewed.read(0).num_rows)
    assert max(held) <= 60 + 100
    assert set(titles._sums(viewed.read(0)).column("views").to_pylist()) == {40}
