"""The threshold t that keeps a wanted number of pairs, found from stored matches."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.sampling import hash_draws, pair_probability, sampling_probability
from metadata.errors import ThresholdError
from pipelines import artifacts
from pipelines.balance_part import BATCH_ROWS, DECISION_COLUMNS
from pipelines.counting import split_by_language
from pipelines.match import MatchedPlan
from pipelines.progress import progress

__all__ = ["threshold_for_pairs"]

GRID = 32

Counts = dict[str, NDArray[np.int64]]
ThresholdsOf = Callable[[int], dict[str, int | None]]


def threshold_for_pairs(
    plan: MatchedPlan,
    counts: Counts,
    target_pairs: int,
    seed: int,
    thresholds_of: ThresholdsOf,
    *,
    quiet: bool,
) -> int:
    """Find the smallest t that keeps at least `target_pairs` pairs, with the draws of `seed`.

    What t keeps, t + 1 keeps too, so the number is monotone and each pass over the matches
    narrows the range of t by a factor of 32.

    Args:
        plan: of `matched/`.
        counts: entry counts per language.
        target_pairs: >= 1.
        seed: of the draws.
        thresholds_of: t per language, given t.
        quiet: no progress.

    Raises:
        ThresholdError: fewer pairs matched than are wanted.
    """
    low, high = 1, max((int(c.max()) for c in counts.values() if len(c)), default=0) + 1
    num_matched = int((plan.summary() or {})["matched"])
    if num_matched < target_pairs:
        raise ThresholdError(
            f"--target-pairs is {target_pairs}, but only {num_matched} pairs matched; "
            "expected at most that many"
        )
    while low < high:
        grid = np.unique(np.geomspace(low, high, GRID).astype(np.int64))
        grid = np.unique(np.concatenate([grid, [low, high]]))
        kept = _num_kept(plan, counts, [thresholds_of(int(t)) for t in grid], seed, quiet)
        first = int(np.argmax(kept >= target_pairs))
        if kept[first] < target_pairs:
            # With a reference language even its largest t may leave other languages sampled.
            raise ThresholdError(
                f"--target-pairs is {target_pairs}; with this --reference-lang at most "
                f"{int(kept.max())} pairs can be kept. Ask for fewer, or leave the option out."
            )
        high = int(grid[first])
        low = int(grid[first - 1]) + 1 if first else high
    return high


def _num_kept(
    plan: MatchedPlan,
    counts: Counts,
    grid: list[dict[str, int | None]],
    seed: int,
    quiet: bool,
) -> NDArray[np.int64]:
    """Count the pairs that each of several thresholds keeps, in one pass over the matches."""
    kept = np.zeros(len(grid), dtype=np.int64)
    parts = range(len(plan.parts))
    for index in progress(parts, total=len(parts), label="yield", unit="part", quiet=quiet):
        with artifacts.open_parquet(plan.pairs_path(index)) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=DECISION_COLUMNS):
                draws = hash_draws(batch.column("pair_id"), seed)
                for lang, rows in split_by_language(batch):
                    entry_ids = pc.take(batch.column("entry_ids"), pa.array(rows))
                    # Only the counts of these matches, so that no table of languages × grid ×
                    # entries is ever made: position i of the list values is entry i here.
                    count = counts[lang][entry_ids.values.to_numpy()]
                    at_hand = pa.ListArray.from_arrays(entry_ids.offsets, np.arange(len(count)))
                    for at, t_of in enumerate(grid):
                        probability = sampling_probability(count, t_of[lang] or 1)
                        p = pair_probability(at_hand, probability)
                        kept[at] += int((draws[rows] < p).sum())
    return kept
