"""What falls, by thing, in; a table of pairs that fall, part by part, out."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.files import storage
from curate.pipelines.dedup.things import Things
from curate.pipelines.embedded.plan import EmbeddedPlan
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import progress

__all__ = ["REASONS", "Fallen", "write_fallen"]

REASONS = ("duplicate_exact", "duplicate_perceptual", "duplicate_semantic")
_SCHEMA = pa.schema(
    {
        "pair_id": pa.string(), "image_id": pa.string(),
        "reason": pa.dictionary(pa.int32(), pa.string()), "distance": pa.float32(),
        "like_pair_id": pa.string(), "kept_pair_id": pa.string(),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """What became of things.

    Attributes:
        reason: a place in REASONS, -1 of those that stay; shape (num_things,).
        like: the thing that each was found to be like.
        kept: the thing at the end of these, which stays; of one that stays, itself.
        distance: from `like`: 0 of the same bytes; bits of 256; 1 - cosine.
    """

    reason: NDArray[np.int64]
    like: NDArray[np.int64]
    kept: NDArray[np.int64]
    distance: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Job:
    """What all parts have to know; `names` are the pairs of things that others fall for."""

    plan: EmbeddedPlan
    things: Things
    fallen: Fallen
    folder: str
    stamp: dict[str, Any]
    seed: int
    named: NDArray[np.int64]
    names: pa.Array


def write_fallen(
    plan: EmbeddedPlan, things: Things, fallen: Fallen, *, folder: str, stamp: dict[str, Any],
    seed: int, workers: int, quiet: bool,
) -> Counter[str]:  # fmt: skip
    """Write the pairs that fall, a file a part.

    Args:
        plan: of the vectors.
        things: all of them.
        fallen: what became of them.
        folder: for `pairs/NNNNN.parquet`.
        stamp: of each file, beside its part.
        seed: of the keys of things.
        workers: threads.
        quiet: no progress.

    Returns:
        Pairs that fall, by reason.
    """
    falls = fallen.reason >= 0
    named = np.unique(np.concatenate([fallen.like[falls], fallen.kept[falls]]))
    names = _pair_ids(plan, things, named)
    job = _Job(plan, things, fallen, folder, stamp, seed, named, names)
    tasks = list(range(len(plan.sources)))
    found = run_parts(
        _write_part, tasks, workers=workers, setup=lambda: job, arguments=(), threads=True
    )
    shown = progress(found, total=len(tasks), label="write", unit="part", quiet=quiet)
    return sum(shown, Counter[str]())


def _pair_ids(plan: EmbeddedPlan, things: Things, some: NDArray[np.int64]) -> pa.Array:
    """Return the id of the pair that stands for each of some things; shape (num,)."""
    parts, rows = things.parts_of(some)
    order = np.lexsort((rows, parts))
    pieces = []
    for part in np.unique(parts).tolist():
        wanted = rows[order][parts[order] == part]
        first = 0
        for batch in plan.batches(part, ["pair_id"], 1 << 16):
            begin, end = np.searchsorted(wanted, [first, first + batch.num_rows]).tolist()
            pieces.append(batch.column(0).take(pa.array(wanted[begin:end] - first)))
            first += batch.num_rows
    whole = pa.chunked_array(pieces, pa.string()).combine_chunks()
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return whole.take(pa.array(back))


def _write_part(job: _Job, part: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    path = storage.join(job.folder, "pairs", part_name(part, "parquet"))
    source = job.plan.sources[part].as_dict()
    if storage.exists(path):
        stamp = artifacts.read_stamp(path)
        if {**job.stamp, "source": source} == {k: stamp.get(k) for k in (*job.stamp, "source")}:
            return Counter(stamp["fallen"])
    with artifacts.parquet_writer(path, _SCHEMA) as writer:
        for batch in job.plan.batches(part, ["pair_id", "image_id"], 1 << 16):
            of_rows = job.things.of_rows(batch, job.seed)
            falls = job.fallen.reason[of_rows] >= 0
            some, left = of_rows[falls], batch.filter(pa.array(falls))
            codes = job.fallen.reason[some].astype(np.int32)
            counts += Counter({REASONS[c]: int(n) for c, n in enumerate(np.bincount(codes))})
            columns = [
                left.column("pair_id"), left.column("image_id"),
                pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(REASONS, pa.string())),
                pa.array(job.fallen.distance[some].astype(np.float32)),
                _named(job, job.fallen.like[some]), _named(job, job.fallen.kept[some]),
            ]  # fmt: skip
            writer.write(pa.RecordBatch.from_arrays(columns, schema=_SCHEMA))
        writer.close({**job.stamp, "source": source, "fallen": dict(sorted(counts.items()))}, "")
    return counts


def _named(job: _Job, some: NDArray[np.int64]) -> pa.Array:
    return job.names.take(pa.array(np.searchsorted(job.named, some)))
