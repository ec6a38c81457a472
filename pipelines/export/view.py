"""What an export holds, for a terminal."""

from collections.abc import Mapping
from typing import Any

__all__ = ["export_table"]


def export_table(result: Mapping[str, Any]) -> str:
    """Return the result of an export for a person."""
    lines = [
        f"{name}  {found['bytes']:,} bytes" if found else name
        for name, found in result["files"].items()
    ]
    return "\n".join([*lines, f"{result['parameters']:,} parameters", f"→ {result['output']}"])
