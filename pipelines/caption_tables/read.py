"""Rows of caption tables in, checked captions out; what cannot be used is counted by reason."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import InputError
from curate.pipelines.caption_tables.names import CaptionTable
from curate.pipelines.inputs.readers import input_schema, plan_parts, read_part
from curate.pipelines.inputs.records import ColumnNames, Records, check_columns, to_records
from curate.pipelines.inputs.rows import Unreadable

__all__ = ["MAX_CHARACTERS", "CaptionRows", "check_tables", "read_captions"]

MAX_CHARACTERS = 8_000  # dense captions of large models have about 2,000
_ID_COLUMNS = ("pair_id", "uid", "key", "uuid", "id", "image_key")
_SOURCE = "source"


@dataclass(frozen=True, slots=True)
class CaptionRows:
    """Captions that can be used.

    Attributes:
        pair_ids: string, without nulls; shape (n,).
        texts: string, without nulls; shape (n,).
        sources: string, without nulls; shape (n,).
        langs: string, with nulls; shape (n,).
    """

    pair_ids: pa.StringArray
    texts: pa.StringArray
    sources: pa.StringArray
    langs: pa.StringArray


def check_tables(tables: Sequence[CaptionTable]) -> None:
    """Refuse tables without the columns that captions need.

    Raises:
        InputError: there is one.
    """
    for table in tables:
        schema = input_schema(table.path)
        if schema is not None:
            check_columns(schema, _columns(schema, table.path), table.path)


def _columns(schema: pa.Schema, path: str) -> ColumnNames:
    found = next((name for name in _ID_COLUMNS if name in schema.names), None)
    if found is None:
        raise InputError(
            f"{path}: no column of pair ids; expected one of {', '.join(_ID_COLUMNS)}, it has "
            f"{', '.join(schema.names) or 'no columns'}"
        )
    return ColumnNames(uid=found)


def read_captions(tables: Sequence[CaptionTable], dropped: Counter[str]) -> Iterator[CaptionRows]:
    """Yield the captions of tables, batch by batch.

    Args:
        tables: files.
        dropped: rows that cannot be used are counted here, by reason.

    Raises:
        InputError: a table lacks a column, or is not there any more.
    """
    for table in tables:
        for part in plan_parts(table.path, ""):
            for item in read_part(part):
                if isinstance(item, Unreadable):
                    dropped[item.reason] += item.num_rows
                    continue
                names = _columns(item.batch.schema, table.path)
                records, rejects = to_records(item, names, table.path)
                for reject in rejects:
                    dropped[reject.reason] += reject.num_rows
                yield _usable(records, table.source, dropped)


def _usable(records: Records, source: str, dropped: Counter[str]) -> CaptionRows:
    """Return the captions of records; count those that say nothing, or too much, or of no pair."""
    num = len(records.texts)
    ids = records.uids if records.uids is not None else pa.nulls(num, pa.string())
    left = np.ones(num, bool)
    for reason, is_bad in (
        ("no_id", pc.equal(pc.fill_null(pc.binary_length(ids), 0), 0)),
        ("empty", pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(records.texts)), 0)),
        ("too_long", pc.greater(pc.utf8_length(records.texts), MAX_CHARACTERS)),
    ):
        bad = left & is_bad.to_numpy(zero_copy_only=False)
        dropped[reason] += int(bad.sum())
        left &= ~bad
    said = _strings(records.batch, _SOURCE)
    sources = pc.fill_null(said, source) if said is not None else _all(source, num)
    langs = records.langs if records.langs is not None else pa.nulls(num, pa.string())
    columns = (_kept(one, left) for one in (ids, records.texts, sources, langs))
    return CaptionRows(*columns)


def _strings(batch: pa.RecordBatch, name: str) -> pa.StringArray | None:
    """Return a column as strings with nulls for empty ones; None without it."""
    if name not in batch.schema.names:
        return None
    column = batch.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = pc.cast(column, pa.string())
    return pc.if_else(pc.equal(pc.binary_length(column), 0), None, column)


def _all(value: str, num: int) -> pa.StringArray:
    return pa.array([value], pa.string()).take(pa.array(np.zeros(num, np.int64)))


def _kept(column: pa.StringArray, left: NDArray[np.bool_]) -> pa.StringArray:
    return column if left.all() else column.filter(pa.array(left))
