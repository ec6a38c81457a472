"""Values of any type as strings that do not depend on who wrote them: ids, and what is hashed."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["id_strings", "is_text", "number_strings", "value_strings"]

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds strings, or bytes of any length that may be some."""
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary,
              pa.types.is_large_binary, pa.types.is_string_view)  # fmt: skip
    return any(check(kind) for check in checks)


def id_strings(column: pa.Array, name: str) -> pa.StringArray:
    """Return ids as strings: UUIDs as usual, other bytes that are no text in hex.

    Args:
        column: of any type but nested ones.
        name: of the column; 16 bytes in a column that is named after UUIDs are some.

    >>> id_strings(pa.array([bytes(range(16))], pa.binary(16)), "uuid").to_pylist()
    ['00010203-0405-0607-0809-0a0b0c0d0e0f']
    >>> id_strings(pa.array([b"a1", bytes([0, 255])]), "id").to_pylist()
    ['a1', '00ff']
    """
    is_uuid = False
    if isinstance(column, pa.ExtensionArray):
        is_uuid = column.type.extension_name == "arrow.uuid"
        column = column.storage
    kind, types = column.type, pa.types
    if types.is_dictionary(kind):
        return id_strings(column.dictionary_decode(), name)
    if types.is_fixed_size_binary(kind):
        is_uuid |= kind.byte_width == 16 and "uuid" in name.lower()
        return pa.array([_spelled(v, is_uuid) for v in column.to_pylist()], pa.string())
    if types.is_binary(kind) or types.is_large_binary(kind):
        return pa.array([_text_or_hex(v) for v in column.to_pylist()], pa.string())
    return number_strings(column) if types.is_floating(kind) else column.cast(pa.string())


def _spelled(value: bytes | None, is_uuid: bool) -> str | None:
    if value is None:
        return None
    digits = value.hex()
    if not is_uuid:
        return digits
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _text_or_hex(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return value.hex() if _CONTROLS.search(text) else text


def number_strings(column: pa.Array) -> pa.StringArray:
    """Return floats as strings, whole numbers without exponent; null for what is no number.

    >>> number_strings(pa.array([1581282014547.0, 0.5, float("nan"), None, 1e20])).to_pylist()
    ['1581282014547', '0.5', None, None, '100000000000000000000']
    """
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    is_number = np.isfinite(values)
    is_whole: NDArray[np.bool_] = is_number & (np.trunc(values) == values)
    strings = pc.if_else(pa.array(is_number), column.cast(pa.string()), None)
    small = is_whole & (np.abs(values) < 2.0**63)
    if small.any():
        whole = pa.array(np.where(small, values, 0).astype(np.int64)).cast(pa.string())
        strings = pc.if_else(pa.array(small), whole, strings)
    large = is_whole & ~small
    if large.any():
        spelled = pa.array([f"{v:.0f}" for v in values[large].tolist()], pa.string())
        strings = pc.replace_with_mask(strings, pa.array(large), spelled)
    return strings


def value_strings(column: pa.Array) -> pa.StringArray | pa.LargeStringArray:
    r"""Return values as strings for hashing: bytes as they are, nested ones as JSON; nulls stay.

    >>> value_strings(pa.array([{"b": 1, "a": [2.5]}])).to_pylist()
    ['{"a": [2.5], "b": 1}']
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind, types = column.type, pa.types
    if types.is_dictionary(kind):
        return value_strings(column.dictionary_decode())
    if types.is_fixed_size_binary(kind) or types.is_binary(kind):
        return column.cast(pa.binary()).view(pa.string())
    if types.is_large_binary(kind):
        return column.view(pa.large_string())
    if types.is_floating(kind):
        return number_strings(column)
    if types.is_nested(kind):
        values = [None if v is None else _as_json(v) for v in column.to_pylist()]
        return pa.array(values, pa.string())
    if types.is_timestamp(kind):  # whose unit is the writer's choice
        written = pc.replace_substring_regex(column.cast(pa.string()), r"(\.\d*?)0+(Z?)$", r"\1\2")
        return pc.replace_substring_regex(written, r"\.(Z?)$", r"\1")
    return column if types.is_large_string(kind) else column.cast(pa.string())


def _as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)
