"""Embed one part: its images and texts in batches, on threads, and the rows in their order.

Of a part with images that an earlier one has, these are left out; `borrow` puts them in.
"""

import pyarrow as pa

from curate.files import storage
from curate.pipelines.embed.batches import Batches
from curate.pipelines.embed.rows import Chunk
from curate.pipelines.embed.shares import Keys, working_path
from curate.pipelines.embed.worker import EmbedWorker
from curate.pipelines.embedded.figures import PartFigures
from curate.pipelines.embedded.plan import embedding_schema
from curate.pipelines.executor.overlap import ahead
from curate.pipelines.store import artifacts

__all__ = ["embed_part"]


def embed_part(worker: EmbedWorker, index: int) -> tuple[int, int | None, PartFigures]:
    """Embed a part and publish its rows.

    Returns:
        Its number, the size of its file in bytes, None if it is not whole without what it borrows;
        and its figures, which stand in its stamp too.

    Raises:
        CurateError: memory or the disk ran out.
    """
    job = worker.job
    borrows = index in job.shares.borrowers
    path = working_path(job.output, "owned", index) if borrows else job.path(index)
    with job.at_part(index):
        figures = job.done_before(path, index) or _embed(worker, index, path, borrows=borrows)
        return index, None if borrows else storage.size_and_time(path)[0], figures


def _embed(worker: EmbedWorker, index: int, path: str, *, borrows: bool) -> PartFigures:
    job = worker.job
    batches = Batches(worker, job.repeated_ids(index))
    schema = embedding_schema(job.widths, with_images=job.models.wants_images, crops=job.views - 1)
    borrowed = None
    if borrows:
        shares = job.shares.of(job.output, index)
        borrowed = Keys(shares[~shares["lends"]])
        schema = schema.append(pa.field("borrowed", pa.bool_()))
    chunks = ahead(job.rows.chunks(index, with_texts=worker.encoders.text is not None), 1)
    with artifacts.parquet_writer(path, schema) as writer:
        for chunk in chunks:
            columns = _columns(worker, batches, chunk, borrowed)
            arrays = [columns[field.name].cast(field.type) for field in schema]
            writer.write(pa.record_batch(arrays, schema=schema))
        writer.close({**job.made_from(index), "summary": batches.figures.as_dict()}, "")
    return batches.figures


def _columns(
    worker: EmbedWorker, batches: Batches, chunk: Chunk, borrowed: Keys | None
) -> dict[str, pa.Array]:
    """Return the columns of a chunk."""
    columns: dict[str, pa.Array] = {
        "pair_id": chunk.pair_ids,
        "image_id": chunk.image_ids,
        "lang": chunk.langs.dictionary_encode(),
    }
    batches.figures.counts["pairs"] += len(chunk.pair_ids)
    left_out = None
    if borrowed is not None:
        left_out = borrowed.find(chunk.image_ids) >= 0
        columns["borrowed"] = pa.array(left_out)
    if worker.job.models.wants_images:
        columns |= batches.images(chunk, left_out)
    if worker.encoders.text is not None:
        columns["text"] = batches.texts(chunk.texts)
    return columns
