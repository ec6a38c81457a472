"""What of evaluation sets was found, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import render_table

__all__ = ["decontaminate_table"]


def decontaminate_table(result: Mapping[str, Any], output: str) -> str:
    """Show, of each set, its images and the pairs that are in it."""
    if "counted_again" in result:
        return f"{result['counted_again']:,} pairs count again: {result['matched']:,} in all"
    if "sets" not in result:
        return "\n".join(f"{key}: {value}" for key, value in result.items())
    rows = [[name, f"{one['images']:,}", f"{one['pairs']:,}"]
            for name, one in result["sets"].items()]  # fmt: skip
    lines = [render_table(["set", "images", "pairs that are in it"], rows)]
    unusable = {name: one["unusable"] for name, one in result["sets"].items() if one["unusable"]}
    for name, reasons in unusable.items():
        shown = ", ".join(f"{reason} {num:,}" for reason, num in reasons.items())
        lines.append(f"{name}: images that cannot be used: {shown}")
    twice = sum(one["pairs"] for one in result["sets"].values()) - result["pairs"]
    lines.append(f"read {result['read']:,} = kept {result['kept']:,} + in a set {result['pairs']:,}"
                 + (", of which some are in several" if twice else ""))  # fmt: skip
    if result["matched"] is not None:
        lines.append(f"they do not count any more: {result['matched']:,} matched pairs are left; "
                     "balance again to leave them out")  # fmt: skip
    return "\n".join([*lines, f"both sides of each: {output}/hits", f"→ {output}"])
