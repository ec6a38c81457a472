"""The footer of a Parquet file, read without pyarrow.

A damaged footer may not be asked for its columns: pyarrow 26's metadata ended the process over some
that its readers refuse with an error. The footer is a struct in Thrift's compact protocol, of which
every value is read here, and of which the figures are returned that say where columns lie.

Source: parquet-format 2.12, parquet.thrift (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData).
"""

import os
import struct
from dataclasses import dataclass
from typing import Any

from curate.files import storage

__all__ = ["Chunk", "Footer", "RowGroup", "read_footer"]

_TAIL = 8  # bytes: the footer's length and a magic number
_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY = 1, 2, 3, (4, 5, 6), 7, 8
_SEQUENCES, _MAP, _STRUCT = (9, 10), 11, 12
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
    return _footer(_Values(_footer_bytes(path)).struct())


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


class _Values:
    """Values of the compact protocol, read one after another."""

    def __init__(self, content: bytes) -> None:
        self._bytes, self._at = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the values of a struct by the numbers of their fields."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else _signed(self._varint())
            kind = head & 15
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("its footer is nested too deep")
        if kind in _INTEGERS:
            return _signed(self._varint())
        if kind == _BINARY:
            return self._take(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in _SEQUENCES:
            head = self._byte()
            num = self._varint() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15, depth + 1) for _ in range(num)]
        if kind in (_TRUE, _FALSE, _BYTE):  # a truth value in a sequence is a byte of its own
            return self._byte()
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind == _MAP:
            num = self._varint()
            kinds = self._byte() if num else 0
            pair = (kinds >> 4, kinds & 15)
            return [[self._value(kind, depth + 1) for kind in pair] for _ in range(num)]
        raise ValueError(f"its footer has a value of kind {kind}")

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("its footer has a number of more than 64 bits")

    def _take(self, num: int) -> bytes:
        begin, self._at = self._at, self._at + num
        if self._at > len(self._bytes):
            raise ValueError("its footer ends too early")
        return self._bytes[begin : self._at]

    def _byte(self) -> int:
        if self._at >= len(self._bytes):
            raise ValueError("its footer ends too early")
        self._at += 1
        return self._bytes[self._at - 1]


def _signed(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
