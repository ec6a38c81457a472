"""The pieces that inputs are read in: parts, batches of rows, and what could not be read."""

import sys
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from curate.files.addresses import without_secrets

__all__ = ["Part", "Rows", "Unreadable"]

BATCH_ROWS = 1 << 15
BATCH_BYTES = 32 << 20


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
    """

    path: str
    sha256: str
    kind: str
    row_groups: tuple[int, int] | None = None
    first_row: int = 0
    num_rows: int | None = None
    address: str | None = field(default=None, compare=False, repr=False)

    @property
    def source(self) -> str:
        """Where the file is opened."""
        return self.address or self.path

    def at(self, address: str) -> "Part":
        """Return the part of a file that is opened at an address, which may hold secrets."""
        path = without_secrets(address)
        return replace(self, path=path, address=address if address != path else None)

    def as_dict(self) -> dict[str, Any]:
        """Return the part as JSON-able values."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "address"}
        values["row_groups"] = list(self.row_groups) if self.row_groups else None
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Part":
        """Return the part that `as_dict` gave the values of."""
        groups = values["row_groups"]
        # Parts of one file share its name and hash: a plan may have a hundred thousand of them.
        values = {**values, **{name: sys.intern(values[name]) for name in ("path", "sha256")}}
        return cls(**{**values, "row_groups": tuple(groups) if groups else None})


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were read: the position of the first one in its file, and the columns."""

    first_row: int
    batch: pa.RecordBatch


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
