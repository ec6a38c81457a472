"""Accuracies of several seeds as a table, with intervals, and what changed, seed by seed."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from curate.pipelines.views.plots import Bar, bar_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = ("all", "head", "tail")
# Two-sided 95 % of Student's t, by degrees of freedom.
_T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179,
         2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093)  # fmt: skip
Accuracies = Mapping[str, Sequence[Mapping[str, float]]]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean, and half of its 95 % interval (Student's t); nan of one value.

    >>> mean, half = interval([0.4, 0.5, 0.6])
    >>> round(mean, 3), round(half, 3)  # 4.303 · 0.1 / sqrt(3)
    (0.5, 0.248)
    """
    if len(values) < 2:
        return statistics.mean(values), math.nan
    times = _T_95[min(len(values) - 2, len(_T_95) - 1)]
    return statistics.mean(values), times * statistics.stdev(values) / math.sqrt(len(values))


def summary(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over seeds, and half of its 95 % interval; 0 with one seed."""
    mean, half = interval(values)
    return mean, 0.0 if math.isnan(half) else half


def table(found: Accuracies, sizes: Mapping[str, int]) -> str:
    """Show pools as rows of a Markdown table: pairs, and accuracy overall, in head and in tail.

    With 95 % intervals of the means; "spread" is the standard deviation over seeds.

    Args:
        found: accuracies by pool, one mapping per seed.
        sizes: pairs of each pool.
    """
    lines = ["| pool | pairs | all | head | tail | spread |", "|---|---|---|---|---|---|"]
    for pool, runs in found.items():
        cells = []
        for figure in FIGURES:
            mean, half = summary([run[figure] for run in runs])
            cells.append(f"{mean:.1%} ± {half:.1%}")
        all_of = [run["all"] for run in runs]
        cells.append(f"{statistics.stdev(all_of) if len(all_of) > 1 else 0.0:.1%}")
        lines.append(f"| {pool} | {sizes[pool]:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: Accuracies, steps: str) -> "Figure":
    """Return a drawing of the accuracies, with the 95 % intervals of their means.

    Args:
        found: accuracies by pool, one mapping per seed.
        steps: what every run saw, for the title.
    """
    bars = {}
    for pool, runs in found.items():
        bars[pool] = {}
        for figure in ("all", "head", "tail"):
            mean, half = summary([run[figure] for run in runs])
            bars[pool][figure] = Bar(mean, mean - half, mean + half)
    return bar_plot(f"Accuracy by pool, {steps}", "zero-shot accuracy, 95 % intervals", bars)


def gain(found: Accuracies, pool: str, baseline: str, figure: str) -> tuple[float, float]:
    """Return a pool's mean gain over a baseline, the same seeds paired, and half its interval."""
    pairs = zip(found[pool], found[baseline], strict=True)
    return summary([run[figure] - base[figure] for run, base in pairs])


def gains(found: Accuracies, pairs: Sequence[tuple[str, str]]) -> str:
    """Show what pools gain over others as a Markdown table: seed by seed, with 95 % intervals."""
    lines = ["| pool | against | all | head | tail |", "|---|---|---|---|---|"]
    for pool, baseline in pairs:
        cells = []
        for figure in FIGURES:
            mean, half = gain(found, pool, baseline, figure)
            sure = "" if abs(mean) > half else " (holds 0)"
            cells.append(f"{mean:+.1%} ± {half:.1%}{sure}")
        lines.append(f"| {pool} | {baseline} | {' | '.join(cells)} |")
    return "\n".join(lines)
