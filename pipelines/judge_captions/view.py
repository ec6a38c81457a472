"""What became of captions that were judged, as text for a terminal."""

from typing import Any

from curate.pipelines.views.tables import plan_lines

__all__ = ["judge_table"]

_SHOWN = 8


def judge_table(result: dict[str, Any], output: str) -> str:
    """Show what was kept, dropped, gained and lost."""
    if "kept" not in result:
        return plan_lines(result)
    dropped = ", ".join(f"{reason} {num:,}" for reason, num in result["dropped"].items())
    lines = [
        f"captions {result['captions']:,} = kept {result['kept']:,} + dropped "
        f"{sum(result['dropped'].values()):,} ({dropped or 'none'}); pairs without one "
        f"{result['pairs_without']:,}, pairs that the shards do not have "
        f"{result['unknown_pairs']:,}",
        ", ".join(f"{name} {value:.3f}" for name, value in result["means"].items()),
    ]
    for lang, found in result["entries"].items():
        gained, lost = (
            ", ".join(f"{e['entry']} {e['alt']}→{e['caption']}" for e in found[key][:_SHOWN])
            for key in ("gained", "lost")
        )
        lines.append(
            f"{lang}: matches {found['alt_matches']:,} → {found['caption_matches']:,}; gained "
            f"{gained or 'none'}; lost {lost or 'none'}"
        )
    return "\n".join([*lines, f"→ {output}/page.html"])
