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

from curate.curation.sampling.sampling import hash_draws, sampling_probability
from curate.curation.sampling.tally import EntryRanges, add_kept, probabilities_of_pairs
from curate.pipelines.card.counted.breakdown import (
    ValueCounts,
    columns_of,
    count_values,
    require_few_values,
)
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.matched.decisions import (
    BATCH_ROWS,
    BalanceJob,
    BalanceWorker,
    KeptSummary,
    in_order,
)
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

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
        values: pairs by column, value, and whether they are kept.
    """

    summary: KeptSummary = field(default_factory=KeptSummary)
    certain: Counter[str] = field(default_factory=Counter)
    values: ValueCounts = field(default_factory=Counter)

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(
            self.summary + other.summary, self.certain + other.certain, self.values + other.values
        )


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
        self, plan: MatchedPlan, job: BalanceJob, counts: Counts, t_of: Thresholds,
        num_chosen: int, by: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.plan, self.by = plan, by
        self.balance = BalanceWorker(job)
        self.num_chosen = num_chosen
        self.langs = list(counts)
        self.index_of = {lang: index for index, lang in enumerate(self.langs)}
        # The last one is for languages without metadata: no entry fits it.
        sizes = np.array([*map(len, counts.values()), 0], np.int64)
        self.ranges = EntryRanges(np.cumsum(sizes) - sizes, sizes)
        self.probability = np.ones(int(sizes.sum()))
        for (lang, count), base in zip(counts.items(), self.ranges.base.tolist(), strict=False):
            t = t_of[lang]
            if t is not None:
                self.probability[base : base + len(count)] = sampling_probability(count, t)
        self.kept = np.zeros(int(sizes.sum()), np.int64)
        self.chosen: dict[tuple[str, str], list[Chosen]] = {}
        # Of each language and decision, the largest key that may still be shown.
        self.bounds = np.full(len(DECISIONS) * len(sizes), _LOW_BITS)
        self.lock = threading.Lock()

    def indices(self, names: list[str]) -> NDArray[np.int32]:
        """Return the positions of languages."""
        none = len(self.langs)
        return np.array([self.index_of.get(name, none) for name in names], np.int32)

    def kept_count(self) -> dict[str, NDArray[np.int64]]:
        """Return the kept pairs of each entry, per language."""
        return {
            lang: self.kept[base : base + size]
            for lang, base, size in zip(self.langs, *self.ranges, strict=False)
        }

    def choose(self, chosen: Chosen, group: int) -> None:
        """Show a pair of a language and decision, and in its stead no longer the last one."""
        lang, decision = self.langs[group // len(DECISIONS)], DECISIONS[group % len(DECISIONS)]
        best = self.chosen.setdefault((lang, decision), [])
        insort(best, chosen)
        del best[self.num_chosen :]
        if len(best) == self.num_chosen:
            self.bounds[group] = best[-1].key


class _Sums:
    """Pairs of a part; shape (num_languages,), in the order of the worker."""

    def __init__(self, num: int) -> None:
        self.matched, self.kept, self.filtered, self.certain = np.zeros((4, num), np.int64)
        self.expected = np.zeros(num)
        self.values: ValueCounts = Counter()

    def counts(self, langs: list[str], filters: Counter[str]) -> PairCounts:
        """Return them by language."""

        def by_language(found: NDArray[np.int64]) -> Counter[str]:
            return Counter({langs[at]: int(found[at]) for at in np.flatnonzero(found).tolist()})

        expected = {langs[at]: float(self.expected[at]) for at in np.flatnonzero(self.matched)}
        summary = KeptSummary(by_language(self.matched), by_language(self.kept), expected,
                              by_language(self.filtered), filters)  # fmt: skip
        return PairCounts(summary, by_language(self.certain), self.values)


def tally_pairs(
    plan: MatchedPlan,
    job: BalanceJob,
    counts: Counts,
    t_of: Thresholds,
    *,
    num_chosen: int,
    by: tuple[str, ...] = (),
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
        by: columns whose values are counted.
        workers: threads.
        quiet: no progress.

    Raises:
        ArtifactError: a part is missing, or its entry ids are beyond the entries.
        UsageError: a column has too many values to be counted.
    """
    worker = _Worker(plan, job, counts, t_of, num_chosen, by)
    tasks = list(range(len(plan.parts)))
    results = run_parts(
        _tally_part, tasks, workers=workers, setup=lambda: worker, arguments=(), threads=True
    )
    shown = progress(results, total=len(tasks), label="card", unit="part", quiet=quiet)
    # In the order of the parts: sums of floats depend on it.
    total = PairCounts()
    for counted in in_order(shown):
        total += counted
        require_few_values(total.values, by)
    return Tally(total, worker.kept_count(), worker.chosen)


def _tally_part(worker: _Worker, index: int) -> tuple[int, PairCounts]:
    sums = _Sums(len(worker.ranges.size))
    filters: Counter[str] = Counter()
    first = 0
    with artifacts.open_parquet(worker.plan.pairs_path(index)) as file:
        columns = worker.balance.columns
        if columns is not None and worker.by:
            more = columns_of(file.schema_arrow.names, worker.by)
            columns = list(dict.fromkeys([*columns, *more]))
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            filters.update(_add_batch(worker, sums, batch, index, first))
            first += batch.num_rows
    return index, sums.counts(worker.langs, filters)


def _add_batch(
    worker: _Worker, sums: _Sums, batch: pa.RecordBatch, part: int, first: int
) -> Counter[str]:
    """Add a batch to the sums; return the drops by filter."""
    places = np.flatnonzero(worker.balance.drops.counting(batch))
    if len(places) < batch.num_rows:  # of pairs that do not count nothing is shown
        batch = batch.take(pa.array(places))
    lang = batch.column("lang")
    langs = worker.indices(lang.dictionary.to_pylist())[lang.indices.to_numpy()]
    entry_ids = batch.column("entry_ids")
    probability = probabilities_of_pairs(entry_ids, langs, worker.ranges, worker.probability)
    draws = hash_draws(batch.column("pair_id"), worker.balance.job.seed)
    drawn = worker.balance.is_drawn(batch, draws, probability)
    keep, dropped = worker.balance.filter(batch, drawn)
    _add_pairs(sums, langs, probability, drawn, keep)
    count_values(batch, worker.by, keep, sums.values)
    # 0 kept, 1 not sampled, 2 filtered; one group for each language and decision.
    groups = len(DECISIONS) * langs + np.where(keep, 0, np.where(drawn, 2, 1))
    keys = (draws * 2.0**53).astype(np.uint64) & _LOW_BITS
    with worker.lock:
        add_kept(entry_ids, langs, worker.ranges, keep, worker.kept)
        for row in _candidates(worker, groups, keys):
            ids = tuple(entry_ids[row].as_py())
            chosen = Chosen(int(keys[row]), part, first + int(places[row]), float(draws[row]),
                            float(probability[row]), ids)  # fmt: skip
            worker.choose(chosen, int(groups[row]))
    return dropped


def _add_pairs(
    sums: _Sums,
    langs: NDArray[np.int32],
    probability: NDArray[np.float64],
    drawn: NDArray[np.bool_],
    keep: NDArray[np.bool_],
) -> None:
    """Add the pairs of a batch to those of their languages."""
    num = len(sums.expected)
    sums.matched += np.bincount(langs, minlength=num)
    sums.kept += np.bincount(langs[keep], minlength=num)
    sums.filtered += np.bincount(langs[drawn & ~keep], minlength=num)
    sums.certain += np.bincount(langs[probability == 1.0], minlength=num)
    sums.expected += np.bincount(langs, weights=probability, minlength=num)


def _candidates(
    worker: _Worker, groups: NDArray[np.int64], keys: NDArray[np.uint64]
) -> Iterator[int]:
    """Yield the rows that may be among the smallest of their group."""
    if not worker.num_chosen:
        return
    rows = np.flatnonzero(keys <= worker.bounds[groups])
    rows = rows[np.lexsort((keys[rows], groups[rows]))]
    found = groups[rows]
    first = np.arange(len(rows)) - np.searchsorted(found, found) < worker.num_chosen
    yield from rows[first].tolist()
