"""The bytes of a dump, in parts: bz2 and plain files are cut, others are read in one piece.

A part yields its own bytes and then, for as long as it is asked, those behind it: the last page
that begins in a part may end in another.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

import fsspec

from curate.errors import InputError
from curate.metadata.wikipedia.bz2_blocks import is_bz2, read_blocks

__all__ = ["FilePart", "read_head", "read_part_bytes", "split_file"]

_READ_BYTES = 1 << 20
_ENCODING = re.compile(rb"<\?xml[^>]*\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """A part of a file; picklable.

    Attributes:
        path: local path or fsspec URL.
        start: first byte of the file, as it is on the disk.
        stop: byte after the last; None for the end of the file.
        compression: ``bz2``, another one that fsspec knows, or None.
        encoding: of the XML; other than UTF-8 is read in one part and becomes UTF-8.
    """

    path: str
    start: int
    stop: int | None
    compression: str | None
    encoding: str = "utf-8"


def read_head(path: str) -> tuple[FilePart, bytes]:
    """Return a file as one part, and what it begins with, in UTF-8.

    Args:
        path: local path or fsspec URL of XML, plain or compressed.

    Raises:
        InputError: the file is missing, or in an encoding that is not known.
        BlockError: it is bz2 and damaged.
        OSError: it cannot be read.
    """
    try:
        with fsspec.open(path, "rb") as file:
            is_bzipped = is_bz2(file.read(4)) or path.endswith(".bz2")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such dump") from error
    compression = "bz2" if is_bzipped else fsspec.utils.infer_compression(path)
    whole = FilePart(path=path, start=0, stop=None, compression=compression)
    head = next((chunk for chunk, _ in read_part_bytes(whole)), b"")
    encoding = _encoding(head, path)
    if encoding == "utf-8":
        return whole, head
    whole = replace(whole, encoding=encoding)
    return whole, next((chunk for chunk, _ in read_part_bytes(whole)), b"")


def _encoding(head: bytes, path: str) -> str:
    """Return the encoding that the byte order mark or the declaration names."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    found = _ENCODING.match(head[:1000].removeprefix(codecs.BOM_UTF8))
    name = found[1].decode() if found else "utf-8"
    try:
        return codecs.lookup(name).name
    except LookupError as error:
        raise InputError(
            f"{path}: its encoding is {name}, which is not known; expected UTF-8 or UTF-16"
        ) from error


def split_file(whole: FilePart, part_bytes: int) -> list[FilePart]:
    """Cut a file into parts of about a size, as the file is on the disk, where it can be cut."""
    if whole.encoding != "utf-8" or whole.compression not in (None, "bz2"):
        return [whole]
    with fsspec.open(whole.path, "rb") as file:
        size = file.seek(0, 2)
    starts = range(0, max(1, size), part_bytes)
    return [
        replace(whole, start=start, stop=stop)
        for start, stop in zip(starts, [*starts[1:], None], strict=True)
    ]


def read_part_bytes(part: FilePart) -> Iterator[tuple[bytes, bool]]:
    """Yield XML in UTF-8, a chunk at a time, and whether it is the part's own.

    Raises:
        BlockError: bz2 that is damaged or cut off.
        OSError: the file cannot be read.
        EOFError: another compressed file that is cut off.
        UnicodeError: the text is not in its encoding.
    """
    if part.compression == "bz2":
        with fsspec.open(part.path, "rb") as file:
            yield from _blocks(file, part)
    elif part.compression is None:
        with fsspec.open(part.path, "rb") as file:
            yield from _decoded(_plain(file, part), part.encoding)
    else:
        with fsspec.open(part.path, "rb", compression=part.compression) as file:
            yield from _decoded(_plain(file, part), part.encoding)


def _blocks(file: IO[bytes], part: FilePart) -> Iterator[tuple[bytes, bool]]:
    own = ((block, True) for block in read_blocks(file, part.start, part.stop))
    yield from _decoded(own, part.encoding)
    if part.stop is not None:
        yield from ((block, False) for block in read_blocks(file, part.stop))


def _plain(file: IO[bytes], part: FilePart) -> Iterator[tuple[bytes, bool]]:
    at = part.start
    if at:
        file.seek(at)
    while part.stop is None or at < part.stop:
        chunk = file.read(_READ_BYTES if part.stop is None else min(_READ_BYTES, part.stop - at))
        if not chunk:
            return
        at += len(chunk)
        yield chunk, True
    while chunk := file.read(_READ_BYTES):
        yield chunk, False


def _decoded(chunks: Iterator[tuple[bytes, bool]], encoding: str) -> Iterator[tuple[bytes, bool]]:
    if encoding == "utf-8":
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    for chunk, is_own in chunks:
        yield decoder.decode(chunk).encode(), is_own
    yield decoder.decode(b"", final=True).encode(), True
