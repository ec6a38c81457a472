"""What decides the clusters."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.curation.sampling.sampling import check_seed
from curate.errors import UsageError
from curate.pipelines.clustered.plan import MOST_CLUSTERS

__all__ = ["ClusterPairsOptions"]

_SAMPLE_PER_CENTRE = 64
_MOST_FINE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPairsOptions:
    """What decides the result.

    Attributes:
        fine: centres that are fitted on a sample of the pairs.
        coarse: clusters that these centres are put into.
        sample: pairs that the fine centres are fitted on; None: 64 for each centre.
        steps: of the fit of the fine centres, at most.
        seed: of the draw of the sample.
    """

    fine: int = 1024
    coarse: int = 4
    sample: int | None = None
    steps: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if not 1 <= self.fine <= _MOST_FINE:
            raise UsageError(f"--fine is {self.fine:,}; expected 1 to {_MOST_FINE:,}")
        if not 1 <= self.coarse <= min(self.fine, MOST_CLUSTERS):
            raise UsageError(
                f"--coarse is {self.coarse:,}; expected 1 to the number of fine centres, "
                f"{self.fine:,}, and at most {MOST_CLUSTERS:,}"
            )
        if self.sample is not None and self.sample < self.fine:
            raise UsageError(
                f"--sample is {self.sample:,}; expected at least --fine, {self.fine:,}: a pair for "
                "each centre"
            )
        if self.steps < 1:
            raise UsageError(f"--steps is {self.steps}; expected at least 1")
        check_seed(self.seed)

    @property
    def sample_size(self) -> int:
        """How many pairs the centres are fitted on."""
        return self.sample or _SAMPLE_PER_CENTRE * self.fine

    def as_dict(self) -> dict[str, Any]:
        """Return what decides the result as JSON-able values."""
        return {**asdict(self), "sample": self.sample_size}
