"""Rows that name image files: a folder of images with a CSV, JSON lines or Parquet file beside it.

A row's file is found by its column `file_name`, `image_path`, `file_path` or `filepath`, by a
column `image` of strings, or by the path in Hugging Face's struct of bytes and path where there are
no bytes; relative to the folder of the file that the row is in. Inputs that have URLs are left
alone: their images are somewhere else. A name with a protocol has to be of a file system that the
table is in too, so that a table cannot have this machine ask any server.
"""

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import InputError
from curate.files import storage
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.rows import Rows, Unreadable

__all__ = ["data_files", "with_image_files"]

_PATHS = ("file_name", "image_path", "file_path", "filepath")
_URLS = ("url", "URL", "image_url")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}


def is_image_name(path: str) -> bool:
    """Tell whether a file's name is that of an image.

    >>> is_image_name("photos/a.JPG"), is_image_name("photos/metadata.csv")
    (True, False)
    """
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def data_files(paths: list[str]) -> list[str]:
    """Leave out images, which stand beside the files that name them.

    Raises:
        InputError: there is nothing but images.
    """
    kept = [path for path in paths if not is_image_name(path)]
    if not kept:
        raise InputError(
            f"{paths[0]}: an image; expected a file with a text for each image. Name the CSV, JSON "
            "lines or Parquet file whose column `file_name` tells where the images are."
        )
    return kept


def with_image_files(rows: Iterator[Rows | Unreadable], path: str) -> Iterator[Rows | Unreadable]:
    """Add to rows where their image files are: `image_file`, `image_offset`, `image_size`.

    Args:
        rows: as they were read.
        path: of the file that they were read from.

    Yields:
        The rows; one whose file is not there is unreadable, reason ``missing_image``.
    """
    for item in rows:
        if isinstance(item, Unreadable) or (names := _file_names(item.batch)) is None:
            yield item
        else:
            yield from _located(item, names.to_pylist(), path)


def _file_names(batch: pa.RecordBatch) -> pa.Array | None:
    """Return the name of each row's image file, null without one; None if the rows name none."""
    schema, types = batch.schema, pa.types
    if "image_file" in schema.names or any(name in schema.names for name in _URLS):
        return None
    if "image" in schema.names:
        image = batch.column("image")
        if types.is_string(image.type) or types.is_large_string(image.type):
            return image
        if not types.is_struct(image.type) or not {"bytes", "path"} <= {f.name for f in image.type}:
            return None
        has_bytes = pc.is_valid(pc.struct_field(image, "bytes"))
        return pc.if_else(has_bytes, None, pc.struct_field(image, "path"))
    name = next((n for n in _PATHS if n in schema.names), None)
    if name is None:
        return None
    column = batch.column(name)
    return column if types.is_string(column.type) or types.is_large_string(column.type) else None


def _located(rows: Rows, names: list[str | None], path: str) -> Iterator[Rows | Unreadable]:
    """Yield rows in runs of neighbours whose files are there, and the others as unreadable."""
    folder = path.rpartition("/")[0] or "."
    files = [_resolved(folder, name) if name else None for name in names]
    own = _protocol(path)
    sizes = np.array([-1 if f is None else _size(f, own) for f in files], np.int64)
    missing = [i for i, f in enumerate(files) if f is not None and sizes[i] < 0]
    start = 0
    for stop in [*missing, len(files)]:
        if stop > start:
            piece = rows.batch.slice(start, stop - start)
            yield Rows(rows.first_row + start, _add(piece, files[start:stop], sizes[start:stop]))
        if stop < len(files):
            is_ours = _protocol(files[stop] or "") in ("", own)
            why = "there is no such file" if is_ours else "it is in another file system"
            detail = f"{files[stop]}: {why}"
            yield Unreadable(rows.first_row + stop, 1, "missing_image", detail)
        start = stop + 1


def _add(
    batch: pa.RecordBatch, files: list[str | None], sizes: NDArray[np.int64]
) -> pa.RecordBatch:
    has_none = sizes < 0
    added = {
        "image_file": pa.array(files, pa.string()),
        "image_offset": pa.array(np.zeros(len(files), np.int64), mask=has_none),
        "image_size": pa.array(sizes, mask=has_none),
    }
    for name, column in added.items():
        batch = batch.append_column(name, column)
    return batch


def _resolved(folder: str, name: str) -> str:
    return name if os.path.isabs(name) or "://" in name else storage.join(folder, name)


def _protocol(path: str) -> str:
    """Return the protocol of a path, "" for a local one.

    >>> _protocol("s3://bucket/a.jpg"), _protocol("/a.jpg"), _protocol("file:///a.jpg")
    ('s3', '', '')
    """
    return "" if storage.is_local(path) else path.partition("://")[0]


def _size(path: str, own: str) -> int:
    """Return a file's size in bytes, or -1 if there is none, or none that a table may name."""
    if _protocol(path) not in ("", own):
        return -1
    try:
        if storage.is_local(path):
            path = storage.local_path(path)
            return os.stat(path).st_size if os.path.isfile(path) else -1
        return storage.size_and_time(path)[0]
    except (OSError, ValueError) as error:
        if is_transient(error):
            raise
        return -1
