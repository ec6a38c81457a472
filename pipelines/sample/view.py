"""What was sampled, level by level, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import render_table

__all__ = ["sample_table"]


def sample_table(result: Mapping[str, Any], output: str) -> str:
    """Show the clusters of each level, and how much of all lies in the largest ones."""
    if "counted_again" in result:
        return f"{result['counted_again']:,} pairs count again: {result['matched']:,} in all"
    if "levels" not in result:
        return "\n".join(f"{key}: {value}" for key, value in result.items())
    rows = [
        [str(at + 1), f"{one['clusters']:,}", f"{one['empty']:,}", f"{one['largest_share']:.1%}",
         f"{one['largest_share_kept']:.1%}"]
        for at, one in enumerate(result["levels"])
    ]  # fmt: skip
    names = ["level", "clusters", "empty", "pairs in the largest 1 %", "of those kept"]
    fallen = sum(result["fallen"].values())
    lines = [render_table(names, rows)]
    lines.append(
        f"read {result['read']:,} = kept {result['kept']:,} (expected {result['expected']:,.0f}) + "
        f"fallen {fallen:,} + counted out before {result['left_out']:,}"
    )
    if result["matched"] is not None:
        lines.append(f"the others do not count any more: {result['matched']:,} matched pairs are "
                     "left; balance again to leave them out")  # fmt: skip
    return "\n".join([*lines, f"→ {output}"])
