"""A set of pairs and what is asked of it in, the next pairs of a list out.

Groups of rows are looked through in their order, until there are as many as are wanted or until
the time that an answer may take is over. Then the answer says how far it came, and where to go on.
Where there is an index, languages, entries and what became of a pair are told by it, and groups
without any such pair are not read at all.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.files.remedies import carried
from curate.pipelines.browse.filters import FATES, PairFilter
from curate.pipelines.browse.indexed.index import WorkspaceIndex
from curate.pipelines.browse.pair_sets import PairSet, UnreadableError

__all__ = ["Found", "Place", "find_pairs", "parse_place"]

SECONDS = 1.5  # that looking may take
MOST = 120  # pairs of an answer
_READERS = 4
_DIGITS = 15  # of a number in a place


class Place(NamedTuple):
    """Where a pair is: its group, and its row there."""

    group: int
    row: int

    def __str__(self) -> str:
        return f"{self.group}.{self.row}"


class Found(NamedTuple):
    """Pairs that were asked for.

    Attributes:
        places: of them.
        following: where to go on; None at the end.
        looked: pairs that were looked at so far, from the beginning of the list.
        unread: of damaged files among those that were looked at, what cannot be shown and why.
    """

    places: list[Place]
    following: Place | None
    looked: int
    unread: list[str]


def parse_place(text: str) -> Place:
    """Return a place out of an address.

    Raises:
        UsageError: it is none.

    >>> parse_place("3.14")
    Place(group=3, row=14)
    """
    group, _, row = text.partition(".")
    if (
        not (group.isascii() and group.isdigit() and row.isascii() and row.isdigit())
        or max(len(group), len(row)) > _DIGITS
    ):
        raise UsageError(f"{text[:40]!r} is no place of a pair, such as 3.14")
    return Place(int(group), int(row))


def find_pairs(
    pairs: PairSet,
    index: WorkspaceIndex | None,
    wanted: PairFilter,
    start: Place | None,
    num: int,
    seconds: float = SECONDS,
) -> Found:
    """Return the next pairs that are wanted.

    Args:
        pairs: to look in.
        index: of them; None without one.
        wanted: pairs.
        start: where the last answer says to go on; None for the beginning.
        num: pairs, at most.
        seconds: that it may take, about; at least one group is looked at.

    Raises:
        UsageError: what is asked for needs an index, or is not there.
        ArtifactError: a file is gone, or one of ours is damaged.
    """
    if not 1 <= num <= MOST:
        raise UsageError(f"{num} pairs are asked for; expected 1 to {MOST}")
    if wanted.fate and (index is None or not (index.has_fate or wanted.fate == "dropped")):
        raise UsageError("nothing is balanced from these pairs, so that none is kept or left out")
    until = time.monotonic() + seconds
    start = start or Place(0, 0)
    found: list[Place] = []
    unread: list[str] = []
    candidates = _Candidates(pairs, index, wanted)
    for number in range(start.group, len(pairs.groups)):
        first = start.row if number == start.group else 0
        rows = candidates.rows(number, first)
        group = pairs.groups[number]
        if rows is None or len(rows):
            try:
                rows = _chosen(
                    pairs, wanted, number, rows, has_index=index is not None, first=first
                )
            except UnreadableError:  # those of the others are shown
                rows = np.zeros(0, np.int64)
            for row in rows.tolist():
                if len(found) == num:
                    following = Place(number, row)
                    return Found(found, following, max(0, group.first) + row, unread)
                found.append(Place(number, row))
            if number in pairs.damage:  # behind the last one that could be read
                unread.append(pairs.damage[number])
        if time.monotonic() > until and number + 1 < len(pairs.groups):
            after = pairs.groups[number + 1]
            return Found(found, Place(number + 1, 0), max(0, after.first), unread)
    return Found(found, None, pairs.num_pairs or 0, unread)


def _chosen(
    pairs: PairSet,
    wanted: PairFilter,
    number: int,
    rows: NDArray[np.int64] | None,
    *,
    has_index: bool,
    first: int,
) -> NDArray[np.int64]:
    """Return the rows of a group that are wanted, of those that may be or of all."""
    if number in pairs.unreadable:
        return np.zeros(0, np.int64)
    names = pairs.names_in(number)
    roles = pairs.roles(names or ()) if names is not None else None
    needed = None if roles is None else wanted.columns(roles, has_index=has_index)
    if needed == []:
        return np.arange(first, pairs.groups[number].rows) if rows is None else rows
    table = pairs.table(number, needed)
    if roles is None:
        roles = pairs.roles((), table.schema)
        if not wanted.columns(roles, has_index=has_index):
            return np.arange(first, table.num_rows)
    if table.num_columns == 0:
        return np.zeros(0, np.int64)
    mask = wanted.mask(table, roles, has_index=has_index)
    if rows is None:
        return first + np.flatnonzero(mask[first:])
    return rows[mask[rows]]


class _Candidates:
    """Rows of groups that may be wanted, as far as the index tells."""

    def __init__(self, pairs: PairSet, index: WorkspaceIndex | None, wanted: PairFilter) -> None:
        self._pairs, self._index, self._wanted = pairs, index, wanted
        self._lang: int | None = None
        self._postings = None
        if index is None:
            return
        langs = [one["lang"] for one in index.entries.languages]
        if wanted.lang is not None:
            index.entries.language(wanted.lang)
            self._lang = langs.index(wanted.lang)
        if wanted.entry is not None and wanted.lang is not None:
            self._postings = index.postings(wanted.lang, wanted.entry)

    def rows(self, number: int, first: int) -> NDArray[np.int64] | None:
        """Return the rows of a group from one on; None where the index does not tell."""
        index, group = self._index, self._pairs.groups[number]
        if index is None:
            return None
        start, stop = group.first + first, group.first + group.rows
        if self._postings is not None:
            rows = self._postings.between(start, stop, stop - start)
        elif self._lang is None and self._wanted.fate is None:
            return None
        else:
            rows = np.arange(start, stop)
            if self._lang is not None:
                rows = rows[index.pair_lang.read(start, stop) == self._lang]
        if self._wanted.fate is not None and len(rows):
            fates = index.pair_fate.read(start, stop)[rows - start]
            rows = rows[fates == FATES[self._wanted.fate]]
        return rows - group.first


def read_rows(
    pairs: PairSet, places: list[Place], columns: list[str] | None
) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Yield rows of places as values by column, several groups read at once.

    Raises:
        UsageError: a place is not there.
        ArtifactError: a file is gone, or damaged.
    """
    groups: dict[int, list[int]] = {}
    for place in places:
        pairs.group(place.group)
        groups.setdefault(place.group, []).append(place.row)

    def read(number: int) -> dict[int, dict[str, Any]]:
        table = pairs.table(number, columns)
        rows = groups[number]
        if max(rows) >= table.num_rows:
            raise UsageError(
                f"{pairs.label}: group {number} has {table.num_rows:,} rows; {max(rows)} is none"
            )
        return dict(zip(rows, table.take(rows).to_pylist(), strict=True))

    with ThreadPoolExecutor(_READERS) as pool:
        found = dict(zip(groups, pool.map(carried(read), groups), strict=True))
    for place in places:
        yield place, found[place.group][place.row]
