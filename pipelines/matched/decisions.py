"""Matched pairs and the probabilities of entries in, the decision over each pair out.

Balancing, its card, shards and `yield` all decide so, each in its own pass over the parts.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.sampling import (
    hash_draws,
    pair_probability,
    sampling_probability,
)
from curate.files import storage
from curate.pipelines.inputs.filters import load_filters, with_usual_names
from curate.pipelines.inputs.records import ColumnNames, find_column
from curate.pipelines.matched.counting import split_by_language
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.exact import ExactCut
from curate.pipelines.matched.image_sources import ImageSources
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = [
    "BalanceJob", "BalanceWorker", "KeptSummary", "decide_and_count", "in_order", "kept_ids",
    "sum_in_order",
]  # fmt: skip

DECISION_COLUMNS = ["pair_id", "lang", "entry_ids"]
BATCH_ROWS = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceJob:
    """What every worker of a run has to know; picklable."""

    matched: str
    output: str
    parameters: str
    metadata: dict[str, str]
    columns: ColumnNames
    seed: int
    write_pairs: bool
    filters: tuple[str, ...] = ()
    images: ImageSources | None = None  # where shards are written
    exact: ExactCut | None = None
    content_share: float = 1.0  # of pairs whose texts and URLs are noted


@dataclass(slots=True)
class KeptSummary:
    """Counts of pairs per language; those of parts add up.

    Attributes:
        matched: pairs looked at.
        kept: pairs kept.
        expected: Σ of their probabilities.
        filtered: pairs that were drawn, but that a filter drops.
        filters: the same, over all languages, by the filter.
    """

    matched: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    expected: dict[str, float] = field(default_factory=dict)
    filtered: Counter[str] = field(default_factory=Counter)
    filters: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "KeptSummary") -> "KeptSummary":
        return KeptSummary(
            self.matched + other.matched,
            self.kept + other.kept,
            {
                lang: self.expected.get(lang, 0.0) + other.expected.get(lang, 0.0)
                for lang in {*self.expected, *other.expected}
            },
            self.filtered + other.filtered,
            self.filters + other.filters,
        )

    def __iadd__(self, other: "KeptSummary") -> "KeptSummary":
        for name in ("matched", "kept", "filtered", "filters"):
            getattr(self, name).update(getattr(other, name))
        for lang, expected in other.expected.items():
            self.expected[lang] = self.expected.get(lang, 0.0) + expected
        return self

    def log_figures(self) -> dict[str, Any]:
        """Return what a worker's log says of a part."""
        return {"read": self.matched.total(), "kept": self.num_kept}

    @property
    def num_kept(self) -> int:
        """Pairs kept over all languages."""
        return sum(self.kept.values())


Found = TypeVar("Found")


def in_order(parts: Iterable[tuple[int, Found]]) -> Iterator[Found]:
    """Yield what parts gave in the order of their numbers; what comes early waits.

    Args:
        parts: numbers from 0 on and values, in any order.

    >>> list(in_order([(1, "b"), (0, "a"), (2, "c")]))
    ['a', 'b', 'c']
    """
    following = 0
    waiting: dict[int, Found] = {}
    for index, found in parts:
        waiting[index] = found
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def sum_in_order(parts: Iterable[tuple[int, KeptSummary]]) -> tuple[KeptSummary, list[int]]:
    """Add up summaries in the order of the parts, on which sums of floats depend.

    Args:
        parts: numbers from 0 on and summaries, in any order; those that come early wait.

    Returns:
        The sum, and the number of kept pairs of each part.
    """
    total = KeptSummary()
    num_kept: list[int] = []
    for summary in in_order(parts):
        num_kept.append(summary.num_kept)
        total += summary
    return total, num_kept


class BalanceWorker:
    """What the parts of a worker share: the probability of each entry, read when needed."""

    def __init__(self, job: BalanceJob) -> None:
        self.job = job
        self.filters = load_filters(job.filters)
        self.drops = Drops.read(job.matched)
        # A filter may look at any column, a draw at three of them.
        self.columns = None if job.filters else DECISION_COLUMNS
        self._probability: dict[str, NDArray[np.float64]] = {}
        self._probability_below: dict[str, NDArray[np.float64]] = {}
        self._lock = threading.Lock()
        self._last_part: tuple[str, NDArray[np.int64], NDArray[np.float64]] = (
            "", np.zeros(0, np.int64), np.zeros(0),
        )  # fmt: skip

    def entry_probability(self, lang: str) -> NDArray[np.float64]:
        """Return the probability of each entry of a language; shape (num_entries,)."""
        with self._lock:
            if lang not in self._probability:
                self._probability[lang] = self._read_probability(lang)
            return self._probability[lang]

    def _read_probability(self, lang: str) -> NDArray[np.float64]:
        path = storage.join(self.job.output, "probabilities", f"{lang}.parquet")
        column = artifacts.read_table(path, ["probability"]).column("probability")
        return np.asarray(column.to_numpy(), dtype=np.float64)

    def pair_probability(self, batch: pa.RecordBatch) -> NDArray[np.float64]:
        """Return the probability of each pair of a batch; shape (num_pairs,)."""
        return _of_pairs(batch, self.entry_probability)

    def is_drawn(
        self, batch: pa.RecordBatch, draws: NDArray[np.float64], probability: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return which pairs of a batch are drawn, given their draws and probabilities."""
        if self.job.exact is None:
            return draws < probability
        return self.job.exact.keeps(draws, probability, _of_pairs(batch, self._below))

    def _below(self, lang: str) -> NDArray[np.float64]:
        """Return the probability of each entry of a language one step below the threshold."""
        assert self.job.exact is not None
        with self._lock:
            if lang not in self._probability_below:
                path = storage.join(self.job.output, "probabilities", f"{lang}.parquet")
                count = artifacts.read_table(path, ["count"]).column("count").to_numpy()
                t = self.job.exact.below.get(lang)
                self._probability_below[lang] = (
                    np.zeros(len(count)) if t is None
                    else sampling_probability(count.astype(np.int64), t)
                )  # fmt: skip
            return self._probability_below[lang]

    def kept_rows(self, path: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the positions of the kept pairs of a part, and their probabilities.

        The last part is remembered: the shards that a worker writes share it.
        """
        if self._last_part[0] != path:
            probabilities, keeps = [], []
            with artifacts.open_parquet(path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=self.columns):
                    probability, keep = self.decide(batch)
                    probabilities.append(probability[keep])
                    keeps.append(keep)
            rows = np.flatnonzero(np.concatenate(keeps))
            self._last_part = (path, rows, np.concatenate(probabilities))
        return self._last_part[1:]

    def decide(self, batch: pa.RecordBatch) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the probability of each pair of a batch, and whether it is kept."""
        probability, drawn = self.draw(batch)
        return probability, self.filter(batch, drawn)[0]

    def draw(self, batch: pa.RecordBatch) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the probability of each pair of a batch, and whether it is drawn.

        A pair that does not count has none and is not.
        """
        counts = self.drops.counting(batch)
        probability = np.where(counts, self.pair_probability(batch), 0.0)
        draws = hash_draws(batch.column("pair_id"), self.job.seed)
        return probability, self.is_drawn(batch, draws, probability) & counts

    def filter(
        self, batch: pa.RecordBatch, drawn: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], Counter[str]]:
        """Return which of the drawn pairs the filters keep, and what each of them drops."""
        if not self.filters.filters or not drawn.any():
            return drawn, Counter()
        rows = batch.filter(pa.array(drawn))
        names = [find_column(batch.schema, r, self.job.columns, self.job.matched)
                 for r in ("text", "url")]  # fmt: skip
        texts, urls = (None if name is None else rows.column(name) for name in names)
        mask, dropped = self.filters.keep(with_usual_names(rows, texts, urls))
        keep = drawn.copy()
        keep[np.flatnonzero(drawn)[~mask]] = False
        return keep, dropped


def _of_pairs(
    batch: pa.RecordBatch, of_entries: Callable[[str], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the probability of each pair of a batch, by those of its language's entries."""
    probability = np.zeros(batch.num_rows)
    for lang, rows in split_by_language(batch):
        probability[rows] = pair_probability(batch.column("entry_ids"), of_entries(lang), rows)
    return probability


def kept_ids(job: BalanceJob, parts: list[int]) -> Iterator[pa.StringArray]:
    """Yield the ids of the kept pairs, part by part."""
    worker = BalanceWorker(job)
    for index in parts:
        source = storage.join(job.matched, "pairs", part_name(index, "parquet"))
        with artifacts.open_parquet(source) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=worker.columns):
                _, keep = worker.decide(batch)
                yield batch.column("pair_id").filter(pa.array(keep))


def decide_and_count(
    worker: BalanceWorker, batch: pa.RecordBatch, summary: KeptSummary
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probability of each pair of a batch and whether it is kept; add to the summary."""
    probability, drawn = worker.draw(batch)
    keep, dropped = worker.filter(batch, drawn)
    summary.filters.update(dropped)
    counts = worker.drops.counting(batch)
    for lang, rows in split_by_language(batch):
        summary.filtered[lang] += int((drawn[rows] & ~keep[rows]).sum())
        summary.matched[lang] += int(counts[rows].sum())
        summary.kept[lang] += int(keep[rows].sum())
        expected = float(probability[rows].sum())
        summary.expected[lang] = summary.expected.get(lang, 0.0) + expected
    return probability, keep
