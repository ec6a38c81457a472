"""What is known of a shard without reading it, as a run writes it down."""

from dataclasses import dataclass

__all__ = ["MISSING", "ShardFacts"]

MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """What is known of a shard.

    Attributes:
        name: of its file, without folders.
        identity: the same for the same content; MISSING if the shard is not there.
        xxh3_128: that it has to have; None for one that is not ours.
        samples: that it is said to have; None if nothing says so.
    """

    name: str
    identity: str
    xxh3_128: str | None = None
    samples: int | None = None
