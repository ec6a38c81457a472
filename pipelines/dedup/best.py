"""Which of several duplicates is the best: the largest image, or the one with the best score."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.pipelines.embedded.plan import EmbeddedPlan
from curate.pipelines.embedded.scores import ScoredPlan

__all__ = ["Best", "best_of"]

_RESOLUTION = "resolution"


@dataclass(slots=True)
class Best:
    """Gives the values of rows of which the largest stays.

    Attributes:
        made_from: what decides them, for the plan.
        column: of scores; None for the number of pixels.
        scores: that it is a column of.
    """

    made_from: str
    column: str | None = None
    scores: ScoredPlan | None = None
    _part: tuple[int, NDArray[np.float64]] = field(default=(-1, np.zeros(0)), repr=False)

    def __call__(self, part: int, batch: pa.RecordBatch, first: int) -> NDArray[np.float64]:
        """Return the values of a batch of a part, from a row on; nan where there is none."""
        if self.scores is None or self.column is None:
            width, height = (
                batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
                for name in ("width", "height")
            )
            return np.asarray(width * height, dtype=np.float64)
        if self._part[0] != part:
            column = self.scores.part(part, [self.column]).column(0)
            self._part = (part, column.cast(pa.float64()).to_numpy())
        return self._part[1][first : first + batch.num_rows]


def best_of(plan: EmbeddedPlan, column: str | None, scores: str | None) -> Best | None:
    """Return what decides which duplicate is the best; None for their hashes alone.

    Args:
        plan: of the vectors.
        column: resolution, or a score; None.
        scores: folder that `score` wrote.

    Raises:
        ArtifactError: there are no scores, or of other vectors.
        UsageError: there is no such score.
    """
    if column is None:
        return None
    if column == _RESOLUTION:
        return Best(_RESOLUTION)
    if scores is None:
        raise UsageError(f"--keep-best is {column!r}; expected {_RESOLUTION}, or a score")
    found = ScoredPlan.read(scores, plan)
    found.require(column)
    return Best(found.digest, column, found)
