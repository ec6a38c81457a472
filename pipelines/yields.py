"""`curate yield`: stored matches → what many thresholds would keep, without matching again.

The way through: counts → t per language for each asked t → one pass over three columns of the
matches → expected and kept pairs per language, slots, tail share. The kept pairs are counted with
the draws that `balance` uses, so they are exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.sampling import hash_draws, slots, tail_share
from curation.yields import Yields, pair_yields
from pipelines import artifacts
from pipelines.balance_part import BATCH_ROWS, DECISION_COLUMNS, in_order
from pipelines.counting import split_by_language
from pipelines.executor import run_parts
from pipelines.matched_plan import MatchedPlan
from pipelines.progress import progress

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
    """What every part has to know."""

    plan: MatchedPlan
    counts: Counts
    thresholds: dict[str, NDArray[np.int64]]
    seed: int


def _part_yields(job: _Job, index: int) -> tuple[int, dict[str, Yields]]:
    found: dict[str, Yields] = {}
    with artifacts.open_parquet(job.plan.pairs_path(index)) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=DECISION_COLUMNS):
            draws = hash_draws(batch.column("pair_id"), job.seed)
            for lang, rows in split_by_language(batch):
                more = pair_yields(
                    batch.column("entry_ids"), rows, draws,
                    job.counts[lang], job.thresholds[lang],
                )  # fmt: skip
                found[lang] = _sum(found.get(lang), more)
    return index, found


def _sum(one: Yields | None, other: Yields) -> Yields:
    if one is None:
        return other
    return Yields(one.expected + other.expected, one.kept + other.kept)


def yields_by_language(
    plan: MatchedPlan,
    counts: Counts,
    grid: list[Thresholds],
    seed: int,
    *,
    workers: int = 1,
    quiet: bool = True,
) -> dict[str, Yields]:
    """Return what thresholds keep of each language, in one pass over the matches.

    Args:
        plan: of `matched/`.
        counts: entry counts per language.
        grid: t per language, num_thresholds times; None where nothing matched.
        seed: of the draws.
        workers: threads.
        quiet: no progress.

    Returns:
        Per language with matches: yields of shape (num_thresholds,).
    """
    langs = {lang for t_of in grid for lang in t_of}
    thresholds = {lang: np.array([t_of[lang] or 1 for t_of in grid]) for lang in langs}
    job = _Job(plan=plan, counts=counts, thresholds=thresholds, seed=seed)
    tasks = list(range(len(plan.parts)))
    results = run_parts(
        _part_yields, tasks, workers=workers, setup=lambda: job, arguments=(), threads=True,
        anywhere=True,
    )  # fmt: skip
    shown = progress(results, total=len(tasks), label="yield", unit="part", quiet=quiet)
    total: dict[str, Yields] = {}
    for part in in_order(shown):  # sums of floats depend on the order
        for lang, found in part.items():
            total[lang] = _sum(total.get(lang), found)
    return total


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
