"""What went to the Hub, or would go, for a terminal."""

from collections.abc import Mapping
from typing import Any

from curate.files.sizes import several

__all__ = ["push_table"]


def push_table(result: Mapping[str, Any]) -> str:
    """Show what goes where, under which license, and who can read it."""
    kinds = ", ".join(
        name if num == 1 and not name.endswith("/") else f"{name} ({several(num, 'file')})"
        for name, num in result["by_folder"].items()
    )
    who = "private" if result["private"] else "for everybody to read"
    what = "with images" if result["images"] else "URLs and texts, no images"
    lines = [
        f"{result['pairs']:,} pairs, {what}; license {result['license']}, {who}",
        f"{several(result['files'], 'file')}, about {result['bytes'] / 1e6:,.1f} MB: {kinds}",
    ]
    if result.get("dry_run"):
        lines += [f"would be removed there: {name}" for name in result["removes"]]
        return "\n".join([*lines, f"would go to {result['address']}"])
    lines.append(
        f"sent {result['sent']:,} ({result['sent_bytes'] / 1e6:,.1f} MB) in "
        f"{several(result['commits'], 'commit')}, there already {result['there']:,}, removed "
        f"{result['removed']:,}"
    )
    return "\n".join([*lines, f"→ {result['address']}"])
