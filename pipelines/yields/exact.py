"""Where what a threshold keeps is cut off, so that exactly so many pairs are kept.

The key of the last pair that is kept is found by counting: 18 of its 54 bits in each pass over the
matches, so that memory does not grow with them.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws, pair_probability, sampling_probability
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.matched.counting import split_by_language
from curate.pipelines.matched.decisions import BATCH_ROWS, DECISION_COLUMNS
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.exact import ExactCut, ratio_keys
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log, progress
from curate.pipelines.yields.part import Counts, Thresholds

__all__ = ["exact_cut"]

_BITS = 18
_PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every part has to know.

    Attributes:
        plan: of `matched/`.
        drops: pairs of it that do not count.
        at: probability of each entry at the threshold, per language.
        below: the same one step below; a language without one keeps nothing there.
        seed: of the draws.
        prefix: upper bits of the key that are known.
        shift: bits of the key below those that are counted.
    """

    plan: MatchedPlan
    drops: Drops
    at: dict[str, NDArray[np.float64]]
    below: dict[str, NDArray[np.float64]]
    seed: int
    prefix: int
    shift: int


def exact_cut(
    plan: MatchedPlan, counts: Counts, t_of: Thresholds, below: Thresholds | None, seed: int,
    *, pairs: int, kept_below: int, workers: int = 1, quiet: bool,
) -> ExactCut:  # fmt: skip
    """Find the cut that keeps exactly `pairs` pairs.

    Args:
        plan: of `matched/`.
        counts: entry counts per language.
        t_of: the smallest thresholds that keep as many.
        below: one step below; None below the smallest there are.
        seed: of the draws.
        pairs: to keep.
        kept_below: pairs that `below` keeps.
        workers: threads.
        quiet: no progress.

    Returns:
        The cut. Pairs of one id have one draw and go together: where ids repeat, a few more may be
        kept, which is said.
    """
    at = _probabilities(counts, t_of)
    low = {} if below is None else _probabilities(counts, below)
    prefix, before, drops = 0, kept_below, Drops.read(plan.folder)
    for step in range(_PASSES):
        shift = _BITS * (_PASSES - 1 - step)
        job = _Job(
            plan=plan, drops=drops, at=at, below=low, seed=seed, prefix=prefix,
            shift=shift,
        )  # fmt: skip
        found = run_parts(
            _count_keys, list(range(len(plan.parts))), workers=workers, setup=lambda job=job: job,
            arguments=(), threads=True,
        )  # fmt: skip
        num = len(plan.parts)
        shown = progress(found, total=num, label="exact", unit="part", quiet=quiet)
        ends = before + np.cumsum(sum(shown, np.zeros(1 << _BITS, np.int64)))
        chosen = int(np.searchsorted(ends, pairs))
        before = int(ends[chosen - 1]) if chosen else before
        prefix = prefix << _BITS | chosen
    if ends[chosen] > pairs:
        log(
            f"{int(ends[chosen]) - pairs:,} pairs more are kept than the {pairs:,} asked for: "
            "their ids are those of others",
            quiet=quiet,
        )
    if below is None:
        below = dict.fromkeys(t_of)
    return ExactCut(pairs=pairs, below=dict(below), largest=prefix)


def _probabilities(counts: Counts, t_of: Thresholds) -> dict[str, NDArray[np.float64]]:
    known = ((lang, count, t_of[lang]) for lang, count in counts.items())
    return {lang: sampling_probability(count, t) for lang, count, t in known if t is not None}


def _count_keys(job: _Job, index: int) -> NDArray[np.int64]:
    """Count the pairs of a part that come in with the threshold, by the bits that are asked for."""
    counted = np.zeros(1 << _BITS, np.int64)
    with artifacts.open_parquet(job.plan.pairs_path(index)) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=DECISION_COLUMNS):
            batch = job.drops.left(batch)
            draws = hash_draws(batch.column("pair_id"), job.seed)
            probability = _of_pairs(batch, job.at)
            comes_in = (draws < probability) & (draws >= _of_pairs(batch, job.below))
            keys = ratio_keys(draws[comes_in], probability[comes_in])
            keys = keys[keys >> (job.shift + _BITS) == job.prefix]
            bits = (keys >> job.shift) & ((1 << _BITS) - 1)
            counted += np.bincount(bits, minlength=1 << _BITS)
    return counted


def _of_pairs(
    batch: pa.RecordBatch, of_entries: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    probability = np.zeros(batch.num_rows)
    for lang, rows in split_by_language(batch):
        if lang in of_entries:
            probability[rows] = pair_probability(batch.column("entry_ids"), of_entries[lang], rows)
    return probability
