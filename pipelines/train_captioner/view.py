"""What captioner was trained, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import cell, plan_lines, render_table

__all__ = ["captioner_table"]


def captioner_table(result: Mapping[str, Any], output: str) -> str:
    """Show what was trained and its last loss."""
    if "final_loss" not in result:
        return plan_lines(result)
    rows = [[result["parameters"], result["train"]["steps"], result["pairs_seen"],
             result["phase"], result["final_loss"]]]  # fmt: skip
    table = render_table(["parameters", "steps", "pairs seen", "phase", "last loss"],
                         [[cell(v) for v in row] for row in rows])  # fmt: skip
    skipped = ", ".join(f"{reason} {num:,}" for reason, num in result["skipped"].items())
    return f"{table}\nsamples skipped: {skipped or 'none'}\n→ {output}"
