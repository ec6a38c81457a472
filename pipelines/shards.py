"""WebDataset shards out of kept pairs: `<pair_id>.jpg|png|webp`, `.txt`, `.json`.

A shard holds a fixed number of kept pairs in the order of the matched parts, so which pairs are in
which shard follows from the number kept in each part, and any shard can be written by itself.
Next to each shard stands `NNNNN.json` with its sha256, written last: a shard without it is redone.
"""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.ids import short_hash
from pipelines import artifacts, storage
from pipelines.balance_part import BalanceJob, BalanceWorker
from pipelines.executor import run_parts
from pipelines.matched_plan import MatchedPlan
from pipelines.progress import progress
from pipelines.read_tar import IMAGE_SUFFIXES
from pipelines.records import ColumnNames, find_column, text_column
from pipelines.sample_images import image_bytes
from pipelines.workspace import part_name

__all__ = ["has_images", "write_shards"]

_SAFE_KEY = re.compile(r"[0-9A-Za-z_-]{1,200}")
_MAGIC = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"RIFF": "webp"}


def has_images(plan: MatchedPlan) -> bool:
    """Tell whether the matched pairs come with images: inside, or in tars they point into."""
    if not plan.parts:
        return False
    with artifacts.open_parquet(plan.pairs_path(0)) as file:
        return not {"image", "image_file"}.isdisjoint(file.schema_arrow.names)


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard: its number, and the kept pairs it takes from each part, as (part, first, stop)."""

    index: int
    slices: tuple[tuple[int, int, int], ...]


def shard_tasks(num_kept: list[int], pairs_per_shard: int) -> list[ShardTask]:
    """Cut the kept pairs of all parts, one after the other, into shards.

    >>> [task.slices for task in shard_tasks([3, 0, 2], 2)]
    [((0, 0, 2),), ((0, 2, 3), (2, 0, 1)), ((2, 1, 2),)]
    """
    ends = list(accumulate(num_kept))
    tasks = []
    for index, first in enumerate(range(0, ends[-1] if ends else 0, pairs_per_shard)):
        stop = min(first + pairs_per_shard, ends[-1])
        slices = [
            (part, max(first, end - num) - (end - num), min(stop, end) - (end - num))
            for part, (end, num) in enumerate(zip(ends, num_kept, strict=True))
            if num and end > first and end - num < stop
        ]
        tasks.append(ShardTask(index, tuple(slices)))
    return tasks


def write_shards(
    job: BalanceJob, num_kept: list[int], pairs_per_shard: int, *, workers: int, quiet: bool
) -> None:
    """Write the shards that are not there yet.

    Args:
        job: of the run; its probabilities are written.
        num_kept: kept pairs of each part.
        pairs_per_shard: pairs in every shard but the last.
        workers: processes.
        quiet: no progress.
    """
    tasks = [t for t in shard_tasks(num_kept, pairs_per_shard) if not _is_done(job, t)]
    results = run_parts(_write_shard, tasks, workers=workers, setup=BalanceWorker, arguments=(job,))
    for _ in progress(results, total=len(tasks), label="shards", unit="shard", quiet=quiet):
        pass


def _paths(job: BalanceJob, index: int) -> tuple[str, str]:
    folder = storage.join(job.output, "shards")
    return (
        storage.join(folder, part_name(index, "tar")),
        storage.join(folder, part_name(index, "json")),
    )


def _is_done(job: BalanceJob, task: ShardTask) -> bool:
    tar, sidecar = _paths(job, task.index)
    if not (storage.exists(tar) and storage.exists(sidecar)):
        return False
    found = storage.read_json(sidecar)
    artifacts.require_same(tar, {"parameters": found["parameters"]}, {"parameters": job.parameters})
    return True


def _write_shard(worker: BalanceWorker, task: ShardTask) -> int:
    import webdataset

    tar, sidecar = _paths(worker.job, task.index)
    num_pairs = num_images = 0
    with storage.publish(tar) as file:
        hashing = _HashingFile(file)
        # Fixed owner and time: the same pairs are the same bytes.
        with webdataset.TarWriter(
            hashing, user="curate", group="curate", mtime=0, encoder=False
        ) as writer:
            seen: set[str] = set()
            for sample in _samples(worker, task):
                if sample["__key__"] in seen:  # the input's ids repeat: a reader would lose these
                    sample["__key__"] = short_hash(f"{sample['__key__']}\t{num_pairs}")
                seen.add(sample["__key__"])
                writer.write(sample)
                num_pairs += 1
                num_images += any(s in sample for s in IMAGE_SUFFIXES)
    values = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "parameters": worker.job.parameters,
        "sha256": hashing.digest.hexdigest(),
        "pairs": num_pairs,
        "images": num_images,
    }
    storage.write_json(sidecar, values)
    return num_pairs


class _HashingFile(io.RawIOBase):
    """Pass bytes on to a file and hash them on the way."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.digest = sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return int(self._file.write(data))


def _samples(worker: BalanceWorker, task: ShardTask) -> Iterator[dict[str, Any]]:
    for part, first, stop in task.slices:
        path = storage.join(worker.job.matched, "pairs", part_name(part, "parquet"))
        rows, probability = worker.kept_rows(path)
        with artifacts.open_parquet(path) as file:
            for batch, at in _batches_of_rows(file, rows[first:stop]):
                columns = _SampleColumns.of(batch.schema, worker.job.columns, path)
                for row, p in enumerate(probability[first:stop][at].tolist()):
                    yield columns.sample(batch, row, p)


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


@dataclass(frozen=True, slots=True)
class _SampleColumns:
    """Names of the columns that a sample is made of."""

    text: str
    url: str | None

    @classmethod
    def of(cls, schema: pa.Schema, names: ColumnNames, path: str) -> "_SampleColumns":
        return cls(text_column(schema, names, path), find_column(schema, "url", names, path))

    def sample(self, batch: pa.RecordBatch, row: int, probability: float) -> dict[str, Any]:
        """Return a pair as WebDataset writes it; without an image if the input has none for it."""
        about = {
            "url": batch.column(self.url)[row].as_py() if self.url else None,
            "lang": batch.column("lang")[row].as_py(),
            "entry_ids": batch.column("entry_ids")[row].as_py(),
            "probability": probability,
        }
        image = image_bytes(batch, row)
        pair_id = batch.column("pair_id")[row].as_py()
        key = sample_key(pair_id)
        if key != pair_id:
            about["pair_id"] = pair_id
        return {
            "__key__": key,
            **({suffix: image} if image and (suffix := _suffix(image)) else {}),
            "txt": batch.column(self.text)[row].as_py().encode(),
            "json": json.dumps(about, ensure_ascii=False).encode(),
        }


def sample_key(pair_id: str) -> str:
    """Return a pair's key in a tar: its id, or a hash of one that would not come back whole.

    WebDataset ends a key at the first point and takes a slash for a folder.

    >>> sample_key("0a1b"), sample_key("img.001")
    ('0a1b', '046e775769004ba9f8026c54')
    """
    return pair_id if _SAFE_KEY.fullmatch(pair_id) else short_hash(pair_id)


def _suffix(image: bytes) -> str:
    """Return the file name suffix of an image, or "" if it is no JPEG, PNG or WebP."""
    return next((s for magic, s in _MAGIC.items() if image.startswith(magic)), "")
