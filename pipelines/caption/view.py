"""What became of the pairs that were to be captioned, as text for a terminal."""

from typing import Any

__all__ = ["caption_table"]


def caption_table(result: dict[str, Any], output: str) -> str:
    """Show what became of pairs, by reason, and what it took."""
    if "captions" not in result:
        return "\n".join(f"{key}: {value}" for key, value in result.items())
    skipped, failed, took = (
        ", ".join(f"{reason} {num:,}" for reason, num in result[name].items()) or "none"
        for name in ("skipped", "failed", "counts")
    )
    cost = f"cost {result['cost']:,.4f}\n" if "cost" in result else ""
    return (
        f"read {result['read']:,} = captions {result['captions']:,}"
        f" + skipped {sum(result['skipped'].values()):,} ({skipped})"
        f" + failed {sum(result['failed'].values()):,} ({failed})\ntook {took}\n{cost}→ {output}"
    )
