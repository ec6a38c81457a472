"""The footer of a Parquet file, read without pyarrow.

A damaged footer may not be asked for its columns: pyarrow 26's metadata ended the process over some
that its readers refuse with an error. The footer is a struct in Thrift's compact protocol, whose
values are read here, and of which the figures are returned that say where columns lie.

Source: parquet-format 2.12, parquet.thrift (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData).
"""

import os
from dataclasses import dataclass
from typing import Any

from curate.files import storage

__all__ = ["Chunk", "Footer", "RowGroup", "read_footer"]

_TAIL = 8  # bytes: the footer's length and a magic number
_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY = 1, 2, 3, (4, 5, 6), 7, 8
_SEQUENCES, _STRUCT = (9, 10), 12
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """A column of a row group: how many values it has, and where it lies in the file, in bytes."""

    num_values: int
    start: int
    length: int
    uncompressed: int
    is_flat: bool
    has_dictionary: bool


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows that lie together; of columns that are encrypted nothing is known."""

    num_rows: int
    chunks: tuple[Chunk | None, ...]


@dataclass(frozen=True, slots=True)
class Footer:
    """What a footer says of the whole file."""

    num_rows: int
    row_groups: tuple[RowGroup, ...]


def read_footer(path: str) -> Footer:
    """Read the footer of a file.

    Args:
        path: of the file, or its URL.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no footer, or has not the fields that all have.
    """
    try:
        fields, _ = _struct(_footer_bytes(path), 0)
    except IndexError:
        raise ValueError("its footer ends too early") from None
    return _footer(fields)


def _footer_bytes(path: str) -> bytes:
    with storage.open_arrow(path) as file:
        file.seek(0, os.SEEK_END)  # a wrapped file of a store has no method `size`
        size = file.tell()
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
        length = int.from_bytes(tail[:4], "little")
        if len(tail) < _TAIL or tail[4:] != b"PAR1" or length > size - _TAIL:
            raise ValueError("it has no footer in the clear")
        file.seek(size - _TAIL - length)
        content: bytes = file.read(length)
        return content


def _footer(fields: dict[int, Any]) -> Footer:
    try:
        return Footer(fields[3], tuple(_row_group(group) for group in fields[4]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its footer lacks a field ({error})") from None


def _row_group(fields: dict[int, Any]) -> RowGroup:
    return RowGroup(fields[3], tuple(_chunk(column.get(3)) for column in fields[1]))


def _chunk(fields: dict[int, Any] | None) -> Chunk | None:
    if fields is None:
        return None
    return Chunk(
        num_values=fields[5],
        start=min(fields[9], fields.get(11, fields[9])),
        length=fields[7],
        uncompressed=fields[6],
        is_flat=len(fields[3]) == 1,
        has_dictionary=11 in fields,
    )


def _struct(content: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return the values of a struct by the numbers of their fields, and where it ends.

    One loop with few calls: 25,000 chunks of columns are a million values.

    Raises:
        IndexError: the bytes end before it does.
        ValueError: it is none.
    """
    found: dict[int, Any] = {}
    number = 0
    while head := content[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            value, at = _varint(content, at)
            number = _signed(value)
        kind = head & 15
        if kind in _INTEGERS:
            value = content[at]
            at += 1
            if value > 127:
                value, at = _varint(content, at - 1)
            found[number] = value >> 1 ^ -(value & 1)
        elif kind == _BINARY:
            value = content[at]
            at += 1
            if value > 127:
                value, at = _varint(content, at - 1)
            found[number] = content[at : at + value]
            at += value
        elif kind == _TRUE or kind == _FALSE:
            found[number] = kind == _TRUE
        elif kind == _STRUCT:
            if depth > _DEEPEST:
                raise ValueError("its footer is nested too deep")
            found[number], at = _struct(content, at, depth + 1)
        else:
            found[number], at = _other(content, at, kind, depth + 1)
    return found, at + 1


def _other(content: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """Return a value that is a rare one in structs, or that stands in a list, and where it ends."""
    if depth > _DEEPEST:
        raise ValueError("its footer is nested too deep")
    if kind == _STRUCT:
        return _struct(content, at, depth)
    if kind in _SEQUENCES:
        head, at = content[at], at + 1
        num, at = _varint(content, at) if head >> 4 == 15 else (head >> 4, at)
        values = []
        for _ in range(num):
            value, at = _other(content, at, head & 15, depth + 1)
            values.append(value)
        return values, at
    if kind in _INTEGERS:
        value, at = _varint(content, at)
        return _signed(value), at
    if kind == _BINARY:
        length, at = _varint(content, at)
        return content[at : at + length], at + length
    if kind in (_TRUE, _FALSE, _BYTE):  # a truth value in a sequence is a byte of its own
        return content[at], at + 1
    if kind == _DOUBLE:
        return content[at : at + 8], at + 8
    raise ValueError(f"its footer has a value of kind {kind}")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("its footer has a number of more than 64 bits")


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)
