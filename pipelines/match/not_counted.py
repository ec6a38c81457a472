"""Matched pairs that are on a list of drops, counted: by language and reason, with their facts."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.columns.images import FILE_COLUMNS, image_column
from curate.pipelines.inputs.records import ColumnNames, find_column
from curate.pipelines.match.summary import PartSummary
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.facts import pair_facts
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts

__all__ = ["leave_out_drops"]

_ROWS = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every part has to know."""

    plan: MatchedPlan
    drops: Drops
    columns: ColumnNames


def leave_out_drops(plan: MatchedPlan, drops: Drops, total: PartSummary, *, workers: int) -> None:
    """Move pairs that do not count from the matched ones to the dropped ones.

    Args:
        plan: of the matches.
        drops: which pairs do not count.
        total: of all parts; changed.
        workers: threads.
    """
    job = _Job(plan=plan, drops=drops, columns=ColumnNames(**plan.parameters["columns"]))
    found = run_parts(
        _of_part, list(range(len(plan.parts))), workers=workers, setup=lambda: job, arguments=(),
        threads=True,
    )  # fmt: skip
    for numbers, facts in found:
        for (lang, reason), num in numbers.items():
            total.by_lang[lang]["matched"] -= num
            total.by_lang[lang][reason] += num
        total.facts.subtract(facts)


def _of_part(job: _Job, index: int) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    numbers: Counter[tuple[str, str]] = Counter()
    facts: Counter[str] = Counter()
    path = job.plan.pairs_path(index)
    with artifacts.open_parquet(path) as file:
        schema = file.schema_arrow
        wanted = {"pair_id", "lang", *FILE_COLUMNS, image_column(schema, job.columns.image),
                  find_column(schema, "url", job.columns, path)}  # fmt: skip
        names = [name for name in schema.names if name in wanted]
        for batch in file.iter_batches(_ROWS, columns=names):
            counts = job.drops.counting(batch)
            if not counts.all():
                numbers += job.drops.numbers(batch)
                facts += pair_facts(batch.filter(pa.array(~counts)), job.columns)
    return numbers, facts
