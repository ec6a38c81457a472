"""What came of the URLs, as a table for a terminal."""

from typing import Any

from curate.files.sizes import several
from curate.pipelines.opt_outs.signals import opt_outs_line
from curate.pipelines.views.tables import render_table

__all__ = ["download_table"]


def download_table(result: dict[str, Any]) -> str:
    """Return what came of the URLs as text."""
    if "counted_again" in result:
        return f"{result['counted_again']:,} pairs count again: {result['matched']:,} in all"
    if "to_do" in result:
        return (
            f"{several(result['pairs'], 'pair')}, {several(result['shards'], 'shard')}, "
            f"{result['to_do']:,} to do"
        )
    rows = [
        [reason, f"{num:,}", f"{num / max(1, result['read']):.1%}"]
        for reason, num in {"downloaded": result["downloaded"], **result["failed"]}.items()
    ]
    sums = " + ".join(f"{name} {num:,}" for name, num in (
        ("downloaded", result["downloaded"]), ("failed", sum(result["failed"].values()))
    ))  # fmt: skip
    shown = render_table(["outcome", "pairs", "share"], rows)
    signals = opt_outs_line("images", result.get("opt_outs", {}))
    lines = [f"{shown}\n{signals}read {result['read']:,} = {sums}"]
    if "matched" in result:
        lines.append(f"pairs without an image do not count: {result['matched']:,} are left")
    return "\n".join([*lines, f"→ {result['output']}"])
