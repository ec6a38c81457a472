"""What decides which images are duplicates, and which of them stays."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.curation.sampling.sampling import check_seed
from curate.errors import UsageError

__all__ = ["METHODS", "DedupOptions"]

METHODS = ("exact", "perceptual", "semantic")
_MOST_DISTANCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupOptions:
    """What decides the result.

    Attributes:
        methods: of METHODS; None for those that the vectors allow.
        distance: bits of 256 that perceptual hashes of duplicates may differ in.
        turned: mirrored images, and those turned by quarters, are duplicates too.
        epsilon: vectors are of duplicates from a cosine of 1 - epsilon on.
        keep_best: resolution, or a column of scores: of duplicates, the one with the largest value
            stays; None for the first by the hash of its id.
        seed: of that hash and of the centres of k-means.
    """

    methods: tuple[str, ...] | None = None
    distance: int = 48
    turned: bool = True
    epsilon: float = 0.05
    keep_best: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.methods is not None and (not self.methods or set(self.methods) - set(METHODS)):
            raise UsageError(
                f"--methods is {','.join(self.methods)!r}; expected some of {','.join(METHODS)}"
            )
        if not 0 <= self.distance <= _MOST_DISTANCE:
            raise UsageError(
                f"--distance is {self.distance}; expected 0 to {_MOST_DISTANCE} bits of 256: "
                "images that have nothing in common differ in about 128, few in less than 90"
            )
        if not 0.0 <= self.epsilon < 1.0:
            raise UsageError(f"--epsilon is {self.epsilon}; expected 0 or more, below 1")
        check_seed(self.seed)

    def as_dict(self) -> dict[str, Any]:
        """Return what decides the result as JSON-able values."""
        return {**asdict(self), "methods": None if self.methods is None else list(self.methods)}
