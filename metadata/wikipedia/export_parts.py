"""Which pages count in which part of an export: each page once, as the names of the parts say.

A part's name has the ids of its first and last page, and parts lie side by side; but a page that is
too large to share a part has one of its own, in the middle of another's. So where a page counts
follows from its id and the names alone, and not from what else was read before.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from curate.errors import InputError
from curate.metadata.wikipedia.dump_names import DumpName, dump_name

__all__ = ["PageSpan", "page_spans", "require_apart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSpan:
    """The pages of a part; picklable.

    Attributes:
        first: id of the first page.
        last: id of the last page.
        without: ids of pages in between that have a part of their own, ascending.
    """

    first: int
    last: int
    without: tuple[int, ...] = ()

    def holds(self, page_id: int) -> bool:
        """Tell whether a page counts in this part."""
        at = bisect_left(self.without, page_id)
        is_elsewhere = at < len(self.without) and self.without[at] == page_id
        return self.first <= page_id <= self.last and not is_elsewhere


def page_spans(paths: Iterable[str]) -> dict[str, PageSpan]:
    """Return the pages of each part of an export, by path; nothing of other files.

    Args:
        paths: files of one wiki, or of wikis that are merged.

    Raises:
        InputError: parts overlap.
    """
    by_wiki: dict[tuple[str, str], dict[str, DumpName]] = {}
    for path in paths:
        found = dump_name(path.rsplit("/", 1)[-1])
        if found is not None and found.layout == "exports":
            by_wiki.setdefault((found.wiki, found.date), {})[path] = found
    spans: dict[str, PageSpan] = {}
    for parts in by_wiki.values():
        require_apart(parts)
        alone = sorted(f.first_page or 0 for f in parts.values() if _is_alone(f))
        for path, found in parts.items():
            first, last = found.first_page or 0, found.last_page or 0
            inside = () if _is_alone(found) else tuple(i for i in alone if first <= i <= last)
            spans[path] = PageSpan(first=first, last=last, without=inside)
    return spans


def _is_alone(found: DumpName) -> bool:
    return found.last_revision is not None


def require_apart(parts: Mapping[str, DumpName]) -> None:
    """Refuse parts of one export that overlap: who wrote them knows where a page is, not we.

    A page in a part of its own may lie between the first and the last page of another.

    Raises:
        InputError: names two that do, or one whose last page is before its first.
    """
    before: tuple[str, DumpName] | None = None
    ranges = [(name, found) for name, found in parts.items() if not _is_alone(found)]
    for name, found in sorted(ranges, key=lambda item: (item[1].first_page or 0, item[0])):
        if (found.last_page or 0) < (found.first_page or 0):
            raise InputError(f"{name}: no part of an export; its last page is before its first")
        if before is not None and (found.first_page or 0) <= (before[1].last_page or 0):
            raise InputError(
                f"{before[0]} and {name} both have page {found.first_page}: parts of one export do "
                "not overlap, so one of them is of another making. Remove both and fetch them "
                "again, or name another --dump-date."
            )
        before = name, found
