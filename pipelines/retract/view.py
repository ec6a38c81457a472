"""What was taken out, for a terminal."""

from collections.abc import Mapping
from typing import Any

__all__ = ["retract_table"]


def retract_table(result: Mapping[str, Any]) -> str:
    """Show what was taken out, and what is left."""
    lines = [f"{k.replace('_', ' ')}: {v:,}" for k, v in result.items() if isinstance(v, int)]
    return "\n".join([*lines, "models, and images downloaded elsewhere, stay as they are"])
