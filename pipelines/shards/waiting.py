"""Samples that wait in a spool until their shard is written: gathered from pairs, then written."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.files import storage
from curate.files.sums import has_right_size
from curate.pipelines.matched.decisions import BalanceJob, BalanceWorker
from curate.pipelines.matched.facts import CONTENT, ContentNote, RowNote, row_notes
from curate.pipelines.shards.images import image_of_shard
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.shards.samples import SampleColumns, encode_json, sample_key, unique_key
from curate.pipelines.shards.sources import ImageReader
from curate.pipelines.shards.spool import Spool
from curate.pipelines.shards.tar import shard_writer
from curate.pipelines.shards.windows import order_draws
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = [
    "Sample", "Waiting", "gather", "is_done", "packed", "shard_paths", "unpacked", "write_shard",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of a sample beside its bytes, which are image, text and JSON.

    Attributes:
        pair_id: of the pair.
        suffix: of its image; "" without one.
        reason: why it has none.
        converted: format that the image had before; "" if it is as it was.
        image: bytes of the image.
        text: bytes of the text.
        without_url: the pair has none.
        note: what is noted of its text and URL for the data card.
    """

    pair_id: str
    suffix: str
    reason: str
    converted: str
    image: int
    text: int
    without_url: bool = False
    note: RowNote = (None, None, None, None)

    def members(self, content: bytes) -> dict[str, bytes]:
        """Cut the bytes into the files of a sample."""
        image, text = self.image, self.image + self.text
        files = {self.suffix: content[:image]} if self.suffix else {}
        return {**files, "txt": content[image:text], "json": content[text:]}


Waiting = tuple[Sample, tuple[int, int]]  # a sample and the place of its bytes in a spool


def packed(sample: Sample, content: bytes) -> bytes:
    """Return a sample with its bytes as one piece."""
    head = json.dumps(astuple(sample)).encode()
    return b"".join((len(head).to_bytes(4, "little"), head, content))


def unpacked(piece: bytes) -> tuple[Sample, bytes]:
    """Return the sample and the bytes that `packed` was given."""
    end = 4 + int.from_bytes(piece[:4], "little")
    return Sample(*json.loads(piece[4:end])), piece[end:]


def gather(
    worker: BalanceWorker,
    slices: Iterable[tuple[int, int, int]],
    options: ShardOptions,
) -> Iterator[tuple[float, Sample, bytes]]:
    """Yield the kept pairs of slices of parts, in their order: draw, sample, and its bytes.

    Args:
        worker: of the run.
        slices: part, first and stop among its kept pairs.
        options: of the shards.
    """
    job = worker.job
    if job.images is None:
        raise AssertionError("shards are written without saying where images may be")
    images = ImageReader(job.images, job.columns.image)
    try:
        for part, path, batch, probability, at in _batches(worker, slices):
            images.begin_part(part, path)
            draws = order_draws(batch.column("pair_id"), job.seed).tolist()
            columns = SampleColumns.of(batch.schema, job.columns, path)
            notes = row_notes(batch, job.columns, job.content_share)
            for row, (pair_id, text, about) in enumerate(columns.pairs(batch)):
                about["probability"] = probability[row]
                found = image_of_shard(images.read(batch, row, part, at[row]), options)
                key = sample_key(pair_id)
                described = encode_json(about if key == pair_id else {**about, "pair_id": pair_id})
                sample = Sample(
                    pair_id, found.suffix, found.reason, found.converted,
                    len(found.content), len(text), not about["url"], notes[row],
                )  # fmt: skip
                yield draws[row], sample, b"".join((found.content, text, described))
    finally:
        images.close()


def _batches(
    worker: BalanceWorker, slices: Iterable[tuple[int, int, int]]
) -> Iterator[tuple[int, str, pa.RecordBatch, list[float], list[int]]]:
    """Yield pairs in the order of their parts, with part, probabilities, and rows in the part."""
    for part, first, stop in slices:
        path = storage.join(worker.job.matched, "pairs", part_name(part, "parquet"))
        rows, probability = worker.kept_rows(path)
        with artifacts.open_parquet(path) as file:
            for batch, at in _batches_of_rows(file, rows[first:stop]):
                found = probability[first:stop][at].tolist()
                yield part, path, batch, found, rows[first:stop][at].tolist()


def _batches_of_rows(
    file: pq.ParquetFile, rows: NDArray[np.int64]
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.int64]]]:
    """Yield given rows of a file, row group by row group, and their positions in `rows`."""
    start = 0
    for group in range(file.num_row_groups):
        stop = start + file.metadata.row_group(group).num_rows
        at = np.flatnonzero((rows >= start) & (rows < stop))
        if len(at):
            table = file.read_row_group(group).take(pa.array(rows[at] - start))
            batch = table.combine_chunks().to_batches()[0]
            yield batch, at
        start = stop


def shard_paths(job: BalanceJob, index: int) -> tuple[str, str, str]:
    """Return the paths of a shard's tar, index and sums."""
    folder = storage.join(job.output, "shards")
    tar, idx, sidecar = (storage.join(folder, part_name(index, s)) for s in ("tar", "idx", "json"))
    return tar, idx, sidecar


def is_done(job: BalanceJob, index: int) -> bool:
    """Tell whether a shard is there, as long as it was when it was written.

    Raises:
        ArtifactError: it is one of another set.
    """
    tar, idx, sidecar = shard_paths(job, index)
    if not all(storage.exists(path) for path in (tar, idx, sidecar)):
        return False
    found = artifacts.read_json(sidecar)
    artifacts.require_same(tar, {"parameters": found["parameters"]}, {"parameters": job.parameters})
    return has_right_size(tar, found)


def write_shard(job: BalanceJob, shard: int, waiting: list[Waiting], spool: Spool) -> Counter[str]:
    """Write a shard; return how many of its images were converted, by what they were."""
    tar, _, sidecar = shard_paths(job, shard)
    seen: set[str] = set()
    with shard_writer(tar) as writer:
        for sample, place in waiting:
            key = unique_key(sample.pair_id, seen)
            writer.add(key, sample.members(spool.get(place)))
    content = ContentNote(job.content_share)
    for sample, _ in waiting:
        content.add_row(sample.note, has_url=not sample.without_url)
    missing = Counter(sample.reason for sample, _ in waiting if sample.reason)
    converted = Counter(sample.converted for sample, _ in waiting if sample.converted)
    values: dict[str, Any] = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "parameters": job.parameters,
        "sha256": writer.sha256,
        "size_bytes": writer.size_bytes,
        **writer.sums,
        "pairs": len(waiting),
        "images": len(waiting) - missing.total(),
        "without_image": dict(sorted(missing.items())),
        **({"without_url": num} if (num := sum(s.without_url for s, _ in waiting)) else {}),
        **({"converted": dict(sorted(converted.items()))} if converted else {}),
        CONTENT: content.as_dict(),
    }
    artifacts.write_json(sidecar, values)
    return converted
