"""The threshold t that keeps a wanted number of pairs, found from stored matches."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from curate.errors import ThresholdError
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.yields.part import Counts, Thresholds, yields_by_language

__all__ = ["Target", "threshold_for_pairs"]

GRID = 32

ThresholdsOf = Callable[[int], Thresholds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The two thresholds that a wanted number of pairs lies between.

    Attributes:
        pairs: that are wanted.
        t: the smallest that keeps as many.
        kept: pairs that it keeps.
        below: pairs that t - 1 keeps, fewer than are wanted; 0 where t is 1.
    """

    pairs: int
    t: int
    kept: int
    below: int

    def as_dict(self) -> dict[str, int]:
        """Return it as JSON-able values."""
        return asdict(self)

    def sentence(self) -> str:
        """Say which thresholds stand on either side of the number, and what they keep.

        >>> Target(pairs=60_000, t=812, kept=65_664, below=58_913).sentence()
        't = 812 keeps 65,664 pairs, t = 811 keeps 58,913; none keeps exactly 60,000'
        """
        if self.t == 1:
            return f"t = 1, the smallest, keeps {self.kept:,} pairs, more than {self.pairs:,}"
        return (
            f"t = {self.t:,} keeps {self.kept:,} pairs, t = {self.t - 1:,} keeps {self.below:,}; "
            f"none keeps exactly {self.pairs:,}"
        )


def threshold_for_pairs(
    plan: MatchedPlan,
    counts: Counts,
    target_pairs: int,
    seed: int,
    thresholds_of: ThresholdsOf,
    *,
    workers: int = 1,
    quiet: bool,
) -> Target:
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

    Returns:
        That t, and what it and the one below keep.

    Raises:
        ThresholdError: fewer pairs matched than are wanted.
    """
    num_kept = below = 0
    low, high = 1, max((int(c.max()) for c in counts.values() if len(c)), default=0) + 1
    num_matched = int((plan.summary() or {})["matched"])
    if num_matched < target_pairs:
        raise ThresholdError(
            f"{target_pairs:,} pairs are asked for, but only {num_matched:,} matched; "
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
        if first:
            below = int(kept[first - 1])
        low = int(grid[first - 1]) + 1 if first else high
    return Target(pairs=target_pairs, t=high, kept=num_kept, below=below)
