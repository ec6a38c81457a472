"""Where the card is, for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.pipelines.views.tables import plan_lines

__all__ = ["card_table"]


def card_table(result: Mapping[str, Any], output: str) -> str:
    """Show where the card is, and how many classes it covers if it was asked."""
    if "languages" not in result:
        return plan_lines(result)
    total, classes = result["total"], result.get("classes")
    kl = " → ".join(f"{total[f'kl_{when}_bits']:.4g}" for when in ("before", "after"))
    lines = [f"kept {total['kept']:,} of {total['matched']:,} matched pairs, "
             f"KL to uniform {kl} bits"]  # fmt: skip
    if classes:
        lines.append(f"classes {classes['classes']:,}: entries {classes['entries']:,}, matched "
                     f"{classes['matched']:,}, kept {classes['kept']:,}")  # fmt: skip
    return "\n".join([*lines, f"→ {output}/datacard.html"])
