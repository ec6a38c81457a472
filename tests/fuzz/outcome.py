"""What came of damaged files, counted."""

from dataclasses import dataclass

__all__ = ["Outcome"]


@dataclass(slots=True)
class Outcome:
    """What came of files: how many were read, and rows usable, bad, and files refused."""

    files: int = 0
    rows: int = 0
    bad: int = 0
    refused: int = 0
