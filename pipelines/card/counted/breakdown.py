"""Columns of the pairs' own in, how many pairs each of their values has before and after out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.samples import sample_fields
from curate.pipelines.store import artifacts

__all__ = ["MOST_VALUES", "ValueCounts", "breakdown", "columns_of", "count_values",
           "require_columns", "require_few_values"]  # fmt: skip

MOST_VALUES = 1000
_LONGEST = 200
_JSON = "json"  # where the fields of a tar's samples are

ValueCounts = Counter[tuple[str, str | None, bool]]  # of column, value, and whether kept


def require_columns(plan: MatchedPlan, by: Sequence[str]) -> None:
    """Refuse columns that no part of the matches has, and those that have no few values.

    Raises:
        UsageError: there is one.
    """
    known: dict[str, Any] = {}
    has_json = False
    for index in range(len(plan.parts)) if by else ():
        with artifacts.open_parquet(plan.pairs_path(index)) as file:
            known |= {field.name: field.type for field in file.schema_arrow}
        has_json |= _JSON in known and bool(pa.types.is_binary(known[_JSON]))
    for name in by:
        if name not in known and not has_json:
            raise UsageError(
                f"--by is {name!r}, which no matched pair has; expected one of "
                + ", ".join(sorted(n for n, kind in known.items() if _has_values(kind)))
            )
        if name in known and not _has_values(known[name]):
            raise UsageError(
                f"--by is {name!r}, a column of {known[name]}; expected one of texts, whole "
                "numbers, days or yes and no"
            )


def _has_values(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _has_values(kind.value_type)
    checks = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer,
              types.is_boolean, types.is_date)  # fmt: skip
    return any(check(kind) for check in checks)


def columns_of(names: Sequence[str], by: Sequence[str]) -> list[str]:
    """Return the columns of a file that the values are in.

    >>> columns_of(["url", "source", "json"], ["source", "site"]), columns_of(["a"], ["b"])
    (['source', 'json'], [])
    """
    own = [name for name in by if name in names]
    return own if len(own) == len(by) or _JSON not in names else [*own, _JSON]


def count_values(
    batch: pa.RecordBatch, by: Sequence[str], keep: NDArray[np.bool_], counted: ValueCounts
) -> None:
    """Add the pairs of a batch by their values: those that are kept, and the others.

    Args:
        batch: of matched pairs.
        by: columns, or fields of tars' JSON.
        keep: which pairs are kept; shape (num_pairs,).
        counted: is added to.

    Raises:
        UsageError: a column has more than MOST_VALUES values.
    """
    fields = None
    for name in by:
        if name in batch.schema.names:
            column = batch.column(name)
        else:
            if fields is None and _JSON in batch.schema.names:
                fields = [sample_fields(raw) for raw in batch.column(_JSON).to_pylist()]
            found = [_word(one.get(name)) for one in fields or [{}] * batch.num_rows]
            column = pa.array(found, pa.string())
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        encoded = pc.cast(column, pa.string()).dictionary_encode(null_encoding="encode")
        values, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        if len(values) > MOST_VALUES:
            raise _too_many(name, values)
        for is_kept in (False, True):
            num = np.bincount(codes[keep == is_kept], minlength=len(values)).tolist()
            for value, pairs in zip(values, num, strict=True):
                counted[name, _shortened(value), is_kept] += pairs
    require_few_values(counted, by)


def require_few_values(counted: Mapping[Any, int], by: Sequence[str]) -> None:
    """Refuse columns with many values, before their counts take memory.

    Raises:
        UsageError: a column has more than MOST_VALUES values.
    """
    if len(counted) <= MOST_VALUES:
        return
    for name in by:
        values = {value for column, value, _ in counted if column == name}
        if len(values) > MOST_VALUES:
            raise _too_many(name, sorted(values, key=str))


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return None
    # Halves of surrogate pairs, which JSON may hold, are in no file: they stand as escapes.
    return str(value).encode("utf-8", "backslashreplace").decode()


def _shortened(value: str | None) -> str | None:
    return value if value is None or len(value) <= _LONGEST else f"{value[:_LONGEST]}…"


def _too_many(name: str, values: Sequence[str | None]) -> UsageError:
    few = ", ".join(repr(v) for v in sorted(v for v in values if v is not None)[:3])
    return UsageError(
        f"--by is {name!r}, which has more than {MOST_VALUES:,} values, such as {few}; expected a "
        "column with fewer, such as the source of pairs"
    )


def breakdown(counted: Mapping[Any, int], by: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the values of each column with their matched and kept pairs, the largest first.

    Args:
        counted: by column, value, and whether kept.
        by: columns.

    Raises:
        UsageError: a column has more than MOST_VALUES values.
    """
    require_few_values(counted, by)
    found = {}
    for name in by:
        values = {value for column, value, _ in counted if column == name}
        rows = []
        for value in values:
            kept = counted.get((name, value, True), 0)
            matched = kept + counted.get((name, value, False), 0)
            if matched:
                rows.append({"value": value, "matched": matched, "kept": kept})
        found[name] = sorted(rows, key=lambda r: (-r["matched"], r["value"] is not None,
                                                  str(r["value"])))  # fmt: skip
    return found
