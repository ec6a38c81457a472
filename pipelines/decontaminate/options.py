"""What decides which pairs are in evaluation sets."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import UsageError

__all__ = ["METHODS", "DecontaminateOptions"]

METHODS = ("exact", "perceptual", "semantic", "text")
_MOST_DISTANCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminateOptions:
    """What decides the result.

    Attributes:
        methods: of METHODS; None for those that the vectors, the run and the matches allow.
        distance: bits of 256 that perceptual hashes may differ in.
        turned: mirrored images, and those turned by quarters, are the same.
        epsilon: vectors are of the same image from a cosine of 1 - epsilon on.
        min_characters: of a text that is looked for; shorter ones say nothing.
        run: model of the vectors, for the sets' images; and its shape and tokenizer.
        device: that they are embedded on.
    """

    methods: tuple[str, ...] | None = None
    distance: int = 40
    turned: bool = True
    epsilon: float = 0.03
    min_characters: int = 30
    run: str | None = None
    model: str | None = None
    tokenizer: str | None = None
    device: str | None = None

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
                f"--distance is {self.distance}; expected 0 to {_MOST_DISTANCE} bits of 256"
            )
        if not 0.0 <= self.epsilon < 1.0:
            raise UsageError(f"--epsilon is {self.epsilon}; expected 0 or more, below 1")
        if self.min_characters < 1:
            raise UsageError(f"--min-characters is {self.min_characters}; expected at least 1")
        if "semantic" in (self.methods or ()) and self.run is None:
            raise UsageError("--methods semantic needs the model of the vectors: give --run")

    def as_dict(self) -> dict[str, Any]:
        """Return what decides the result, but the model, as JSON-able values."""
        left_out = ("run", "model", "tokenizer", "device", "methods")
        return {name: value for name, value in asdict(self).items() if name not in left_out}
