"""Titles of a dump and page views in, the most viewed articles out, in bounded memory.

Views of a redirect are those of the article it leads to. Titles are sorted into buckets by their
hash, so that what belongs together is in one bucket, and one bucket is in memory at a time: first
by the title that was looked at, then by the article it leads to.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.metadata.best import NUM_EXAMPLES, Best, Selected, cut
from curate.metadata.entries import Thresholds, limit_of
from curate.metadata.ngrams.kernels import hash_strings
from curate.metadata.ngrams.runs import column, num_rows, open_counts
from curate.metadata.views.missing import MostViewed

__all__ = ["TITLES", "Views", "hash_titles", "select_titles"]

_TITLES_PER_BUCKET = 500_000
_MAX_BUCKETS = 256
_ROWS = 100_000
# Views of a title come once for each day: so many rows are added up before more are taken in.
_ROWS_TO_FOLD = 1_000_000
_SPILL_BYTES = 64 << 20
TITLES = pa.schema([("title", pa.string()), ("redirect", pa.string())])
_VIEWS = pa.schema([("title", pa.string()), ("views", pa.int64())])


class Views(Protocol):
    """Page views by title: a counter, or whatever is too large for one."""

    def items(self) -> Iterable[tuple[str, int]]:
        """Yield titles and views; a title may come more than once."""


class _Buckets:
    """Rows by the hash of their title; on the disk if there are many titles.

    Args:
        path: what the files are called, without what tells them apart.
        schema: of the rows.
        num: buckets; a single one stays in memory.
        fold: makes one row of those that belong together; None where every row is needed.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        num: int,
        fold: Callable[[pa.Table], pa.Table] | None = None,
    ) -> None:
        self._path = path
        self._schema = schema
        self._num = num
        self._fold = fold
        self._num_unfolded = 0
        self._rows: list[list[pa.Table]] = [[] for _ in range(num)]
        self._waiting_bytes = 0
        self._files: list[list[Path]] = [[] for _ in range(num)]

    def add(self, table: pa.Table) -> None:
        """Take in rows with a title."""
        if self._num == 1:
            self._rows[0].append(table)
            self._num_unfolded += table.num_rows
            if self._fold is not None and self._num_unfolded > _ROWS_TO_FOLD:
                self._rows[0] = [self._fold(self.read(0))]
                self._num_unfolded = 0
            return
        of_row = hash_titles(table.column("title")) % np.uint64(self._num)
        order = np.argsort(of_row, kind="stable")
        ends = np.searchsorted(of_row[order], np.arange(self._num + 1))
        table = table.take(order)
        for bucket in np.flatnonzero(np.diff(ends)).tolist():
            self._rows[bucket].append(table.slice(ends[bucket], ends[bucket + 1] - ends[bucket]))
        self._waiting_bytes += table.nbytes
        if self._waiting_bytes > _SPILL_BYTES:
            self._spill()

    def _spill(self) -> None:
        for bucket, rows in enumerate(self._rows):
            if rows:
                name = f"{self._path.name}.{bucket}.{len(self._files[bucket])}.parquet"
                self._files[bucket].append(self._path.with_name(name))
                pq.write_table(pa.concat_tables(rows), self._files[bucket][-1])
                rows.clear()
        self._waiting_bytes = 0

    def read(self, bucket: int) -> pa.Table:
        """Return the rows of a bucket."""
        tables = [pq.read_table(file) for file in self._files[bucket]]
        return pa.concat_tables([self._schema.empty_table(), *tables, *self._rows[bucket]])

    def remove(self) -> None:
        """Remove what is on the disk."""
        for file in chain.from_iterable(self._files):
            file.unlink()


def hash_titles(strings: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Return a hash of each string; shape (num_strings,)."""
    array = pc.cast(strings, pa.large_string()).combine_chunks()
    _, offsets, data = array.buffers()
    hashes = np.empty(len(array), np.uint64)
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    hash_strings(ends, np.frombuffer(data or b"\0", np.uint8), hashes)
    return hashes


def select_titles(
    files: Sequence[Path],
    views: Views,
    limits: Thresholds,
    temporary: Path,
    most_viewed: MostViewed | None = None,
) -> Selected:
    """Select articles by their views and those of the redirects that lead to them.

    Args:
        files: columns title and redirect, which is null for an article; an article comes before a
            redirect of its title, which another wiki may have.
        views: by title.
        limits: what is kept.
        temporary: what files that come and go are called, without what tells them apart.
        most_viewed: if given, what was looked at is added to it.
    """
    num = min(_MAX_BUCKETS, 1 + sum(map(num_rows, files)) // _TITLES_PER_BUCKET)
    titles, viewed, led = (
        _Buckets(temporary.with_name(f"{temporary.name}.{name}"), schema, num, fold)
        for name, schema, fold in (
            ("titles", TITLES, None), ("viewed", _VIEWS, _sums), ("led", _VIEWS, _sums),
        )
    )  # fmt: skip
    for file in files:
        with open_counts(file) as opened:
            for batch in opened.iter_batches(_ROWS, use_threads=False):
                titles.add(pa.Table.from_batches([batch]))
    for table in _view_tables(views):
        viewed.add(table)
    num_articles = 0
    for bucket in range(num):
        there, seen = titles.read(bucket), _sums(viewed.read(bucket))
        if most_viewed is not None:
            most_viewed.add(seen, there.column("title"))
        num_articles += _lead(there, seen, led)
    best = Best(None if limits.title_max is None else limits.title_max + NUM_EXAMPLES)
    num_viewed = 0
    for bucket in range(num):
        articles = _articles(titles.read(bucket))
        summed = _sums(led.read(bucket))
        summed = summed.filter(pc.is_in(summed.column("title"), articles))
        summed = summed.filter(pc.greater(summed.column("views"), 0))
        num_viewed += summed.num_rows
        names = np.array(summed.column("title").to_pylist(), dtype=object)
        best.add(column(summed, "views").astype(np.float64), names)
    for buckets in (titles, viewed, led):
        buckets.remove()
    scores, names = best.result()
    limit = limit_of(limits.title_top_share, num_viewed, limits.title_max)
    candidates = list(zip(names.tolist(), scores.tolist(), strict=True))
    return cut(num_articles, candidates, limit, limits.title_min_views or 0)


def _lead(titles: pa.Table, viewed: pa.Table, led: _Buckets) -> int:
    """Put the views of a bucket to the articles they lead to; return the number of its articles."""
    articles = _articles(titles)
    is_article = pc.is_in(viewed.column("title"), articles)
    led.add(viewed.filter(is_article))
    redirects = titles.filter(pc.is_valid(titles.column("redirect")))
    # Merged wikis may lead a title to different articles: the choice must not depend on the order.
    redirects = redirects.group_by("title", use_threads=False).aggregate([("redirect", "min")])
    others = viewed.filter(pc.invert(is_article))
    rows = pc.index_in(others.column("title"), redirects.column("title").combine_chunks())
    leads = pc.is_valid(rows)
    targets = redirects.column("redirect_min").take(rows.filter(leads))
    led.add(pa.table([targets, others.column("views").filter(leads)], schema=_VIEWS))
    return len(articles)


def _articles(titles: pa.Table) -> pa.Array:
    found = titles.filter(pc.is_null(titles.column("redirect")))
    return pc.unique(found.column("title"))


def _sums(table: pa.Table) -> pa.Table:
    summed = table.group_by("title", use_threads=False).aggregate([("views", "sum")])
    return summed.select(["title", "views_sum"]).rename_columns(["title", "views"])


def _view_tables(views: Views) -> Iterator[pa.Table]:
    items = iter(views.items())
    while rows := list(islice(items, _ROWS)):
        yield pa.table([list(column) for column in zip(*rows, strict=True)], schema=_VIEWS)
