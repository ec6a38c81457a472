"""How many of the most viewed titles a dump lacks: a test of the dump, by what people look at.

Exports made from the table of current revisions lack every page that was edited between the day
they are of and the day they were made (Wikimedia's task T431872), which are the most edited ones.
Nothing in such an export tells; the page views do. Pages that were renamed left a redirect, and
pages that were deleted are few among the most viewed, so little is missing of a dump that is whole.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MostViewed"]

_NUM = 1000
_NUM_EXAMPLES = 10
# `Special:Search`, and `Wikipedia:` in the language: pages of other namespaces have no space behind
# the colon, and titles of articles have one. "-" is what views of no page are counted under.
_NO_ARTICLE = r"^(?:-|[^:]+:\S.*)$"


class MostViewed:
    """The titles with the most views, and which of them are in a dump; titles come by buckets.

    Args:
        num: titles at most; those with the most views, then by code point.
    """

    def __init__(self, num: int = _NUM) -> None:
        self._num = num
        self._best = pa.table(
            {"title": pa.array([], pa.string()), "views": pa.array([], pa.int64()),
             "found": pa.array([], pa.bool_())}
        )  # fmt: skip

    def add(self, viewed: pa.Table, titles: pa.ChunkedArray) -> None:
        """Take in a bucket.

        Args:
            viewed: columns title and views, a row per title.
            titles: of articles and redirects; all that a dump has of these titles.
        """
        viewed = viewed.filter(pc.invert(pc.match_substring_regex(viewed["title"], _NO_ARTICLE)))
        found = pc.is_in(viewed["title"], pa.chunked_array(titles.chunks, pa.string()))
        rows = pa.table({"title": viewed["title"], "views": viewed["views"], "found": found})
        rows = pa.concat_tables([self._best, rows])
        order = pc.select_k_unstable(
            rows, self._num, sort_keys=[("views", "descending"), ("title", "ascending")]
        )
        self._best = rows.take(order)

    def report(self) -> dict[str, Any]:
        """Return how many titles were looked for, how many are missing, and the first of those.

        ``missing_share`` is of the titles, ``missing_views_share`` of their views.
        """
        best = self._best.sort_by([("views", "descending"), ("title", "ascending")])
        missing = best.filter(pc.invert(best["found"]))
        of_views = (pc.sum(missing["views"]).as_py() or 0) / (pc.sum(best["views"]).as_py() or 1)
        return {
            "titles": best.num_rows,
            "missing": missing.num_rows,
            "missing_share": round(missing.num_rows / max(1, best.num_rows), 4),
            "missing_views_share": round(of_views, 4),
            "examples": missing["title"].to_pylist()[:_NUM_EXAMPLES],
        }
