"""Take retracted pairs out of a part of `matched/`: as if they had been left out from the start."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.inputs.rows import Part
from curate.pipelines.match.summary import PartSummary
from curate.pipelines.matched.counting import split_by_language
from curate.pipelines.matched.facts import pair_facts
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.tombstones import RETRACTED, Tombstones
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["purge_parts"]

_COLUMNS = ["pair_id", "image_id", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeJob:
    """What every part has to know."""

    paths: list[str]
    parts: list[Part]
    tombstones: Tombstones
    metadata_hash: str
    columns: ColumnNames


def purge_parts(plan: MatchedPlan, metadata_hash: str, *, workers: int, quiet: bool) -> None:
    """Rewrite the parts that hold retracted pairs; those matched since hold none.

    Args:
        plan: of the parts.
        metadata_hash: that they depend on.
        workers: threads.
        quiet: no progress.
    """
    job = PurgeJob(
        paths=[plan.pairs_path(index) for index in range(len(plan.parts))],
        parts=plan.parts,
        tombstones=Tombstones.read(plan.folder),
        metadata_hash=metadata_hash,
        columns=ColumnNames(**plan.parameters["columns"]),
    )
    tasks = range(len(plan.parts))
    results = run_parts(
        purge_part, tasks, workers=workers, setup=lambda: job, arguments=(), threads=True,
        anywhere=True,
    )  # fmt: skip
    for _ in progress(results, total=len(tasks), label="retract", unit="part", quiet=quiet):
        pass


def purge_part(job: PurgeJob, index: int) -> int:
    """Rewrite a part without the retracted pairs, if it has any; return how many it had."""
    path, part = job.paths[index], job.parts[index]
    with artifacts.open_parquet(path) as file:
        columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
        batches = file.iter_batches(columns=columns)
        if not any(job.tombstones.hits(batch, part).any() for batch in batches):
            return 0
    stamp = artifacts.read_stamp(path)
    removed: Counter[str] = Counter()
    facts: Counter[str] = Counter()
    with artifacts.open_parquet(path) as file:
        with artifacts.parquet_writer(path, file.schema_arrow) as writer:
            for batch in file.iter_batches():
                hits = job.tombstones.hits(batch, part)
                for lang, rows in split_by_language(batch):
                    removed[lang] += int(np.count_nonzero(hits[rows]))
                facts.update(pair_facts(batch.filter(pa.array(hits)), job.columns))
                writer.write(batch.filter(pa.array(~hits)))
            summary = PartSummary.from_dict(stamp["summary"])
            summary.facts.subtract(facts)
            stamp["summary"] = _without(summary, removed)
            writer.close(stamp, job.metadata_hash)
    return removed.total()


def _without(summary: PartSummary, removed: Counter[str]) -> dict[str, object]:
    for lang, num in removed.items():
        if num:
            summary.by_lang[lang]["matched"] -= num
            summary.by_lang[lang][RETRACTED] += num
    return summary.as_dict()
