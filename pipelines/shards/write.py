"""WebDataset shards out of kept pairs: `<pair_id>.jpg|png|webp`, `.txt`, `.json`.

A shard holds a fixed number of kept pairs, in the order of a hash of their ids (not the hash that
decides whether they are kept). All of them are mixed (`mixed`); or, where a window is given or all
fit in one, they are taken in the order of the matched parts, a window of some shards at a time. So
what is in which shard follows from the hash, or from the number kept in each part, and any shard
can be written by itself.

Beside each shard stand `NNNNN.idx`, where its samples are, and `NNNNN.json` with its sha256,
written last: a shard without it is redone.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from curate.errors import UsageError
from curate.files import storage
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.columns.images import image_column
from curate.pipelines.matched.decisions import BalanceJob, BalanceWorker
from curate.pipelines.matched.image_sources import DownloadedShards
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.images import require_pillow
from curate.pipelines.shards.mixed import write_mixed
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.shards.spool import Spool
from curate.pipelines.shards.waiting import Waiting, gather, is_done, write_shard
from curate.pipelines.shards.windows import Window, windows
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log, progress

__all__ = ["has_images", "pairs_per_shard", "write_shards"]

_BESIDE_IMAGE = 2560  # bytes of headers, padding and the end of short texts in a sample


def has_images(plan: MatchedPlan) -> bool:
    """Tell whether any matched pair comes with an image: inside, or in a file it points into."""
    summary = plan.summary() or {}
    if "with_image" in summary:
        return bool(summary["with_image"])
    return any(_has_image_columns(plan, index) for index in range(len(plan.parts)))


def _has_image_columns(plan: MatchedPlan, index: int) -> bool:
    """Look at a part itself, of matches whose summary does not tell: of version 0.1."""
    with artifacts.open_parquet(plan.pairs_path(index)) as file:
        schema = file.schema_arrow
    chosen = plan.parameters["columns"].get("image")
    return "image_file" in schema.names or image_column(schema, chosen) is not None


def pairs_per_shard(
    plan: MatchedPlan, shard_bytes: int, downloaded: DownloadedShards | None = None
) -> int:
    """Return how many pairs make a shard of about a size, by the mean of all matched pairs.

    Raises:
        UsageError: there are no images.
    """
    if downloaded is not None and downloaded.images:
        return max(1, round(shard_bytes * downloaded.images / downloaded.size_bytes))
    chosen = plan.parameters["columns"].get("image")
    total = num = 0
    for index in range(len(plan.parts)):
        with artifacts.open_parquet(plan.pairs_path(index)) as file:
            num += file.metadata.num_rows
            if "image_size" in file.schema_arrow.names:
                sizes = file.read(columns=["image_size"]).column("image_size")
                total += int(np.nansum(sizes.to_numpy()))
            total += _stored_bytes(file.metadata, image_column(file.schema_arrow, chosen))
    if not total:
        raise UsageError("--shard-size needs pairs that have images; give --pairs-per-shard")
    return max(1, round(shard_bytes / (total / num + _BESIDE_IMAGE)))


def _stored_bytes(metadata: pq.FileMetaData, column: str | None) -> int:
    """Return the size of a column of images in a Parquet file, before compression."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    return sum(
        int(chunk.total_uncompressed_size)
        for chunk in chunks
        if chunk.path_in_schema.split(".")[0] == column
    )


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
        MissingExtraError: images are to be resized or converted, and Pillow is not installed.
    """
    if options.resize.mode != "no":
        require_pillow("Resizing images")
    window_shards = options.window_of(sum(num_kept), per_shard)
    if window_shards is None:
        converted = write_mixed(job, num_kept, per_shard, options, workers=workers, quiet=quiet)
    else:
        cut = windows(num_kept, per_shard, window_shards)
        converted = _write_windows(job, cut, options, workers=workers, quiet=quiet)
    if converted and options.resize.mode == "no":
        kinds = ", ".join(f"{num:,} {kind}" for kind, num in sorted(converted.items()))
        log(
            f"images that became {options.image_format}, so that all have one suffix: {kinds}; "
            "--image-format keep leaves them as they are",
            quiet=quiet,
        )


def _write_windows(
    job: BalanceJob, cut: list[Window], options: ShardOptions, *, workers: int, quiet: bool
) -> Counter[str]:
    tasks = [
        _Task(window, options)
        for window in cut
        if not all(is_done(job, shard) for shard, _, _ in window.shards())
    ]
    results = run_parts(
        _write_window, tasks, workers=workers, setup=BalanceWorker, arguments=(job,), anywhere=True
    )
    shown = progress(results, total=len(tasks), label="shards", unit="window", quiet=quiet)
    return sum(shown, Counter[str]())


def _write_window(worker: BalanceWorker, task: _Task) -> Counter[str]:
    """Gather the samples of a window in the order of their parts; write them in that of a hash."""
    job, options = worker.job, task.options
    draws: list[float] = []
    waiting: list[Waiting] = []
    converted = Counter[str]()
    with Spool(storage.join(job.output, "shards")) as spool:
        for draw, sample, content in gather(worker, task.window.slices, options):
            draws.append(draw)
            waiting.append((sample, spool.add(content)))
        if options.window_shards != 0:
            waiting = [waiting[i] for i in np.argsort(np.array(draws), kind="stable").tolist()]
        for shard, first, stop in task.window.shards():
            if not is_done(job, shard):
                converted += write_shard(job, shard, waiting[first:stop], spool)
    return converted
