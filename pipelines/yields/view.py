"""What thresholds would keep, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import by_size, render_table, with_rest

__all__ = ["yield_table"]


def yield_table(result: Mapping[str, Any]) -> str:
    """Show what thresholds would keep; a single one by language."""
    rows = result["yields"]
    notes = "".join(f"\nnote: {note}" for note in result["notes"])
    if len(rows) == 1:
        shown = [
            [lang, *(v[k] for k in ("t", "p", "kept", "expected", "slots"))]
            for lang, v in by_size(rows[0]["languages"], "kept")
        ]
        table = with_rest(["lang", "t", "p", "kept", "expected", "slots"], shown)
        return f"{table}\nkept {rows[0]['kept']:,} of {result['matched']:,} matched{notes}"
    cells = [
        [f"{row['t']:,}", row["kept"], row["expected"], row["slots"],
         f"{row['kept'] / max(1, result['matched']):.1%}"]
        for row in rows
    ]  # fmt: skip
    return render_table(["t", "kept", "expected", "slots", "of matched"], cells) + notes
