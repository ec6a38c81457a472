"""Exactly so many pairs: what a threshold keeps, cut off where the number is reached.

The smallest t that keeps N pairs may keep more of them, since many may come in with it. Pairs are
put in one order, which no N decides: by the smallest t that keeps them, and among those that come
in with one t by the share that their draw is of their probability at it. The first N of this order
are kept, so that what a smaller N keeps a larger one keeps too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactCut", "ratio_keys"]

_STEPS = 2.0**53


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactCut:
    """Where what a threshold keeps is cut off.

    Attributes:
        pairs: how many are kept.
        below: t per language, one step below the threshold: what it keeps, is kept. None where
            nothing is, as below t = 1.
        largest: of those that come in with the threshold, the largest key that is kept.
    """

    pairs: int
    below: Mapping[str, int | None]
    largest: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "ExactCut | None":
        """Return the one that a balanced set was made with, if it was."""
        values = parameters.get("exact")
        return cls(**values) if values else None

    def keeps(
        self, draws: NDArray[np.float64], probability: NDArray[np.float64],
        below: NDArray[np.float64],
    ) -> NDArray[np.bool_]:  # fmt: skip
        """Tell which pairs are kept.

        Args:
            draws: of the pairs.
            probability: of each at the threshold.
            below: of each at the one below; 0 where nothing is kept there.
        """
        is_first = ratio_keys(draws, probability) <= self.largest
        return (draws < below) | ((draws < probability) & is_first)


def ratio_keys(draws: NDArray[np.float64], probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return draw / probability as whole numbers of 2^-53, rounded down; at most 2^53.

    >>> ratio_keys(np.array([0.25]), np.array([0.5])).tolist() == [2**52]
    True
    """
    ratio = np.minimum(draws / np.maximum(probability, 2.0**-1000), 1.0)
    return (ratio * _STEPS).astype(np.int64)
