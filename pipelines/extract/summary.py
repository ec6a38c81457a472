"""What became of the records and pairs of crawl files; needs no package that reads them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BAD_RECORDS", "BAD_REASONS", "ExtractSummary"]

BAD_RECORDS = frozenset({"bad_http", "bad_page_url", "truncated_record", "unreadable_records"})
BAD_REASONS = BAD_RECORDS | {"bad_json", "page_too_slow", "parser_failed"}


@dataclass(slots=True)
class ExtractSummary:
    """What became of records and pairs, in numbers that add up, also over files.

    Attributes:
        records: those that hold a page under "page", the others by reason.
        pairs: those that are written under "pairs", the others by reason.
        lost_files: 1 if the file could not be read to its end.
        opt_outs: pairs that each signal of their pages touches, before filters and duplicates; a
            pair may be touched by several.
    """

    records: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    lost_files: int = 0
    opt_outs: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "ExtractSummary") -> "ExtractSummary":
        return ExtractSummary(
            self.records + other.records,
            self.pairs + other.pairs,
            self.lost_files + other.lost_files,
            self.opt_outs + other.opt_outs,
        )

    @property
    def bad(self) -> dict[str, int]:
        """Return the number of bad records by reason."""
        return {r: n for r, n in sorted(self.records.items()) if r in BAD_REASONS}

    @property
    def is_bad(self) -> bool:
        """Tell whether any record is bad, or the file could not be read to its end."""
        return bool(self.bad or self.lost_files)

    def without(self, reason: str, num: int) -> "ExtractSummary":
        """Return the summary after so many of its pairs are dropped for a reason."""
        pairs = self.pairs + Counter({reason: num})
        pairs["pairs"] -= num
        return ExtractSummary(self.records, pairs, self.lost_files, self.opt_outs)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-able values."""
        skipped = {r: n for r, n in sorted(self.records.items()) if n and r != "page"}
        dropped = {r: n for r, n in sorted(self.pairs.items()) if n and r != "pairs"}
        return {
            "records": {"read": sum(self.records.values()), "pages": self.records["page"],
                        "skipped": skipped},
            "read": sum(self.pairs.values()), "pairs": self.pairs["pairs"], "dropped": dropped,
            "lost_files": self.lost_files, "opt_outs": dict(sorted(self.opt_outs.items())),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ExtractSummary":
        """Return the summary that `as_dict` gave the values of."""
        return cls(
            Counter({"page": values["records"]["pages"], **values["records"]["skipped"]}),
            Counter({"pairs": values["pairs"], **values["dropped"]}),
            values["lost_files"],
            Counter(values["opt_outs"]),
        )
