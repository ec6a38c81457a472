"""What was kept, as a table for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.files.remedies import suggest
from curate.pipelines.views.tables import by_size, plan_lines, with_rest

__all__ = ["balance_table"]


def balance_table(result: Mapping[str, Any], output: str) -> str:
    """Show t, pairs kept and expected, and slots per language."""
    if "languages" not in result:
        return plan_lines(result)
    rows = [
        [lang, *(v[k] for k in ("t", "p", "matched", "kept", "expected", "slots"))]
        for lang, v in by_size(result["languages"], "matched")
        if v["matched"]
    ]
    total = result["total"]
    exact = " (exactly as asked for)" if result.get("exact") else ""
    return (
        with_rest(["lang", "t", "p", "matched", "kept", "expected", "slots"], rows)
        + f"\nmatched {total['matched']:,} = kept {total['kept']:,}{exact}"
        + f" + not sampled {total['not_sampled']:,}{_filtered(total)}{_without_image(result)}"
        + f"\n{_where(result, output)}"
        + f"\n→ {output}/datacard.html"
    )


def _where(result: Mapping[str, Any], output: str) -> str:
    """Say where the kept pairs lie, and in which columns."""
    if not result["total"]["kept"]:
        return "nothing is kept: no pair matched, or none is left; the card says why"
    if result["format"] == "shards":
        return f"kept pairs: {output}/shards/*.tar, samples of image, .txt and .json"
    return (
        f"kept pairs: {output}/pairs/*.parquet, your columns and pair_id, lang, probability, …\n"
        f"to train on them: `{suggest('download')}` fetches the images of their URLs"
    )


def _filtered(total: Mapping[str, Any]) -> str:
    dropped = total.get("filtered", {})
    reasons = ", ".join(f"{reason} {num:,}" for reason, num in dropped.items())
    return f" + filtered {sum(dropped.values()):,} ({reasons})" if dropped else ""


def _without_image(result: Mapping[str, Any]) -> str:
    """Say which kept pairs have no image, where others have one or shards were made."""
    kept = result["kept_pairs"]
    if not kept["without_image"] or not (kept["with_image"] or "no_image" in kept):
        return ""
    reasons = ", ".join(f"{reason} {num:,}" for reason, num in kept.get("no_image", {}).items())
    why = f" ({reasons})" if reasons else ""
    return (f"\nkept with an image {kept['with_image']:,}, "
            f"without {kept['without_image']:,}{why}")  # fmt: skip
