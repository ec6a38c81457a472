"""Columns that hold encoded images: which one it is, how many a row has, and their bytes.

Images come as bytes, as Hugging Face's struct of bytes and path, as lists of small integers (Spark,
JSON), as base64, and as lists of any of these, of which the first one is taken. Anything else, such
as lists of rows of pixels, is no encoded image.
"""

import base64
import binascii
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import InputError

__all__ = [
    "FILE_COLUMNS",
    "encoded_images",
    "image_column",
    "image_counts",
    "is_inline",
    "num_images",
]

# Where the reader of tars, or of folders of images, says that an image is.
FILE_COLUMNS = frozenset(
    {"image_file", "image_offset", "image_size", "image_ext", "image_more"}
)  # fmt: skip
_NAMES = (
    "image", "images", "jpg", "jpeg", "png", "webp", "img", "image_bytes", "image_data", "picture",
    "photo",
)  # fmt: skip
# How JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF begin in base64, and more of it than a name has.
_BASE64 = (
    r"^(data:image/|(/9j/|iVBORw0KGgo|UklGR|R0lGOD|Qk[0-3]|SUkqA|TU0AK|AAAA..Z0eX)"
    r"[A-Za-z0-9+/=_\r\n-]{32})"
)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def image_column(schema: pa.Schema, chosen: str | None, path: str = "") -> str | None:
    """Return the name of the column that holds encoded images, or None.

    Args:
        schema: of an input, or of pairs made from it.
        chosen: name that the user gave; None to look for the usual ones.
        path: of the input, for messages.

    Raises:
        InputError: the chosen column is not there, or cannot hold images.
    """
    if chosen is None:
        names = [n for usual in _NAMES for n in schema.names if n.lower() == usual]
        kinds = {n: schema.field(n).type for n in names}
        able = [n for n in names if _is_able(kinds[n])]
        return next(iter(sorted(able, key=lambda n: _is_string(kinds[n]))), None)
    if chosen not in schema.names:
        if "image_file" in schema.names:  # a tar, whose images are members
            return None
        raise InputError(
            f"{path}: there is no column {chosen!r}; it has {', '.join(schema.names)}. "
            "Name the right one with --image-column."
        )
    kind = schema.field(chosen).type
    if not _is_able(kind):
        raise InputError(
            f"{path}: column {chosen!r} is {kind}, expected encoded images: bytes, a struct with "
            "bytes, a list of bytes, or base64. Name another one with --image-column."
        )
    return chosen


def _is_string(kind: pa.DataType) -> bool:
    return any(c(kind) for c in (pa.types.is_string, pa.types.is_large_string,
                                 pa.types.is_string_view))  # fmt: skip


def _is_bytes(kind: pa.DataType) -> bool:
    return any(c(kind) for c in (pa.types.is_binary, pa.types.is_large_binary,
                                 pa.types.is_binary_view))  # fmt: skip


def _is_list(kind: pa.DataType) -> bool:
    return any(c(kind) for c in (pa.types.is_list, pa.types.is_large_list))


def _is_able(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_able(kind.field(index).type)
    if _is_list(kind):
        inner = kind.value_type
        return pa.types.is_integer(inner) or (not _is_list(inner) and _is_able(inner))
    return _is_bytes(kind) or _is_string(kind)


def is_inline(strings: pa.Array) -> pa.BooleanArray:
    """Tell which strings are images themselves, in base64, and no names of files; null of null."""
    return pc.match_substring_regex(strings, _BASE64)


def image_counts(column: pa.Array) -> NDArray[np.int64]:
    """Return how many images each value of an image column holds; shape (len(column),).

    >>> image_counts(pa.array([[b"a", b"b"], [b""], [], None])).tolist()
    [2, 0, 0, 0]
    >>> image_counts(pa.array([[137, 80], []], pa.list_(pa.uint8()))).tolist()
    [1, 0]
    """
    kind = column.type
    if pa.types.is_struct(kind):
        return image_counts(pc.struct_field(column, "bytes"))
    if _is_list(kind) and not pa.types.is_integer(kind.value_type):
        inner = np.concatenate([[0], np.cumsum(image_counts(column.flatten()))])
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        return np.asarray(inner[ends[1:]] - inner[ends[:-1]], np.int64)
    if _is_list(kind):
        there = pc.greater(pc.list_value_length(column), 0)
    elif _is_bytes(kind):
        there = pc.greater(pc.binary_length(_without_view(column)), 0)
    else:
        there = is_inline(_without_view(column))
    return np.asarray(pc.fill_null(there, False).to_numpy(zero_copy_only=False), np.int64)


def num_images(batch: pa.RecordBatch, chosen: str | None) -> NDArray[np.int64]:
    """Return how many images come with each row, in a column or as files; shape (num_rows,).

    Args:
        batch: of an input, or of pairs made from it.
        chosen: image column that the user named; None for the usual ones.
    """
    name = image_column(batch.schema, chosen)
    found = np.zeros(batch.num_rows, np.int64) if name is None else image_counts(batch.column(name))
    if "image_file" in batch.schema.names:
        in_file = pc.is_valid(batch.column("image_file")).to_numpy(zero_copy_only=False)
        found = np.where((found == 0) & in_file, 1, found)
    if "image_more" in batch.schema.names:
        more = pc.fill_null(batch.column("image_more"), 0)
        found = found + more.to_numpy(zero_copy_only=False)
    return np.asarray(found, np.int64)


def encoded_images(column: pa.Array) -> pa.Array:
    """Return the first image of each value of an image column as bytes; null where there is none.

    >>> encoded_images(pa.array([[71, 73], None], pa.list_(pa.uint8()))).to_pylist()
    [b'GI', None]
    """
    kind = column.type
    if pa.types.is_struct(kind):
        return encoded_images(pc.struct_field(column, "bytes"))
    if _is_list(kind):
        is_one = pa.types.is_integer(kind.value_type)
        rows = [_of_integers(row) if is_one else _first_image(row.values) for row in column]
        return pa.array(rows, pa.large_binary())
    if _is_bytes(kind):
        return _without_view(column)
    inline = pc.fill_null(is_inline(_without_view(column)), False).to_pylist()
    decoded = [_decoded(v) if i else None for v, i in zip(column.to_pylist(), inline, strict=True)]
    return pa.array(decoded, pa.large_binary())


def _of_integers(value: pa.ListScalar) -> bytes | None:
    """Return a list of integers as bytes; signed ones (Java's) count modulo 256."""
    if not value.is_valid:
        return None
    numbers = value.values.fill_null(0).to_numpy(zero_copy_only=False)
    return bytes(numbers.astype(np.uint8)) if len(numbers) else None


def _first_image(values: pa.Array | None) -> bytes | None:
    if values is None:
        return None
    found: list[bytes | None] = encoded_images(values).to_pylist()
    return next((one for one in found if one), None)


def _decoded(text: str) -> bytes:
    """Return what base64 stands for, or the text as it is, which is no image then."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    raw = re.sub(rb"\s", b"", body.encode()).translate(_URL_SAFE)
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        return text.encode()


def _without_view(column: pa.Array) -> pa.Array:
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    return column.cast(plain[column.type]) if column.type in plain else column
