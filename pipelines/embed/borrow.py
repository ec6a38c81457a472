"""A part without what it borrows, and what other parts lend it, in; the part out.

An image that its owner could not use is looked at in each part that has it, as a part asks each of
its rows.
"""

from collections import Counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.files import storage
from curate.pipelines.embed.batches import Batches
from curate.pipelines.embed.lend import columns_of, read_lent, record_kind, records_of
from curate.pipelines.embed.shares import Keys, working_path
from curate.pipelines.embed.worker import EmbedWorker
from curate.pipelines.embedded.figures import BORROWED, PartFigures
from curate.pipelines.embedded.plan import embedding_schema
from curate.pipelines.store import artifacts

__all__ = ["borrow_images"]

_ROWS = 1 << 13


def borrow_images(worker: EmbedWorker, index: int) -> tuple[int, int, PartFigures]:
    """Publish a part whose own images were looked at; what it was without the others goes.

    Returns:
        Its number, the size of its file in bytes, and its figures, which stand in its stamp too.

    Raises:
        CurateError: memory or the disk ran out.
    """
    path = worker.job.path(index)
    with worker.job.at_part(index):
        figures = worker.job.done_before(path, index) or _borrow(worker, index, path)
        storage.remove(working_path(worker.job.output, "owned", index))
        return index, storage.size_and_time(path)[0], figures


def _borrow(worker: EmbedWorker, index: int, path: str) -> PartFigures:
    job = worker.job
    owned = working_path(job.output, "owned", index)
    figures = job.require_own(owned, index)
    with artifacts.open_parquet(owned) as file:
        table = file.read(columns=["image_id", "borrowed"]).combine_chunks()
    borrowed = table.column("borrowed").to_numpy()
    lent, place = _lent(worker, index, table.column("image_id"), borrowed)
    handed = place[place >= 0]
    figures.counts[BORROWED] = len(np.unique(handed))
    if job.width:
        with_vector = int(lent["there"][handed, -1].sum())
        figures.counts["image_vectors"] += with_vector
        figures.without_image += Counter(no_vector=len(handed) - with_vector)
    lost = np.flatnonzero(borrowed & (place < 0))
    found, of_lost = _looked_at(worker, index, lost)
    figures += of_lost
    schema, first = embedding_schema(job.widths, with_images=True), 0
    with artifacts.open_parquet(owned) as file, artifacts.parquet_writer(path, schema) as writer:
        for batch in file.iter_batches(_ROWS):
            records = records_of(batch, job.width, owned)
            here = place[first : first + len(records)]
            records[here >= 0] = lent[here[here >= 0]]
            from_, stop = np.searchsorted(lost, [first, first + len(records)]).tolist()
            records[lost[from_:stop] - first] = found[from_:stop]
            columns = {name: batch.column(name) for name in batch.schema.names}
            columns |= columns_of(records)
            arrays = [columns[field.name].cast(field.type) for field in schema]
            writer.write(pa.record_batch(arrays, schema=schema))
            first += len(records)
        writer.close({**job.made_from(index), "summary": figures.as_dict()}, "")
    return figures


def _lent(
    worker: EmbedWorker, index: int, ids: pa.ChunkedArray, borrowed: NDArray[np.bool_]
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Return what is lent to a part, and of each row the place in it; -1 where there is none."""
    lent = read_lent(worker.job, index)
    keys = Keys(lent)
    at = np.append(np.argsort(keys.places), -1)  # an image has one owner: no key comes twice
    place = np.full(len(ids), -1, np.int64)
    place[borrowed] = at[keys.find(ids.filter(pa.array(borrowed)).combine_chunks())]
    return lent, place


def _looked_at(
    worker: EmbedWorker, index: int, rows: NDArray[np.int64]
) -> tuple[NDArray[np.void], PartFigures]:
    """Look at the images of some rows of a part; return what is known of them, and figures."""
    job = worker.job
    schema = embedding_schema(job.widths, with_images=True)
    found = [np.empty(0, record_kind(job.width))]
    if not len(rows):
        return found[0], PartFigures()
    batches, first = Batches(worker, job.repeated_ids(index)), 0
    for chunk in job.rows.chunks(index, with_texts=False):
        num = len(chunk.pair_ids)
        here = rows[(rows >= first) & (rows < first + num)] - first
        if len(here):
            left_out = np.ones(num, bool)
            left_out[here] = False
            columns = batches.images(chunk, left_out)
            kinds = {name: schema.field(name).type for name in columns}
            batch = pa.record_batch({name: columns[name].cast(kinds[name]) for name in columns})
            found.append(records_of(batch.take(pa.array(here)), job.width, job.output))
        first += num
    return np.concatenate(found), batches.figures
