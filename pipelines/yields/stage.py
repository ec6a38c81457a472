"""`curate yield`: which t keeps how much, from stored matches."""

from collections.abc import Sequence
from typing import Any

from curate.curation.sampling.sampling import check_seed, check_threshold, threshold_for_tail_share
from curate.errors import UsageError
from curate.files.paths import join
from curate.files.sizes import parse_numbers
from curate.pipelines.inputs.filters import recorded_name
from curate.pipelines.matched.filters_again import recorded_filters
from curate.pipelines.matched.notes import noted_balanced
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.stale import tell_of_new_metadata
from curate.pipelines.matched.thresholds import load_counts, thresholds
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.views.plots import kind_of_plot, write_plot
from curate.pipelines.views.progress import log
from curate.pipelines.yields.part import (
    Counts,
    Thresholds,
    default_grid,
    table_of_yields,
    yields_by_language,
)
from curate.pipelines.yields.plot import yield_plot
from curate.pipelines.yields.target import threshold_for_pairs

__all__ = ["measure_yields"]


def measure_yields(
    *,
    matched: str,
    grid: str | None = None,
    pairs: int | None = None,
    tail_share: float | None = None,
    reference_lang: str | None = None,
    seed: int = 0,
    plot: str | None = None,
    filters: Sequence[str] = (),
    workers: int = 1,
    quiet: bool = False,
) -> dict[str, Any]:
    """Return what thresholds would keep: those of a grid, or the one that gives what is wanted.

    Args:
        matched: folder that `match` wrote.
        grid: thresholds, comma-separated; None for 1, 2, 5, 10, … up to the largest count.
        pairs: find the smallest t that keeps at least so many instead.
        tail_share: find each language's t of this tail share instead, 0 to 1.
        reference_lang: t is this language's; others get its tail share.
        seed: of the draws, as in `balance`.
        plot: file for a curve, .svg or .png.
        filters: as for `balance`; what they drop is expected, but not kept.
        workers: threads.
        quiet: no progress.

    Returns:
        seed, matched pairs, and a row for each t: kept, expected and slots, overall and per
        language; notes on what `balance` drops besides.

    Raises:
        UsageError: more than one of grid, pairs and tail_share, no number, or out of range.
        ThresholdError: more pairs than there are.
        ArtifactError: matching is not complete.
        MissingExtraError: a plot is wanted, and matplotlib is not installed.
    """
    if plot is not None:
        kind_of_plot(plot, "--plot")
    if sum(option is not None for option in (grid, pairs, tail_share)) > 1:
        raise UsageError("give one of --grid, --pairs and --tail-share")
    check_seed(seed)
    asked = (
        [check_threshold(t) for t in parse_numbers(grid, "--grid")] if grid is not None else None
    )
    if pairs is not None and pairs < 1:
        raise UsageError(f"--pairs is {pairs}; expected at least 1")
    if pairs is not None and filters:
        raise UsageError("--pairs counts what is drawn, before filters; give --grid with --filter")
    plan = MatchedPlan.read(matched)
    tell_of_new_metadata(plan, quiet=quiet)
    counts = load_counts(plan)
    if tail_share is not None:
        asked, rows = [0], [_of_tail_share(counts, tail_share)]
    else:
        if asked is None:
            asked = _asked(plan, counts, pairs, reference_lang, seed, workers, quiet)
        rows = [thresholds(counts, t, reference_lang) for t in asked]
    found = yields_by_language(
        plan, counts, rows, seed, filters=tuple(filters), workers=workers, quiet=quiet
    )
    plan.require_unchanged()
    table = table_of_yields(counts, asked, rows, found)
    if tail_share is not None:
        table[0]["t"] = None
    if plot is not None:
        write_plot(plot, yield_plot(table, int(plan.whole_summary()["matched"])))
    return {
        "seed": seed,
        "matched": int(plan.whole_summary()["matched"]),
        "reference_lang": reference_lang,
        "yields": table,
        "notes": _notes(matched, filters),
    }


def _notes(matched: str, asked: Sequence[str]) -> list[str]:
    """Return which balanced sets of these matches have fewer pairs, since filters drop some."""
    named = sorted(map(recorded_name, asked))
    notes = []
    for folder in noted_balanced(matched):
        parameters = artifacts.read_json(join(folder, PLAN))["parameters"]
        filters = recorded_filters(parameters, folder)
        if filters and sorted(filters) != named:
            notes.append(f"{folder} was balanced with filters, which are not asked here and drop "
                         f"some of the pairs that are drawn: {', '.join(filters)}")  # fmt: skip
    return notes


def _of_tail_share(counts: Counts, share: float) -> Thresholds:
    return {lang: threshold_for_tail_share(count, share) for lang, count in counts.items()}


def _asked(
    plan: MatchedPlan,
    counts: Counts,
    pairs: int | None,
    reference_lang: str | None,
    seed: int,
    workers: int,
    quiet: bool,
) -> list[int]:
    if pairs is None:
        return default_grid(counts)
    target = threshold_for_pairs(
        plan, counts, pairs, seed, lambda t: thresholds(counts, t, reference_lang),
        workers=workers, quiet=quiet,
    )  # fmt: skip
    if target.kept != pairs:
        log(target.sentence(), quiet=quiet)
    return [target.t]
