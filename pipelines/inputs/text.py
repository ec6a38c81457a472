"""Which strings are UTF-8, and which only say so."""

import pyarrow as pa

__all__ = ["invalid_utf8"]


def invalid_utf8(values: pa.Array) -> list[int]:
    """Return the positions of the values of a string or binary array that are not UTF-8."""
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        raw = values
    else:
        try:
            values.validate(full=True)
        except pa.ArrowInvalid:
            wide = pa.types.is_large_string(values.type)
            raw = values.view(pa.large_binary() if wide else pa.binary())
        else:
            return []
    return [i for i, value in enumerate(raw.to_pylist()) if value is not None and not _utf8(value)]


def _utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
