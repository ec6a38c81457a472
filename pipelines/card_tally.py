"""Stored matches and thresholds in, counts after balancing out: one pass over three columns.

A pair's decision is a function of its id and its entries, so that nothing but the matches is read
again, in whatever format the kept pairs were written. On the way some pairs are chosen to be shown,
those with the smallest low bits of their draws: the same ones for any workers, files and order.
"""

import threading
from bisect import insort
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.sampling import hash_draws, sampling_probability
from curation.tally import EntryRanges, add_kept, probabilities_of_pairs
from pipelines import artifacts
from pipelines.balance_part import BATCH_ROWS, BalanceJob, BalanceWorker, KeptSummary, in_order
from pipelines.executor import run_parts
from pipelines.matched_plan import MatchedPlan
from pipelines.progress import progress

__all__ = ["Chosen", "Tally", "tally_pairs"]

DECISIONS = ("kept", "not_sampled", "filtered")
_LOW_BITS = np.uint64((1 << 30) - 1)

Counts = Mapping[str, NDArray[np.int64]]
Thresholds = Mapping[str, int | None]


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
    """What the parts share: the entries of all languages in one array, and the sums.

    One thread at a time adds to the sums; it is a small share of the work.
    """

    def __init__(
        self, plan: MatchedPlan, job: BalanceJob, counts: Counts, t_of: Thresholds, num_chosen: int
    ) -> None:
        self.plan = plan
        self.balance = BalanceWorker(job)
        self.num_chosen = num_chosen
        sizes = [len(count) for count in counts.values()]
        bases = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.range_of = {
            lang: (int(base), size) for lang, base, size in zip(counts, bases, sizes, strict=False)
        }
        self.probability = np.ones(int(bases[-1]))
        for lang, count in counts.items():
            t = t_of[lang]
            if t is not None:
                base, size = self.range_of[lang]
                self.probability[base : base + size] = sampling_probability(count, t)
        self.kept = np.zeros(int(bases[-1]), np.int64)
        self.chosen: dict[tuple[str, str], list[Chosen]] = {}
        self.lock = threading.Lock()

    def kept_count(self) -> dict[str, NDArray[np.int64]]:
        """Return the kept pairs of each entry, per language."""
        return {lang: self.kept[b : b + size] for lang, (b, size) in self.range_of.items()}


def tally_pairs(
    plan: MatchedPlan,
    job: BalanceJob,
    counts: Counts,
    t_of: Thresholds,
    *,
    num_chosen: int,
    workers: int = 1,
    quiet: bool = True,
) -> Tally:
    """Decide over all stored matches again, and count what is kept.

    Args:
        plan: of `matched/`.
        job: of `balance`.
        counts: entry counts per language.
        t_of: threshold per language; None where nothing matched.
        num_chosen: pairs to show of each language and decision.
        workers: threads.
        quiet: no progress.

    Raises:
        ArtifactError: a part is missing, or its entry ids are beyond the entries.
    """
    worker = _Worker(plan, job, counts, t_of, num_chosen)
    tasks = list(range(len(plan.parts)))
    results = run_parts(
        _tally_part, tasks, workers=workers, setup=lambda: worker, arguments=(), threads=True
    )
    shown = progress(results, total=len(tasks), label="card", unit="part", quiet=quiet)
    # In the order of the parts: sums of floats depend on it.
    total = sum(in_order(shown), PairCounts())
    return Tally(total, worker.kept_count(), worker.chosen)


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
    names = batch.column("lang").dictionary.to_pylist()
    langs = batch.column("lang").indices.to_numpy()
    ranges = EntryRanges(
        *np.array([worker.range_of.get(name, (0, 0)) for name in names], np.int64).reshape(-1, 2).T
    )
    entry_ids = batch.column("entry_ids")
    probability = probabilities_of_pairs(entry_ids, langs, ranges, worker.probability)
    draws = hash_draws(batch.column("pair_id"), worker.balance.job.seed)
    drawn = draws < probability
    keep, dropped = worker.balance.filter(batch, drawn)
    counts.summary.filters.update(dropped)
    _add_pairs(counts, names, langs, probability, drawn, keep)
    # 0 kept, 1 not sampled, 2 filtered; one group for each language and decision.
    groups = len(DECISIONS) * langs + np.where(keep, 0, np.where(drawn, 2, 1))
    keys = (draws * 2.0**53).astype(np.uint64) & _LOW_BITS
    with worker.lock:
        add_kept(entry_ids, langs, ranges, keep, worker.kept)
        for row, lang, decision in _candidates(worker, names, groups, keys):
            ids = tuple(entry_ids[row].as_py())
            best = worker.chosen.setdefault((lang, decision), [])
            insort(best, Chosen(int(keys[row]), part, first + row, float(draws[row]),
                                float(probability[row]), ids))  # fmt: skip
            del best[worker.num_chosen :]


def _add_pairs(
    counts: PairCounts,
    names: list[str],
    langs: NDArray[np.int32],
    probability: NDArray[np.float64],
    drawn: NDArray[np.bool_],
    keep: NDArray[np.bool_],
) -> None:
    """Add the pairs of a batch to the counts of their languages."""
    summary, num = counts.summary, len(names)
    for counter, mask in (
        (summary.matched, None),
        (summary.kept, keep),
        (summary.filtered, drawn & ~keep),
        (counts.certain, probability == 1.0),
    ):
        found = np.bincount(langs if mask is None else langs[mask], minlength=num)
        counter.update(dict(zip(names, found.tolist(), strict=True)))
    expected = np.bincount(langs, weights=probability, minlength=num)
    for name, value in zip(names, expected.tolist(), strict=True):
        summary.expected[name] = summary.expected.get(name, 0.0) + value


def _candidates(
    worker: _Worker,
    names: list[str],
    groups: NDArray[np.int32],
    keys: NDArray[np.uint64],
) -> Iterator[tuple[int, str, str]]:
    """Yield the rows that may be among the smallest of their group, with language and decision."""
    if not worker.num_chosen:
        return
    bounds = np.full(len(DECISIONS) * len(names), _LOW_BITS)
    for at in range(len(bounds)):
        lang, decision = names[at // len(DECISIONS)], DECISIONS[at % len(DECISIONS)]
        best = worker.chosen.get((lang, decision), [])
        if len(best) == worker.num_chosen:
            bounds[at] = best[-1].key
    rows = np.flatnonzero(keys <= bounds[groups])
    rows = rows[np.lexsort((keys[rows], groups[rows]))]
    found = groups[rows]
    first = np.arange(len(rows)) - np.searchsorted(found, found) < worker.num_chosen
    for row, group in zip(rows[first].tolist(), found[first].tolist(), strict=True):
        yield row, names[group // len(DECISIONS)], DECISIONS[group % len(DECISIONS)]
