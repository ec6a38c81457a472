"""What became of records and pairs, as text for a terminal."""

from typing import Any

from curate.pipelines.opt_outs.signals import opt_outs_line

__all__ = ["extract_table"]


def extract_table(result: dict[str, Any], output: str) -> str:
    """Show what became of records and pairs, by reason."""
    if "records" not in result:
        return "\n".join(f"{key}: {value}" for key, value in result.items())
    records = result["records"]
    skipped, dropped = (
        ", ".join(f"{reason} {num:,}" for reason, num in reasons.items()) or "none"
        for reasons in (records["skipped"], result["dropped"])
    )
    signals = opt_outs_line("pages", result.get("opt_outs", {}))
    return (
        f"records {records['read']:,} = pages {records['pages']:,}"
        f" + skipped {sum(records['skipped'].values()):,} ({skipped})\n"
        f"read {result['read']:,} = pairs {result['pairs']:,}"
        f" + dropped {sum(result['dropped'].values()):,} ({dropped})\n{signals}→ {output}"
    )
