"""Rows in, Markdown out."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["machine", "show"]


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print(f"\n## {title}\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        cells = [row.get(name, "") for name in names]
        print("| " + " | ".join(_shown(c) for c in cells) + " |", flush=True)


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def machine() -> str:
    """Return the processor's name, its cores, and the version of Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"
