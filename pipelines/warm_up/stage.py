"""Make every kernel ready: what was shipped is used, everything else compiled and kept."""

from typing import Any

from curate.compiled.notice import seconds_of_compiling, why_not_kept
from curate.compiled.shipped import shipped
from curate.pipelines.views.progress import progress
from curate.pipelines.warm_up.exercise import EXERCISES

__all__ = ["warm_up_kernels"]


def warm_up_kernels(*, quiet: bool = False) -> dict[str, Any]:
    """Call every kernel once, on a few bytes.

    Returns:
        For which kind of processor there was machine code ("" for none), why it was not used, how
        many seconds were compiled here, and why that is not kept for other processes ("" if it is).
    """
    for exercise in progress(
        EXERCISES.values(), total=len(EXERCISES), label="warm-up", unit="step", quiet=quiet
    ):
        exercise()
    found = shipped()
    return {
        "shipped": found.kind,
        "why_not": found.why_not,
        "compiling_s": round(seconds_of_compiling(), 1),
        "not_kept": why_not_kept(),
    }
