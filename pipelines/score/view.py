"""What was scored and what falls below, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import render_table

__all__ = ["score_table"]


def score_table(result: Mapping[str, Any], output: str) -> str:
    """Show each score: how many pairs have it, and their mean; and what falls for it."""
    if "counted_again" in result:
        return f"{result['counted_again']:,} pairs count again: {result['matched']:,} in all"
    if "scores" not in result:
        return "\n".join(f"{key}: {value}" for key, value in result.items())
    rows = [
        [name, f"{one['pairs']:,}", "" if one["mean"] is None else f"{one['mean']:.4g}"]
        for name, one in result["scores"].items()
    ]
    lines = [render_table(["score", "pairs", "mean"], rows)]
    if result["filters"]:
        shown = ", ".join(f"{name} {num:,}" for name, num in result["fallen"].items())
        fallen = sum(result["fallen"].values())
        lines.append(f"read {result['read']:,} = kept {result['kept']:,} + dropped {fallen:,} "
                     f"({shown or 'none'})")  # fmt: skip
    if result["matched"] is not None:
        lines.append(f"they do not count any more: {result['matched']:,} matched pairs are left; "
                     "balance again to leave them out")  # fmt: skip
    return "\n".join([*lines, f"→ {output}"])
