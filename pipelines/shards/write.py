"""WebDataset shards out of kept pairs: `<pair_id>.jpg|png|webp`, `.txt`, `.json`.

A shard holds a fixed number of kept pairs. Pairs are taken in the order of the matched parts, a
window of some shards at a time; within a window they are put in the order of a hash of their ids
(not the hash that decides whether they are kept). So what is in which shard follows from the number
kept in each part, and any window can be written by itself.

Beside each shard stand `NNNNN.idx`, where its samples are, and `NNNNN.json` with its sha256,
written last: a shard without it is redone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws
from curate.errors import UsageError
from curate.files import storage
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.matched.decisions import BalanceJob, BalanceWorker
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.images import (
    UnusableImageError,
    image_suffix,
    prepare_image,
    require_pillow,
)
from curate.pipelines.shards.options import Resize, ShardOptions
from curate.pipelines.shards.samples import SampleColumns, encode_json, sample_key, unique_key
from curate.pipelines.shards.sources import ImageReader
from curate.pipelines.shards.spool import Spool
from curate.pipelines.shards.tar import shard_writer
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import progress

__all__ = ["Window", "has_images", "order_draws", "pairs_per_shard", "windows", "write_shards"]

# Added to the seed of the draws: in the order of those, likely pairs would stand behind others.
_ORDER = 0x9E3779B97F4A7C15
_BESIDE_IMAGE = 2560  # bytes of headers, padding and the end of short texts in a sample


def has_images(plan: MatchedPlan) -> bool:
    """Tell whether the matched pairs come with images: inside, or in files they point into."""
    if not plan.parts:
        return False
    with artifacts.open_parquet(plan.pairs_path(0)) as file:
        return not {"image", "image_file"}.isdisjoint(file.schema_arrow.names)


def pairs_per_shard(plan: MatchedPlan, shard_bytes: int) -> int:
    """Return how many pairs make a shard of about a size, by the mean of all matched pairs.

    Raises:
        UsageError: there are no images.
    """
    total = num = 0
    for index in range(len(plan.parts)):
        with artifacts.open_parquet(plan.pairs_path(index)) as file:
            num += file.metadata.num_rows
            if "image_size" in file.schema_arrow.names:
                sizes = file.read(columns=["image_size"]).column("image_size")
                total += int(np.nansum(sizes.to_numpy()))
            total += _stored_bytes(file.metadata)
    if not total:
        raise UsageError("--shard-size needs pairs that have images; give --pairs-per-shard")
    return max(1, round(shard_bytes / (total / num + _BESIDE_IMAGE)))


def _stored_bytes(metadata: pq.FileMetaData) -> int:
    """Return the size of the column `image` in a Parquet file, before compression."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    return sum(
        int(chunk.total_uncompressed_size)
        for chunk in chunks
        if chunk.path_in_schema.split(".")[0] == "image"
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Neighbouring shards that are filled together.

    Attributes:
        first_shard: number of the first one.
        pairs_per_shard: pairs in each but the very last.
        slices: the kept pairs it takes from each part, as (part, first, stop).
    """

    first_shard: int
    pairs_per_shard: int
    slices: tuple[tuple[int, int, int], ...]

    @property
    def num_pairs(self) -> int:
        """Pairs in all of its shards."""
        return sum(stop - first for _, first, stop in self.slices)

    def shards(self) -> list[tuple[int, int, int]]:
        """Return the number of each shard, and the first and stop of its pairs in the window."""
        per, num = self.pairs_per_shard, self.num_pairs
        return [
            (self.first_shard + i, first, min(first + per, num))
            for i, first in enumerate(range(0, num, per))
        ]


def windows(num_pairs: Sequence[int], per_shard: int, window_shards: int) -> list[Window]:
    """Cut the pairs of all parts, one after the other, into windows of shards.

    >>> [window.slices for window in windows([3, 0, 2], 2, 1)]
    [((0, 0, 2),), ((0, 2, 3), (2, 0, 1)), ((2, 1, 2),)]
    >>> windows([3, 0, 2], 2, 2)[0].shards()
    [(0, 0, 2), (1, 2, 4)]
    """
    ends = list(accumulate(num_pairs))
    size = per_shard * max(1, window_shards)
    found = []
    for index, first in enumerate(range(0, ends[-1] if ends else 0, size)):
        stop = min(first + size, ends[-1])
        slices = [
            (part, max(first, end - num) - (end - num), min(stop, end) - (end - num))
            for part, (end, num) in enumerate(zip(ends, num_pairs, strict=True))
            if num and end > first and end - num < stop
        ]
        found.append(Window(index * max(1, window_shards), per_shard, tuple(slices)))
    return found


def order_draws(pair_ids: pa.StringArray, seed: int) -> NDArray[np.float64]:
    """Return the numbers in whose order the pairs of a window stand in its shards."""
    return hash_draws(pair_ids, (seed + _ORDER) % 2**64)


@dataclass(frozen=True, slots=True)
class _Task:
    window: Window
    options: ShardOptions


def write_shards(
    job: BalanceJob,
    num_kept: list[int],
    per_shard: int,
    options: ShardOptions,
    *,
    workers: int,
    quiet: bool,
) -> None:
    """Write the shards that are not there yet.

    Args:
        job: of the run; its probabilities are written.
        num_kept: kept pairs of each part.
        per_shard: pairs in every shard but the last.
        options: of the shards.
        workers: processes.
        quiet: no progress.

    Raises:
        MissingExtraError: images are to be resized, and Pillow is not installed.
    """
    if options.resize.mode != "no":
        require_pillow("Resizing images")
    tasks = [
        _Task(window, options)
        for window in windows(num_kept, per_shard, options.window_shards)
        if not all(_is_done(job, shard) for shard, _, _ in window.shards())
    ]
    results = run_parts(
        _write_window, tasks, workers=workers, setup=BalanceWorker, arguments=(job,), anywhere=True
    )
    for _ in progress(results, total=len(tasks), label="shards", unit="window", quiet=quiet):
        pass


def _paths(job: BalanceJob, index: int) -> tuple[str, str, str]:
    folder = storage.join(job.output, "shards")
    tar, idx, sidecar = (storage.join(folder, part_name(index, s)) for s in ("tar", "idx", "json"))
    return tar, idx, sidecar


def _is_done(job: BalanceJob, index: int) -> bool:
    tar, idx, sidecar = _paths(job, index)
    if not all(storage.exists(path) for path in (tar, idx, sidecar)):
        return False
    found = storage.read_json(sidecar)
    artifacts.require_same(tar, {"parameters": found["parameters"]}, {"parameters": job.parameters})
    return True


@dataclass(slots=True)
class _Waiting:
    """A sample whose image, text and JSON are in the spool."""

    pair_id: str
    suffix: str
    reason: str
    place: tuple[int, int]
    lengths: tuple[int, int]

    def members(self, content: bytes) -> dict[str, bytes]:
        image, text = self.lengths[0], sum(self.lengths)
        files = {self.suffix: content[:image]} if self.suffix else {}
        return {**files, "txt": content[image:text], "json": content[text:]}


def _write_window(worker: BalanceWorker, task: _Task) -> int:
    """Gather the samples of a window in the order of their parts; write them in that of a hash."""
    job, options = worker.job, task.options
    if options.resize.mode != "no":
        require_pillow("Resizing images")  # here too: its limit of pixels is the process's own
    with Spool(storage.join(job.output, "shards")) as spool:
        waiting, draws = _gather(worker, task, spool)
        if options.window_shards:
            waiting = [waiting[i] for i in np.argsort(draws, kind="stable").tolist()]
        for shard, first, stop in task.window.shards():
            if not _is_done(job, shard):
                _write_shard(job, shard, waiting[first:stop], spool)
    return len(waiting)


def _gather(
    worker: BalanceWorker, task: _Task, spool: Spool
) -> tuple[list[_Waiting], NDArray[np.float64]]:
    job, waiting, draws = worker.job, [], []
    if job.images is None:
        raise AssertionError("shards are written without saying where images may be")
    images = ImageReader(job.images)
    for part, path, batch, probability in _batches(worker, task.window):
        draws.append(order_draws(batch.column("pair_id"), job.seed))
        columns = SampleColumns.of(batch.schema, job.columns, path)
        for row, (pair_id, text, about) in enumerate(columns.pairs(batch)):
            about["probability"] = probability[row]
            suffix, image, reason = _shard_image(images.read(batch, row, part), task.options.resize)
            waiting.append(_add(spool, pair_id, suffix, image, text, about, reason))
    images.close()
    return waiting, np.concatenate(draws)


def _add(
    spool: Spool, pair_id: str, suffix: str, image: bytes, text: bytes, about: dict[str, Any],
    reason: str,
) -> _Waiting:  # fmt: skip
    key = sample_key(pair_id)
    described = encode_json(about if key == pair_id else {**about, "pair_id": pair_id})
    place = spool.add(b"".join((image, text, described)))
    return _Waiting(pair_id, suffix, reason, place, (len(image), len(text)))


def _shard_image(content: bytes | None, resize: Resize) -> tuple[str, bytes, str]:
    """Return the suffix and the bytes of an image; or why there is none."""
    if not content:
        return "", b"", "no_image"
    if resize.mode == "no":
        suffix = image_suffix(content)
        return (suffix, content, "") if suffix else ("", b"", "not_jpeg_png_or_webp")
    try:
        image = prepare_image(content, resize)
    except UnusableImageError as error:
        return "", b"", error.reason
    return image.suffix, image.content, ""


def _write_shard(job: BalanceJob, shard: int, waiting: list[_Waiting], spool: Spool) -> None:
    tar, _, sidecar = _paths(job, shard)
    seen: set[str] = set()
    with shard_writer(tar) as writer:
        for sample in waiting:
            key = unique_key(sample.pair_id, seen)
            writer.add(key, sample.members(spool.get(sample.place)))
    missing = Counter(sample.reason for sample in waiting if sample.reason)
    values = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "parameters": job.parameters,
        "sha256": writer.sha256,
        "size_bytes": writer.size_bytes,
        "pairs": len(waiting),
        "images": len(waiting) - missing.total(),
        "without_image": dict(sorted(missing.items())),
    }
    storage.write_json(sidecar, values)


def _batches(
    worker: BalanceWorker, window: Window
) -> Iterator[tuple[int, str, pa.RecordBatch, list[float]]]:
    """Yield the pairs of a window in the order of their parts, with part and probabilities."""
    for part, first, stop in window.slices:
        path = storage.join(worker.job.matched, "pairs", part_name(part, "parquet"))
        rows, probability = worker.kept_rows(path)
        with artifacts.open_parquet(path) as file:
            for batch, at in _batches_of_rows(file, rows[first:stop]):
                yield part, path, batch, probability[first:stop][at].tolist()


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
