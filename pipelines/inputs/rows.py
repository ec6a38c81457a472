"""The pieces that inputs are read in: parts, batches of rows, and what could not be read."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa

from curate.files.addresses import without_secrets
from curate.files.sizes import several

__all__ = ["MAX_TEXT_BYTES", "Part", "Problem", "Rows", "Unreadable", "together"]

BATCH_ROWS = 1 << 15
BATCH_BYTES = 32 << 20
SMALL_ROWS, FEWEST_TOGETHER = 2000, 16
ROWS_TOGETHER, FILES_TOGETHER = 100_000, 1000
MAX_TEXT_BYTES = 16 << 20  # longer ones are no alt-texts, and matching takes 70 times the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of an input file.

    Attributes:
        path: the file, by the name that it is known by, which holds no secrets.
        sha256: of the whole file.
        kind: parquet, tar, jsonl, csv or tsv.
        row_groups: first and one past the last row group; None for the whole file.
        first_row: position in the file of the part's first row.
        num_rows: rows in the part; None where only reading tells.
        address: where the file is opened, if that holds secrets; it is written nowhere.
        more: further small files that are matched together with this one.
        id_prefix: the tar's name, before its keys in ids; None where the keys alone are ids.
    """

    path: str
    sha256: str
    kind: str
    row_groups: tuple[int, int] | None = None
    first_row: int = 0
    num_rows: int | None = None
    id_prefix: str | None = None
    address: str | None = field(default=None, compare=False, repr=False)
    more: "tuple[Part, ...]" = ()

    @property
    def source(self) -> str:
        """Where the file is opened."""
        return self.address or self.path

    def at(self, address: str) -> "Part":
        """Return the part of a file that is opened at an address, which may hold secrets."""
        path = without_secrets(address)
        return replace(self, path=path, address=address if address != path else None)

    def opened_at(self, addresses: Mapping[str, str]) -> "Part":
        """Return the part with the address of each of its files, by the file's path."""
        own = self.at(addresses.get(self.path, self.path))
        return replace(own, more=tuple(piece.opened_at(addresses) for piece in self.more))

    def pieces(self) -> "tuple[Part, ...]":
        """Return the part of each file in it."""
        return (replace(self, more=()), *self.more) if self.more else (self,)

    def only(self, paths: Collection[str]) -> "Part | None":
        """Return what is left of it with these files alone; None if nothing is."""
        left = [piece for piece in self.pieces() if piece.path in paths]
        return replace(left[0], more=tuple(left[1:])) if left else None

    def all_rows(self) -> int | None:
        """Return the rows of all files in it; None where only reading tells."""
        sizes = [piece.num_rows for piece in self.pieces()]
        return None if None in sizes else sum(n or 0 for n in sizes)

    def name(self) -> str:
        """Return the file's path, for messages; of several files the first, and how many more."""
        return f"{self.path} and {several(len(self.more), 'more file')}" if self.more else self.path

    def as_dict(self) -> dict[str, Any]:
        """Return the part as JSON-able values."""
        hidden = ("address", "more")
        values = {name: getattr(self, name) for name in self.__slots__ if name not in hidden}
        values["row_groups"] = list(self.row_groups) if self.row_groups else None
        if self.id_prefix is None:  # as plans had it before there was one
            del values["id_prefix"]
        more = {"more": [part.as_dict() for part in self.more]} if self.more else {}
        return {**values, **more}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Part":
        """Return the part that `as_dict` gave the values of."""
        groups = values["row_groups"]
        # Parts of one file share its name and hash: a plan may have a hundred thousand of them.
        values = {**values, **{name: sys.intern(values[name]) for name in ("path", "sha256")}}
        more = tuple(cls.from_dict(part) for part in values.get("more", ()))
        return cls(**{**values, "row_groups": tuple(groups) if groups else None, "more": more})


def together(parts: Sequence[Part], columns: Mapping[str, str] | None = None) -> list[Part]:
    """Put neighbouring small files together: beginning a part costs more than matching them.

    A function of the parts alone: files of fewer than SMALL_ROWS rows, if at least FEWEST of them
    are neighbours that have the same columns, up to ROWS_TOGETHER rows or FILES_TOGETHER files.

    Args:
        parts: of new inputs.
        columns: of each file, in words, by path; None where all have the same.

    >>> small = [Part(path=str(i), sha256="", kind="parquet", num_rows=10) for i in range(20)]
    >>> [len(part.pieces()) for part in together(small)], len(together(small[:15]))
    ([20], 15)
    """
    found: list[Part] = []
    known = columns or {}
    for (is_small, _), run in groupby(parts, lambda p: (_is_small(p), known.get(p.path))):
        members = list(run)
        if not is_small or len(members) < FEWEST_TOGETHER:
            found += members
            continue
        group: list[Part] = []
        rows = 0
        for part in members:
            group.append(part)
            rows += part.num_rows or 0
            if rows >= ROWS_TOGETHER or len(group) >= FILES_TOGETHER or part is members[-1]:
                found.append(replace(group[0], more=tuple(group[1:])))
                group, rows = [], 0
    return found


def _is_small(part: Part) -> bool:
    is_known = part.kind == "parquet" and part.num_rows is not None
    return is_known and part.first_row == 0 and (part.num_rows or 0) < SMALL_ROWS


class Problem(NamedTuple):
    """Why a row cannot be used: a word for the counts, and a sentence."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were read.

    Attributes:
        first_row: position of the first one in its file.
        batch: the columns.
        problems: why rows cannot be used that the reader knows this of, by place in the batch.
        misfits: rows whose value in a column is no string, though the column's others are, by
            column; there the value stands as JSON spells it.
    """

    first_row: int
    batch: pa.RecordBatch
    problems: Mapping[int, Problem] = field(default_factory=dict)
    misfits: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def part(self, start: int, stop: int, batch: pa.RecordBatch) -> "Rows":
        """Return neighbouring rows with what is known of them, in other columns."""
        own = range(start, stop)
        return Rows(
            self.first_row + start,
            batch,
            {i - start: problem for i, problem in self.problems.items() if i in own},
            {name: [i - start for i in at if i in own] for name, at in self.misfits.items()},
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something in a file that is no row.

    Attributes:
        row: position in the file, where it is known.
        num_rows: how many rows are lost; 1 where nobody can tell.
        reason: a word for the counts.
        detail: what the reader said.
        is_file: the rest of the file is lost with it.
    """

    row: int | None
    num_rows: int
    reason: str
    detail: str
    is_file: bool = False
