"""Stored matches and thresholds in, counts after balancing out: one pass over three columns.

A pair's decision is a function of its id and its entries, so that nothing but the matches is read
again, in whatever format the kept pairs were written. On the way some pairs are chosen to be shown,
those with the smallest low bits of their draws: the same ones for any workers, files and order.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.sampling import hash_draws
from curation.sampling_kernels import add_counts
from pipelines import artifacts
from pipelines.balance_part import BATCH_ROWS, BalanceJob, BalanceWorker, KeptSummary
from pipelines.counting import split_by_language
from pipelines.executor import run_parts
from pipelines.matched_plan import MatchedPlan
from pipelines.progress import progress

__all__ = ["Chosen", "Tally", "tally_pairs"]

_LOW_BITS = np.uint64((1 << 30) - 1)


class Chosen(NamedTuple):
    """A pair to be shown; they are ordered by their key.

    Attributes:
        key: low bits of the draw, which the decision does not depend on.
        part: number of its part.
        row: its position in the part.
        draw: hash of id and seed, in [0, 1).
        probability: of the pair.
        entry_ids: that it matches.
    """

    key: int
    part: int
    row: int
    draw: float
    probability: float
    entry_ids: tuple[int, ...]


@dataclass(slots=True)
class PairCounts:
    """Counts of pairs per language; those of parts add up.

    Attributes:
        summary: matched, kept, expected and filtered pairs.
        certain: pairs whose probability is 1.
    """

    summary: KeptSummary = field(default_factory=KeptSummary)
    certain: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(self.summary + other.summary, self.certain + other.certain)


@dataclass(slots=True)
class Tally:
    """What balancing makes of all pairs.

    Attributes:
        pairs: counts of pairs per language.
        kept_count: kept pairs of each entry; per language, int64, shape (num_entries,).
        chosen: pairs to be shown; per language and decision.
    """

    pairs: PairCounts
    kept_count: dict[str, NDArray[np.int64]]
    chosen: dict[tuple[str, str], list[Chosen]]


class _Worker:
    """What the parts share: probabilities, and the sums, which one thread at a time adds to."""

    def __init__(
        self, plan: MatchedPlan, job: BalanceJob, num_entries: Mapping[str, int], num_chosen: int
    ) -> None:
        self.plan = plan
        self.balance = BalanceWorker(job)
        self.num_chosen = num_chosen
        self.kept_count = {lang: np.zeros(num, np.int64) for lang, num in num_entries.items()}
        self.chosen: dict[tuple[str, str], list[Chosen]] = {}
        self.lock = threading.Lock()


def tally_pairs(
    plan: MatchedPlan,
    job: BalanceJob,
    num_entries: Mapping[str, int],
    *,
    num_chosen: int,
    workers: int = 1,
    quiet: bool = True,
) -> Tally:
    """Decide over all stored matches again, and count what is kept.

    Args:
        plan: of `matched/`.
        job: of `balance`, whose probabilities are written.
        num_entries: per language.
        num_chosen: pairs to show of each language and decision.
        workers: threads.
        quiet: no progress.

    Raises:
        ArtifactError: a part is missing, or its entry ids are beyond the entries.
    """
    worker = _Worker(plan, job, num_entries, num_chosen)
    tasks = list(range(len(plan.parts)))
    results = run_parts(
        _tally_part, tasks, workers=workers, setup=lambda: worker, arguments=(), threads=True
    )
    parts = dict(progress(results, total=len(tasks), label="card", unit="part", quiet=quiet))
    # In the order of the parts: sums of floats depend on it.
    total = sum((parts[index] for index in tasks), PairCounts())
    return Tally(total, worker.kept_count, worker.chosen)


def _tally_part(worker: _Worker, index: int) -> tuple[int, PairCounts]:
    counts = PairCounts()
    first = 0
    with artifacts.open_parquet(worker.plan.pairs_path(index)) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=worker.balance.columns):
            _add_batch(worker, counts, batch, index, first)
            first += batch.num_rows
    return index, counts


def _add_batch(
    worker: _Worker, counts: PairCounts, batch: pa.RecordBatch, part: int, first: int
) -> None:
    probability = worker.balance.pair_probability(batch)
    draws = hash_draws(batch.column("pair_id"), worker.balance.job.seed)
    drawn = draws < probability
    keep, dropped = worker.balance.filter(batch, drawn)
    summary = counts.summary
    summary.filters.update(dropped)
    decisions = {"kept": keep, "not_sampled": ~drawn, "filtered": drawn & ~keep}
    candidates = _Candidates(batch.column("entry_ids"), draws, probability, part, first)
    for lang, rows in split_by_language(batch):
        summary.matched[lang] += len(rows)
        summary.kept[lang] += int(np.count_nonzero(keep[rows]))
        summary.filtered[lang] += int(np.count_nonzero(decisions["filtered"][rows]))
        counts.certain[lang] += int(np.count_nonzero(probability[rows] == 1.0))
        expected = float(probability[rows].sum())
        summary.expected[lang] = summary.expected.get(lang, 0.0) + expected
        with worker.lock:
            candidates.count(rows[keep[rows]], worker.kept_count[lang])
            for decision, mask in decisions.items():
                best = worker.chosen.setdefault((lang, decision), [])
                candidates.choose(rows[mask[rows]], best, worker.num_chosen)


class _Candidates:
    """The pairs of a batch, to be counted and to be chosen from."""

    def __init__(
        self,
        entry_ids: pa.ListArray,
        draws: NDArray[np.float64],
        probability: NDArray[np.float64],
        part: int,
        first: int,
    ) -> None:
        self.offsets = entry_ids.offsets.to_numpy().astype(np.int64)
        self.values = entry_ids.values.to_numpy(zero_copy_only=False)
        self.keys = (draws * 2.0**53).astype(np.uint64) & _LOW_BITS
        self.draws, self.probability = draws, probability
        self.part, self.first = part, first

    def count(self, rows: NDArray[np.int64], kept_count: NDArray[np.int64]) -> None:
        """Add the entries of some pairs to counts; the ids were checked with the probabilities."""
        add_counts(self.offsets, self.values, rows, kept_count)

    def choose(self, rows: NDArray[np.int64], best: list[Chosen], num: int) -> None:
        """Let those of some pairs in that are among the `num` with the smallest keys."""
        if len(best) == num:
            rows = rows[self.keys[rows] <= best[-1].key] if num else rows[:0]
        if len(rows) > num:
            rows = rows[np.argsort(self.keys[rows], kind="stable")[:num]]
        for row in rows.tolist():
            ids = self.values[self.offsets[row] : self.offsets[row + 1]].tolist()
            best.append(
                Chosen(int(self.keys[row]), self.part, self.first + row, float(self.draws[row]),
                       float(self.probability[row]), tuple(ids))
            )  # fmt: skip
        best.sort()
        del best[num:]
