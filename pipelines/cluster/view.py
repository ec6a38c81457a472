"""What clusters came of it, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import plan_lines, render_table

__all__ = ["cluster_table"]

_SHOWN = 3


def cluster_table(result: Mapping[str, Any], output: str) -> str:
    """Show the clusters: how large they are, and what they have more of than others."""
    if "clusters" not in result:
        return plan_lines(result)
    rows = [
        [str(one["cluster"]), one["pairs"], f"{one['share']:.1%}", one["fine"],
         ", ".join(str(e.get("entry", e["entry_id"])) for e in one["entries"][:_SHOWN])]
        for one in result["clusters"]
    ]  # fmt: skip
    lines = [render_table(["cluster", "pairs", "share", "centres", "more of"], rows)]
    inside = sum(one["pairs"] for one in result["clusters"])
    lines.append(f"read {result['pairs']:,} = in clusters {inside:,} + without a vector "
                 f"{result['without_text']:,}")  # fmt: skip
    if empty := sum(one["empty_fine"] for one in result["clusters"]):
        lines.append(f"fine centres that no pair is nearest to: {empty:,} of {result['fine']:,}")
    if none := [str(one["cluster"]) for one in result["clusters"] if not one["pairs"]]:
        lines.append(f"clusters without a pair: {', '.join(none)}; no expert can be trained on one")
    return "\n".join([*lines, f"→ {output}"])
