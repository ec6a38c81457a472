"""How many bytes the rows of a batch take, so that row groups end where a limit is reached."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["row_bytes"]


def row_bytes(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return about how many bytes each row takes; shape (num_rows,).

    >>> row_bytes(pa.record_batch({"a": ["x", "yyy"], "b": [[1], [2, 3]]})).tolist()
    [9, 19]
    """
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        total += _value_bytes(column)
    return total


def _value_bytes(values: pa.Array) -> NDArray[np.int64]:
    kind, types = values.type, pa.types
    if types.is_struct(kind):
        fields = [_value_bytes(field) for field in values.flatten()]
        return np.asarray(sum(fields, np.zeros(len(values), np.int64)), dtype=np.int64)
    if types.is_list(kind) or types.is_large_list(kind):
        inside = np.concatenate([[0], np.cumsum(_value_bytes(values.flatten()))])
        ends = np.cumsum(_lengths(pc.list_value_length(values)))
        return np.asarray(np.diff(inside[np.concatenate([[0], ends])]), dtype=np.int64)
    if any(check(kind) for check in (types.is_string, types.is_large_string, types.is_binary,
                                     types.is_large_binary)):  # fmt: skip
        return _lengths(pc.binary_length(values))
    return np.full(len(values), _width(kind), dtype=np.int64)


def _width(kind: pa.DataType) -> int:
    try:
        return int(kind.bit_width + 7) // 8
    except ValueError:  # of no fixed width, and rare: null, maps, unions
        return 8


def _lengths(lengths: pa.Array) -> NDArray[np.int64]:
    filled = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
    return np.asarray(filled, dtype=np.int64)
