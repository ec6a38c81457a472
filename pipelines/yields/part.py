"""`curate yield`: stored matches → what many thresholds would keep, without matching again.

The way through: counts → t per language for each asked t → one pass over three columns of the
matches → expected and kept pairs per language, slots, tail share. The kept pairs are counted with
the draws that `balance` uses, so they are exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws, slots, tail_share
from curate.curation.sampling.tally import EntryRanges
from curate.curation.sampling.yields import Yields, pair_yields
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.matched.decisions import BATCH_ROWS, BalanceJob, BalanceWorker, in_order
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["Counts", "default_grid", "table_of_yields", "yields_by_language"]

Counts = dict[str, NDArray[np.int64]]
Thresholds = dict[str, int | None]


def default_grid(counts: Counts) -> list[int]:
    """Return 1, 2, 5, 10, 20, 50, … up to the first that is above every count.

    >>> default_grid({"en": np.array([3, 40])})
    [1, 2, 5, 10, 20, 50]
    """
    largest = max((int(c.max()) for c in counts.values() if len(c)), default=0)
    grid: list[int] = []
    for exponent in range(20):
        for digit in (1, 2, 5):
            if not grid or grid[-1] <= largest:
                grid.append(digit * 10**exponent)
    return grid


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every part has to know: of the languages in order, entries and thresholds.

    Attributes:
        index_of: position of each language.
        ranges: where its entries stand among those of all.
        entry_count: of the entries of all languages.
        thresholds: shape (num_languages, num_thresholds).
        filters: as `--filter` takes them; a pair that they drop is not kept.
    """

    plan: MatchedPlan
    index_of: dict[str, int]
    ranges: EntryRanges
    entry_count: NDArray[np.int64]
    thresholds: NDArray[np.int64]
    seed: int
    filters: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        plan: MatchedPlan,
        counts: Counts,
        grid: list[Thresholds],
        seed: int,
        filters: tuple[str, ...],
    ) -> "_Job":
        """Put the counts of all languages into one array."""
        sizes = np.array([len(count) for count in counts.values()], np.int64)
        return cls(
            plan=plan,
            index_of={lang: index for index, lang in enumerate(counts)},
            ranges=EntryRanges(np.cumsum(sizes) - sizes, sizes),
            entry_count=np.concatenate([np.zeros(0, np.int64), *counts.values()]),
            thresholds=np.array(
                [[t_of[lang] or 1 for t_of in grid] for lang in counts], np.int64
            ).reshape(len(counts), len(grid)),
            seed=seed,
            filters=filters,
        )


class _Worker:
    """What the parts of a worker share: the job, and the filters, which each process loads."""

    def __init__(self, job: _Job) -> None:
        self.job = job
        self.balance = BalanceWorker(
            BalanceJob(
                matched=job.plan.folder, output="", parameters="",
                metadata=job.plan.parameters["metadata"],
                columns=ColumnNames(**job.plan.parameters["columns"]),
                seed=job.seed, write_pairs=False, filters=job.filters,
            )
        )  # fmt: skip


def _part_yields(worker: _Worker, index: int) -> tuple[int, Yields]:
    job = worker.job
    total = Yields(np.zeros(job.thresholds.shape), np.zeros(job.thresholds.shape, np.int64))
    with artifacts.open_parquet(job.plan.pairs_path(index)) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=worker.balance.columns):
            batch = worker.balance.drops.left(batch)
            found = _batch_yields(job, batch)
            if job.filters:  # what they drop is expected all the same, as in a data card
                keep, _ = worker.balance.filter(batch, np.ones(batch.num_rows, dtype=bool))
                found = Yields(
                    found.expected, _batch_yields(job, batch.filter(pa.array(keep))).kept
                )
            total = total.plus(found)
    return index, total


def _batch_yields(job: _Job, batch: pa.RecordBatch) -> Yields:
    names = batch.column("lang").dictionary.to_pylist()
    codes = np.array([job.index_of[name] for name in names], np.int32)
    langs = codes[batch.column("lang").indices.to_numpy()]
    draws = hash_draws(batch.column("pair_id"), job.seed)
    return pair_yields(
        batch.column("entry_ids"), langs, job.ranges, draws, job.entry_count, job.thresholds
    )


def yields_by_language(
    plan: MatchedPlan,
    counts: Counts,
    grid: list[Thresholds],
    seed: int,
    *,
    filters: tuple[str, ...] = (),
    workers: int = 1,
    quiet: bool = True,
) -> dict[str, Yields]:
    """Return what thresholds keep of each language, in one pass over the matches.

    Args:
        plan: of `matched/`.
        counts: entry counts per language.
        grid: t per language, num_thresholds times; None where nothing matched.
        seed: of the draws.
        filters: as `--filter` takes them.
        workers: threads.
        quiet: no progress.

    Returns:
        Per language with matches: yields of shape (num_thresholds,).
    """
    job = _Job.of(plan, counts, grid, seed, filters)
    tasks = list(range(len(plan.parts)))
    results = run_parts(
        _part_yields, tasks, workers=workers, setup=_Worker, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    shown = progress(results, total=len(tasks), label="yield", unit="part", quiet=quiet)
    total = Yields(np.zeros(job.thresholds.shape), np.zeros(job.thresholds.shape, np.int64))
    for found in in_order(shown):  # sums of floats depend on the order
        total = total.plus(found)
    # A pair has a probability above 0 at any t.
    return {
        lang: Yields(total.expected[at], total.kept[at])
        for lang, at in job.index_of.items()
        if total.expected[at].any()
    }


def table_of_yields(
    counts: Counts, asked: list[int], grid: list[Thresholds], found: dict[str, Yields]
) -> list[dict[str, Any]]:
    """Return a row for each asked t: what is kept and expected in all, and per language."""
    matched = {lang: int(count.sum()) for lang, count in counts.items()}
    rows = []
    for at, (t, t_of) in enumerate(zip(asked, grid, strict=True)):
        languages: dict[str, dict[str, Any]] = {
            lang: {
                "t": t_of[lang],
                "p": tail_share(counts[lang], t_of[lang] or 1),
                "kept": int(found[lang].kept[at]),
                "expected": round(float(found[lang].expected[at]), 3),
                "slots": slots(counts[lang], t_of[lang] or 1),
                "matches": matched[lang],
            }
            for lang in sorted(found)
        }
        rows.append(
            {
                "t": t,
                "kept": sum(v["kept"] for v in languages.values()),
                "expected": round(sum(v["expected"] for v in languages.values()), 3),
                "slots": sum(v["slots"] for v in languages.values()),
                "languages": languages,
            }
        )
    return rows
