"""Where the page of what is browsed is, for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import in_words, plan_lines

__all__ = ["browse_lines"]


def browse_lines(result: Mapping[str, Any]) -> str:
    """Show the address of the page, and what it is of."""
    if "address" not in result:
        return plan_lines(result)
    what = [f"{in_words(result[n])} {n}" for n in ("pairs", "entries") if result[n] is not None]
    notes = [f"note: {note}" for note in result["notes"]]
    return "\n".join([f"{result['kind']} {result['path']}: {', '.join(what) or 'opened'}", *notes,
                      f"→ {result['address']}"])  # fmt: skip
