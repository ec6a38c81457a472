"""Accuracies of several seeds as a table: mean and spread, and what changed against a baseline."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from curate.pipelines.views.plots import Bar, bar_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Accuracies = Mapping[str, Sequence[Mapping[str, float]]]


def summary(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation over seeds; 0 for the latter with one seed."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def table(found: Accuracies, sizes: Mapping[str, int]) -> str:
    """Show pools as rows of a Markdown table: pairs, and accuracy overall, in head and in tail.

    Args:
        found: accuracies by pool, one mapping per seed.
        sizes: pairs of each pool.
    """
    lines = ["| pool | pairs | all | head | tail |", "|---|---|---|---|---|"]
    for pool, runs in found.items():
        cells = []
        for figure in ("all", "head", "tail"):
            mean, spread = summary([run[figure] for run in runs])
            cells.append(f"{mean:.1%} ± {spread:.1%}")
        lines.append(f"| {pool} | {sizes[pool]:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: Accuracies, steps: str) -> "Figure":
    """Return a drawing of the accuracies, with a standard deviation to either side.

    Args:
        found: accuracies by pool, one mapping per seed.
        steps: what every run saw, for the title.
    """
    bars = {}
    for pool, runs in found.items():
        bars[pool] = {}
        for figure in ("all", "head", "tail"):
            mean, spread = summary([run[figure] for run in runs])
            bars[pool][figure] = Bar(mean, mean - spread, mean + spread)
    return bar_plot(f"Accuracy by pool, {steps}", "zero-shot accuracy ± one deviation", bars)


def gain(found: Accuracies, pool: str, baseline: str, figure: str) -> tuple[float, float]:
    """Return mean and standard deviation of a pool's gain over a baseline, seed by seed."""
    pairs = zip(found[pool], found[baseline], strict=True)
    return summary([run[figure] - base[figure] for run, base in pairs])
