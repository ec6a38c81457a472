"""The threshold t that keeps a wanted number of pairs, found from stored matches."""

from collections.abc import Callable

import numpy as np

from curate.errors import ThresholdError
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.views.progress import log
from curate.pipelines.yields.part import Counts, Thresholds, yields_by_language

__all__ = ["threshold_for_pairs"]

GRID = 32

ThresholdsOf = Callable[[int], Thresholds]


def threshold_for_pairs(
    plan: MatchedPlan,
    counts: Counts,
    target_pairs: int,
    seed: int,
    thresholds_of: ThresholdsOf,
    *,
    workers: int = 1,
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
        workers: threads.
        quiet: no progress.

    Raises:
        ThresholdError: fewer pairs matched than are wanted.
    """
    num_kept = 0
    low, high = 1, max((int(c.max()) for c in counts.values() if len(c)), default=0) + 1
    num_matched = int((plan.summary() or {})["matched"])
    if num_matched < target_pairs:
        raise ThresholdError(
            f"{target_pairs} pairs are asked for, but only {num_matched} pairs matched; "
            "expected at most that many"
        )
    while low < high:
        grid = np.unique(np.geomspace(low, high, GRID).astype(np.int64))
        grid = np.unique(np.concatenate([grid, [low, high]]))
        found = yields_by_language(
            plan, counts, [thresholds_of(int(t)) for t in grid], seed, workers=workers, quiet=quiet
        )
        kept = sum((y.kept for y in found.values()), np.zeros(len(grid), np.int64))
        first = int(np.argmax(kept >= target_pairs))
        if kept[first] < target_pairs:
            # With a reference language even its largest t may leave other languages sampled.
            raise ThresholdError(
                f"{target_pairs} pairs are asked for; with this --reference-lang at most "
                f"{int(kept.max())} pairs can be kept. Ask for fewer, or leave the option out."
            )
        high, num_kept = int(grid[first]), int(kept[first])
        low = int(grid[first - 1]) + 1 if first else high
    if high == 1 and num_kept > target_pairs:
        more = f"{num_kept:,} pairs, more than {target_pairs:,}"
        log(f"t = 1, the smallest, keeps {more}", quiet=quiet)
    return high
