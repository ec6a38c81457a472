"""Rows of parts in; what they know of images, as records of one size, for those that borrow, out.

Some neighbouring parts that lend have one file, with a piece for each part that borrows.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.vectors.perceptual import HASH_BYTES
from curate.files import storage
from curate.pipelines.embed.pieces import Records, read_piece, write_pieces
from curate.pipelines.embed.shares import Keys, working_path
from curate.pipelines.embed.worker import EmbedJob, EmbedWorker
from curate.pipelines.embedded.plan import vectors_of
from curate.pipelines.store import artifacts

__all__ = ["columns_of", "lend_images", "read_lent", "record_kind", "records_of"]

_COLUMNS = ("image_xxh3", "image_hash", "width", "height", "image")
_FIXED = {"image_xxh3": 16, "image_hash": HASH_BYTES}


def record_kind(width: int) -> np.dtype[np.void]:
    """Return the type of a record: key, whether each column is there, and the columns."""
    return np.dtype(
        [("high", "<u8"), ("low", "<u4"), ("there", "?", (len(_COLUMNS),)),
         ("image_xxh3", "u1", (16,)), ("image_hash", "u1", (HASH_BYTES,)), ("width", "<u4"),
         ("height", "<u4"), ("image", "<f2", (width,))]
    )  # fmt: skip


def records_of(batch: pa.RecordBatch, width: int, path: str) -> Records:
    """Return the columns of images as records, without keys.

    Args:
        batch: with these columns; the last one only if there are vectors.
        width: of the vectors; 0 without any.
        path: of its file, for messages.
    """
    records = np.zeros(batch.num_rows, record_kind(width))
    for at, name in enumerate(_COLUMNS):
        if name == "image" and not width:
            continue
        column = batch.column(name)
        if name == "image":
            records[name], records["there"][:, at] = vectors_of(column, path)
            continue
        records["there"][:, at] = column.is_valid().to_numpy(zero_copy_only=False)
        if name in _FIXED:
            size = _FIXED[name]
            filled = pc.fill_null(column, pa.scalar(bytes(size), pa.binary(size)))
            raw = np.frombuffer(filled.buffers()[1], np.uint8)[filled.offset * size :]
            records[name] = raw[: len(filled) * size].reshape(-1, size)
        else:
            records[name] = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return records


def columns_of(records: Records) -> dict[str, pa.Array]:
    """Return records as the columns of images, null where one is not there."""
    columns: dict[str, pa.Array] = {}
    for at, name in enumerate(_COLUMNS):
        values, lacks = np.ascontiguousarray(records[name]), ~records["there"][:, at]
        if name in _FIXED:
            whole = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(_FIXED[name]), len(records), [None, pa.py_buffer(values)]
            )
            columns[name] = pc.if_else(pa.array(lacks), None, whole)
        elif name != "image":
            columns[name] = pa.array(values, mask=lacks)
        elif values.shape[1]:
            columns[name] = pa.FixedSizeListArray.from_arrays(
                pa.array(values.reshape(-1)), values.shape[1], mask=pa.array(lacks)
            )
    return columns


def lend_images(worker: EmbedWorker, group: int) -> int:
    """Publish what the parts of a group lend, unless that is there; return the group's number.

    Of several rows of an image, the first that can be used is what is lent. One that no row has is
    not lent: each borrower looks at its own.

    Raises:
        CurateError: memory or the disk ran out.
    """
    job = worker.job
    path = job.shares.lent_path(job.output, group)
    with job.at_part(job.shares.groups[group][0]):
        if not storage.exists(path):
            _lend(job, group, path)
    return group


def _lend(job: EmbedJob, group: int, path: str) -> None:
    borrowers: list[NDArray[np.uint32]] = []
    places: list[NDArray[np.int64]] = []
    found: list[Records] = []
    num = 0
    for index in range(*job.shares.groups[group]):
        shares = job.shares.of(job.output, index)
        shares = shares[shares["lends"]]
        keys = Keys(shares)
        of_part, is_there = _usable(job, index, keys)
        of_part["high"][keys.places], of_part["low"][keys.places] = shares["high"], shares["low"]
        lent = is_there[keys.places]
        borrowers.append(shares["other"][lent])
        places.append(num + keys.places[lent])
        found.append(of_part)
        num += len(of_part)
    records, of = np.concatenate(found), np.concatenate(borrowers)
    order = np.argsort(of, kind="stable")
    ends = np.searchsorted(of[order], np.arange(len(job.sources) + 1))
    at = np.concatenate(places)[order]
    write_pieces(path, len(job.sources), lambda part: records[at[ends[part] : ends[part + 1]]])


def _usable(job: EmbedJob, index: int, keys: Keys) -> tuple[Records, NDArray[np.bool_]]:
    """Return what a part knows of some images, and of which of them it has one that can be used."""
    found = np.zeros(len(keys), record_kind(job.width))
    is_there = np.zeros(len(keys), bool)
    if not len(keys):
        return found, is_there
    for batch, path in _rows(job, index):
        place = keys.find(batch.column("image_id"))
        usable = batch.column("width").is_valid().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero((place >= 0) & usable)
        rows = rows[~is_there[place[rows]]]
        which, first = np.unique(place[rows], return_index=True)
        if len(which):
            found[which] = records_of(batch.take(pa.array(rows[first])), job.width, path)
            is_there[which] = True
    return found, is_there


def _rows(job: EmbedJob, index: int) -> Iterator[tuple[pa.RecordBatch, str]]:
    """Yield the rows of a part that is done, or done but for what it borrows."""
    path = job.path(index)
    if not storage.exists(path):
        path = working_path(job.output, "owned", index)
    columns = ["image_id", *_COLUMNS[: None if job.width else -1]]
    job.require_own(path, index)
    with artifacts.open_parquet(path) as file:
        for batch in file.iter_batches(1 << 13, columns=columns):
            yield batch, path


def read_lent(job: EmbedJob, index: int) -> Records:
    """Return what is lent to a part, by all parts that it borrows from.

    Raises:
        ArtifactError: it is not what was written.
    """
    kind = record_kind(job.width)
    shares = job.shares.of(job.output, index)
    groups = job.shares.groups_of(shares["other"][~shares["lends"]])
    paths = (job.shares.lent_path(job.output, group) for group in groups)
    return np.concatenate([np.empty(0, kind), *(read_piece(path, index, kind) for path in paths)])
