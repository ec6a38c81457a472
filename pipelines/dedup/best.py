"""Which of several duplicates is the best: the largest image, or the one with the best score."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.pipelines.embedded.plan import EmbeddedPlan

__all__ = ["Best", "best_of"]

_RESOLUTION = "resolution"


@dataclass(frozen=True, slots=True)
class Best:
    """Gives the values of rows of which the largest stays.

    Attributes:
        made_from: what decides them, for the plan.
    """

    made_from: str

    def __call__(self, part: int, batch: pa.RecordBatch, first: int) -> NDArray[np.float64]:
        """Return the values of a batch of a part, from a row on; nan where there is none."""
        del part, first
        width, height = (
            batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
            for name in ("width", "height")
        )
        return np.asarray(width * height, dtype=np.float64)


def best_of(plan: EmbeddedPlan, column: str | None, scores: str | None) -> Best | None:
    """Return what decides which duplicate is the best; None for their hashes alone.

    Raises:
        UsageError: there is no such column.
    """
    del plan, scores
    if column is None:
        return None
    if column == _RESOLUTION:
        return Best(_RESOLUTION)
    raise UsageError(f"--keep-best is {column!r}; expected {_RESOLUTION}")
