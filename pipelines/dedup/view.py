"""What dedup found, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import render_table

__all__ = ["dedup_table"]


def dedup_table(result: Mapping[str, Any], output: str) -> str:
    """Show how many images and pairs fall, and for which reason."""
    if "counted_again" in result:
        return f"{result['counted_again']:,} pairs count again: {result['matched']:,} in all"
    if "fallen" not in result:
        return "\n".join(f"{key}: {value}" for key, value in result.items())
    rows = [
        [reason.removeprefix("duplicate_"), f"{result['images_fallen'].get(reason, 0):,}",
         f"{num:,}", f"{num / max(1, result['read']):.2%}"]
        for reason, num in result["fallen"].items()
    ]  # fmt: skip
    fallen = sum(result["fallen"].values())
    lines = [render_table(["duplicates", "images", "pairs", "share"], rows)]
    lines.append(f"read {result['read']:,} = kept {result['kept']:,} + duplicates {fallen:,}")
    if result["not_compared"]:
        shown = ", ".join(f"{why} {num:,}" for why, num in result["not_compared"].items())
        lines.append(f"images that could not be compared so: {shown}")
    if result["matched"] is not None:
        lines.append(f"they do not count any more: {result['matched']:,} matched pairs are left; "
                     "balance again to leave them out")  # fmt: skip
    return "\n".join([*lines, f"→ {output}"])
