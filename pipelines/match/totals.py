"""What became of all records of a run, added up part by part: nothing is kept of a part."""

import heapq
from typing import Any

from curate.errors import ArtifactError, BadShareError
from curate.files import storage
from curate.files.remedies import remedy
from curate.pipelines.match.summary import PartSummary
from curate.pipelines.matched.plan import PLAN, MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.terminal import inert

__all__ = ["MatchTotals", "stamped_summary"]

_SHOWN = 5
_MOST_CHARACTERS = 400


class MatchTotals:
    """The sum of the summaries of parts, and where the bad records are.

    Attributes:
        total: the sum.
    """

    def __init__(self, plan: MatchedPlan, max_bad: float) -> None:
        self.total = PartSummary()
        self._plan = plan
        self._max_bad = max_bad
        self._worst: list[tuple[int, int, str]] = []
        self._lost: set[str] = set()

    def add(self, index: int, summary: PartSummary) -> None:
        """Add a part's summary."""
        self.total += summary
        bad = summary.bad
        if bad:
            heapq.heappush(self._worst, (bad, -index, _listed(summary.bad_reasons())))
            if len(self._worst) > _SHOWN:
                heapq.heappop(self._worst)
        part = self._plan.parts[index]
        if part.more:  # small files, each of which is in no other part
            self._lost |= {f"{part.path} and {num}" for num in range(summary.lost_files)}
        elif summary.lost_files:
            self._lost.add(part.path)

    def check_bad_share(self, num_read: int) -> None:
        """Raise if bad records, or cut-off files, are more than the allowed share.

        A file that cannot be read to its end counts among the files: nobody knows how many of its
        rows are lost, and one lost file must not pass for one lost row.

        Args:
            num_read: records that the bad ones are a share of.

        Raises:
            BadShareError: they are too many; the message names the worst parts.
        """
        bad, num_files = self.total.bad, len(self._plan.inputs)
        if bad <= self._max_bad * num_read and len(self._lost) <= self._max_bad * num_files:
            return
        where = "\n  ".join(
            f"{self._plan.parts[-index].name()}: {num} ({reasons}); see "
            + _rejected(self._plan, -index) + _first_detail(_rejected(self._plan, -index))
            for num, index, reasons in sorted(self._worst, key=lambda w: (-w[0], -w[1]))
        )  # fmt: skip
        lost = f" and {len(self._lost)} of {num_files} files cannot be read whole"
        raise BadShareError(
            f"{bad} of {num_read} records are bad{lost if self._lost else ''}"
            f"; --max-bad allows a share of {self._max_bad:g}:\n  {where}\n"
            "Mend the input, or rerun with a larger --max-bad to drop and count them."
        )

    def check_sums(self) -> dict[str, Any]:
        """Return the sum as JSON-able values, after checking that nothing got lost."""
        total = self.total
        if total.read != total.matched + sum(total.dropped().values()):
            raise ArtifactError(
                f"{self._plan.folder}: of {total.read:,} records that its parts count as read "
                f"{total.matched:,} matched and {sum(total.dropped().values()):,} were dropped, "
                f"which is not all of them. {remedy(storage.join(self._plan.folder, PLAN))}"
            )
        return total.as_dict()


def _rejected(plan: MatchedPlan, index: int) -> str:
    return storage.join(plan.folder, "rejected", part_name(index, "parquet"))


def _first_detail(path: str) -> str:
    """Return what was said of the first bad record of a part that something was said of."""
    if not storage.exists(path):
        return ""
    with artifacts.open_parquet(path) as file:
        for batch in file.iter_batches(columns=["row", "reason", "detail"]):
            for row in batch.to_pylist():
                if row["detail"]:
                    at = "" if row["row"] is None else f"row {row['row']}: "
                    detail = row["detail"][:_MOST_CHARACTERS]
                    return f"\n    {at}{row['reason']}: {inert(detail)}"
    return ""


def _listed(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason} {num}" for reason, num in sorted(reasons.items()))


def stamped_summary(plan: MatchedPlan, parameters: str, index: int) -> dict[str, Any]:
    """Return a part's summary from its file's stamp, checked to be of this plan's part."""
    path, part = plan.pairs_path(index), plan.parts[index]
    stamp = artifacts.read_stamp(path)
    found = {"parameters": stamp["parameters"], "part": stamp["part"]}
    artifacts.require_same(path, found, {"parameters": parameters, "part": part.as_dict()})
    summary: dict[str, Any] = stamp["summary"]
    return summary
