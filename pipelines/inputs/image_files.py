"""Rows that name image files: a folder of images with a CSV, JSON lines or Parquet file beside it.

A row's file is found by its column `file_name`, `image_path`, `file_path` or `filepath`, by a
column `image` of strings that are no images themselves (base64), or by the path in Hugging Face's
struct of bytes and path where there are no bytes; relative to the folder of the file that the row
is in. Inputs that have URLs are left alone: their images are somewhere else.

A table cannot have this machine open any file or ask any server: a file has to lie in the table's
own folder, or in one that the user named. And it is only here, and by the reader of tars, that
columns are made which say where images are: those of an input that are named so get other names.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import InputError
from curate.files import storage
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.columns.images import FILE_COLUMNS, is_inline
from curate.pipelines.inputs.image_roots import ImageRoots, folder_of
from curate.pipelines.inputs.rows import Part, Rows, Unreadable

__all__ = [
    "as_input_columns", "data_files", "file_column", "names_files", "unread_file_column",
    "with_image_files",
]  # fmt: skip

_PATHS = ("file_name", "image_path", "file_path", "filepath")
# Which our readers make, and `balance` believes.
_INTERNAL = FILE_COLUMNS
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


def as_input_columns(schema: pa.Schema) -> pa.Schema:
    """Return an input's schema with other names for columns that are named as ours are.

    >>> as_input_columns(pa.schema({"text": pa.string(), "image_file": pa.string()})).names
    ['text', 'input_image_file']
    """
    names = list(schema.names)
    for at, name in enumerate(names):
        while names[at] in _INTERNAL or (name in _INTERNAL and names.count(names[at]) > 1):
            names[at] = f"input_{names[at]}"
    return schema if names == schema.names else pa.schema(
        [field.with_name(name) for field, name in zip(schema, names, strict=True)]
    )  # fmt: skip


def with_image_files(
    rows: Iterator[Rows | Unreadable], part: Part, image_roots: Sequence[str] = ()
) -> Iterator[Rows | Unreadable]:
    """Add to rows where their image files are: `image_file`, `image_offset`, `image_size`.

    Args:
        rows: as they were read.
        part: that they were read from.
        image_roots: folders that may be named besides that of the part's file.

    Yields:
        The rows; one whose file is not there, or in another file system, is unreadable, reason
        ``missing_image``, and one whose file is in none of the folders, reason ``image_outside``,
        whether it is there or not.
    """
    roots = ImageRoots([folder_of(part.source), *image_roots])
    for item in rows:
        if isinstance(item, Unreadable):
            yield item
            continue
        names = as_input_columns(item.batch.schema).names
        item = replace(item, batch=item.batch.rename_columns(names))
        found = _file_names(item.batch)
        yield from [item] if found is None else _located(item, found.to_pylist(), part.path, roots)


def names_files(schema: pa.Schema) -> bool:
    """Tell whether rows of a schema may name files of their own folder."""
    empty = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)
    return _file_names(empty) is not None


def file_column(schema: pa.Schema) -> str | None:
    """Return the column that names files of images; None where rows name none."""
    if not names_files(schema):
        return None
    return "image" if "image" in schema.names else next(n for n in _PATHS if n in schema.names)


def unread_file_column(schema: pa.Schema) -> str | None:
    """Return a column of rows with URLs that looks as if it named files; None without one.

    >>> unread_file_column(pa.schema({"url": pa.string(), "file_name": pa.string()}))
    'file_name'
    """
    has_urls = any(name in schema.names for name in _URLS)
    return next((n for n in _PATHS if n in schema.names), None) if has_urls else None


def _file_names(batch: pa.RecordBatch) -> pa.Array | None:
    """Return the name of each row's image file, null without one; None if the rows name none."""
    schema, types = batch.schema, pa.types
    if any(name in schema.names for name in _URLS):
        return None
    if "image" in schema.names:
        image = batch.column("image")
        if types.is_string(image.type) or types.is_large_string(image.type):
            return pc.if_else(is_inline(image), None, image)
        if not types.is_struct(image.type) or not {"bytes", "path"} <= {f.name for f in image.type}:
            return None
        has_bytes = pc.is_valid(pc.struct_field(image, "bytes"))
        return pc.if_else(has_bytes, None, pc.struct_field(image, "path"))
    name = next((n for n in _PATHS if n in schema.names), None)
    if name is None:
        return None
    column = batch.column(name)
    return column if types.is_string(column.type) or types.is_large_string(column.type) else None


def _located(
    rows: Rows, names: list[str | None], path: str, roots: ImageRoots
) -> Iterator[Rows | Unreadable]:
    """Yield rows in runs of neighbours whose files are there, and the others as unreadable."""
    folder = folder_of(path)
    files = [_resolved(folder, name) if name else None for name in names]
    sizes, problems = np.full(len(files), -1, np.int64), {}
    for at, file in enumerate(files):
        if file is None:
            continue
        place = roots.address(file)
        sizes[at] = -1 if place is None else _size(place)
        if sizes[at] < 0:
            reason, why = _problem(file, path, is_outside=place is None)
            problems[at] = (reason, f"{file}: {why}")
    start = 0
    for stop in [*problems, len(files)]:
        if stop > start:
            piece = rows.batch.slice(start, stop - start)
            yield rows.part(start, stop, _add(piece, files[start:stop], sizes[start:stop]))
        if stop < len(files):
            reason, detail = problems[stop]
            yield Unreadable(rows.first_row + stop, 1, reason, detail)
        start = stop + 1


def _problem(file: str, path: str, *, is_outside: bool) -> tuple[str, str]:
    """Return why a row's image is not taken: the reason that is counted, and a sentence."""
    if not is_outside:
        return "missing_image", "there is no such file"
    if _protocol(file) != _protocol(path):
        return "missing_image", "it is in another file system"
    where = folder_of(path)
    return "image_outside", f"it is not in {where}; name other folders of images with --image-root"


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


def _size(place: str) -> int:
    """Return a file's size in bytes, or -1 if there is none."""
    try:
        if storage.is_local(place):
            return os.stat(place).st_size if os.path.isfile(place) else -1
        return storage.size_and_time(place)[0]
    except (OSError, ValueError) as error:
        if is_transient(error):
            raise
        return -1
