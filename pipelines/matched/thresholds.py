"""Entry counts of `matched/` in, the threshold t of each language out."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.curation.sampling.sampling import tail_share, threshold_for_tail_share
from curate.errors import ArtifactError, UsageError
from curate.files.remedies import damaged, suggest
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts

__all__ = ["complete_summary", "each_count", "load_counts", "thresholds"]


def load_counts(plan: MatchedPlan) -> dict[str, NDArray[np.int64]]:
    """Read the entry counts of every language of `matched/`.

    Returns:
        Per language, shape (num_entries,).

    Raises:
        ArtifactError: matching has not come to its end.
    """
    summary = complete_summary(plan)
    return {lang: count.astype(np.int64) for lang, count in _checked(plan, summary)}


def each_count(plan: MatchedPlan) -> Iterator[tuple[str, NDArray[np.uint64]]]:
    """Yield the entry counts of one language after the other, as `load_counts` reads them.

    Raises:
        ArtifactError: matching has not come to its end.
    """
    yield from _checked(plan, complete_summary(plan))


def complete_summary(plan: MatchedPlan) -> dict[str, Any]:
    """Return the summary of matches.

    Raises:
        ArtifactError: matching has not come to its end.
    """
    if (summary := plan.summary()) is None:
        raise ArtifactError(
            f"{plan.folder}: matching has not come to its end. "
            f"Run the same `{suggest('match')}` again; it goes on where it was."
        )
    if Drops.listed(plan.folder) != plan.dropped:
        raise ArtifactError(
            f"{plan.folder}: its lists of dropped pairs are not those that it was counted without. "
            f"Run the command that drops pairs, or the same `{suggest('match')}`, again."
        )
    return summary


def _checked(
    plan: MatchedPlan, summary: Mapping[str, Any]
) -> Iterator[tuple[str, NDArray[np.uint64]]]:
    for lang in sorted(plan.parameters["metadata"]):
        path = plan.counts_path(lang)
        stamp = artifacts.read_stamp(path)
        artifacts.require_same(path, stamp, {"lang": lang, "plan": plan.digest()})
        count = artifacts.read_table(path, ["count"]).column("count").to_numpy()
        _check_counts(path, count, summary, lang)
        yield lang, count


def _check_counts(
    path: str, count: NDArray[np.uint64], summary: Mapping[str, Any], lang: str
) -> None:
    """Compare counts with what the matches that they were counted from say of them.

    Raises:
        ArtifactError: an entry has more pairs than there are, or the sum is another one.
    """
    most = int(count.max(initial=0))  # no sum is taken of what could overflow
    if most > summary["matched"]:
        why = f"an entry is counted {most} times, with {summary['matched']} matched pairs"
        damaged(path, f"{why} in all")
    total, expected = int(count.sum()), summary["matches"].get(lang, 0)
    if total != expected:
        damaged(path, f"its counts add up to {total}, the matches to {expected}")


def thresholds(
    counts: dict[str, NDArray[np.int64]], t: int, reference_lang: str | None
) -> dict[str, int | None]:
    """Return t per language: the same everywhere, or that of the reference language's tail share.

    Args:
        counts: entry counts per language.
        t: of the reference language, or of all.
        reference_lang: None for the same t everywhere.

    Returns:
        None for languages in which nothing matched.

    Raises:
        UsageError: the reference language has no matches.

    Source: Chuang et al. 2025, arXiv:2507.22062, section 3.3.
    """
    if reference_lang is None:
        return {lang: t if count.any() else None for lang, count in counts.items()}
    if reference_lang not in counts or not counts[reference_lang].any():
        matched = [lang for lang, count in counts.items() if count.any()]
        raise UsageError(
            f"reference language {reference_lang!r} has no matches; "
            f"languages with matches: {', '.join(matched) or 'none'}"
        )
    p = tail_share(counts[reference_lang], t)
    found = {lang: threshold_for_tail_share(count, p) for lang, count in counts.items()}
    return {**found, reference_lang: t}
