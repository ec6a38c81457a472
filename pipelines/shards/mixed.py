"""All kept pairs mixed: a pair's shard is a function of the hash of its id, wherever it came from.

First each part writes its kept pairs with their images into a run, in the order of the hash; then
each shard takes its range of the hash out of all runs. So every byte is written once more and read
once more, and the runs take as much room beside the shards as these do, until all are written. A
run and a shard are each whole or not there, so a killed command goes on with what is missing.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from curate.files import storage
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.matched.decisions import BalanceJob, BalanceWorker
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.shards.runs import Run, checksum, shard_bounds, write_run
from curate.pipelines.shards.spool import Spool
from curate.pipelines.shards.waiting import (
    Waiting,
    gather,
    is_done,
    packed,
    unpacked,
    write_shard,
)
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import progress

__all__ = ["RUNS", "write_mixed"]

RUNS = "_runs"  # a folder in that of the shards


@dataclass(frozen=True, slots=True)
class _PartTask:
    part: int
    num_kept: int
    options: ShardOptions


@dataclass(frozen=True, slots=True)
class _ShardTask:
    """A shard: its number, its range of draws, and the parts that have kept pairs."""

    shard: int
    low: float
    high: float
    parts: tuple[int, ...]


def write_mixed(
    job: BalanceJob, num_kept: list[int], per_shard: int, options: ShardOptions, *,
    workers: int, quiet: bool,
) -> Counter[str]:  # fmt: skip
    """Write the shards that are not there yet.

    Args:
        job: of the run; its probabilities are written.
        num_kept: kept pairs of each part.
        per_shard: pairs in every shard but the last.
        options: of the shards.
        workers: processes.
        quiet: no progress.

    Returns:
        How many of the images were converted, by what they were.
    """
    num_shards = -(-sum(num_kept) // per_shard)
    missing = [shard for shard in range(num_shards) if not is_done(job, shard)]
    if missing:
        parts = tuple(part for part, num in enumerate(num_kept) if num)
        tasks = [_PartTask(part, num_kept[part], options) for part in parts
                 if not storage.exists(_run_path(job, part))]  # fmt: skip
        done = run_parts(
            _write_run, tasks, workers=workers, setup=BalanceWorker, arguments=(job,), anywhere=True
        )
        for _ in progress(done, total=len(tasks), label="mix", unit="part", quiet=quiet):
            pass
        bounds = shard_bounds([Run(_run_path(job, p)).draws() for p in parts], per_shard).tolist()
        wanted = [_ShardTask(n, bounds[n], bounds[n + 1], parts) for n in missing]
        written = run_parts(
            _write_shard, wanted, workers=workers, setup=BalanceWorker, arguments=(job,),
            anywhere=True,
        )  # fmt: skip
        shown = progress(written, total=len(wanted), label="shards", unit="shard", quiet=quiet)
        converted = sum(shown, Counter[str]())
    else:
        converted = Counter[str]()
    storage.remove(storage.join(job.output, "shards", RUNS))
    return converted


def _run_path(job: BalanceJob, part: int) -> str:
    return storage.join(job.output, "shards", RUNS, part_name(part, "run"))


def _write_run(worker: BalanceWorker, task: _PartTask) -> int:
    """Write the kept pairs of a part, with their images, in the order of their draws."""
    job = worker.job
    draws, places, sums = [], [], []
    with Spool(storage.join(job.output, "shards")) as spool:
        slices = [(task.part, 0, task.num_kept)]
        for draw, sample, content in gather(worker, slices, task.options):
            piece = packed(sample, content)
            draws.append(draw)
            places.append(spool.add(piece))
            sums.append(checksum(piece))
        write_run(_run_path(job, task.part), np.array(draws), places, sums, spool)
    return len(draws)


def _write_shard(worker: BalanceWorker, task: _ShardTask) -> Counter[str]:
    """Take a shard's pairs out of all runs; write them in the order of their draws."""
    job = worker.job
    draws: list[float] = []
    waiting: list[Waiting] = []
    with Spool(storage.join(job.output, "shards")) as spool:
        for part in task.parts:
            for draw, piece in Run(_run_path(job, part)).between(task.low, task.high):
                sample, content = unpacked(piece)
                draws.append(draw)
                waiting.append((sample, spool.add(content)))
        order = np.argsort(np.array(draws), kind="stable").tolist()
        return write_shard(job, task.shard, [waiting[i] for i in order], spool)
