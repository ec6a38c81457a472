"""What decides the clusters that pairs are sampled by, and how many are kept."""

from dataclasses import dataclass
from typing import Any

from curate.curation.sampling.sampling import check_seed
from curate.errors import UsageError

__all__ = ["SampleOptions", "parse_clusters"]

_KINDS = ("image", "text")
_PER_LEAF, _MOST_LEAVES = 128, 8192
_PER_CLUSTER, _FEWEST = 16, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """What decides the result.

    Attributes:
        target_pairs: expected number of pairs that are kept.
        clusters: of each level, the leaves first; None to follow from the number of vectors.
        kind: of vectors: image or text.
        resample: how often each level is fitted again to the vectors nearest to its centres.
        seed: of the draws, and of the first centres.
    """

    target_pairs: int
    clusters: tuple[int, ...] | None = None
    kind: str = "image"
    resample: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.target_pairs < 1:
            raise UsageError(f"--target-pairs is {self.target_pairs}; expected at least 1")
        if self.kind not in _KINDS:
            raise UsageError(f"--kind is {self.kind!r}; expected image or text")
        if not 0 <= self.resample <= 100:
            raise UsageError(f"--resample is {self.resample}; expected 0 to 100")
        given = self.clusters
        if given is not None:
            falls = all(a > b for a, b in zip(given, given[1:], strict=False))
            if not given or min(given) < 1 or not falls:
                raise UsageError(
                    f"--clusters is {','.join(map(str, given))!r}; expected numbers that fall from "
                    "the leaves to the top, such as 4096,256,16"
                )
        check_seed(self.seed)

    def clusters_of(self, num: int) -> tuple[int, ...]:
        """Return the clusters of each level for a number of vectors.

        Raises:
            UsageError: there are fewer vectors than clusters.

        >>> SampleOptions(target_pairs=1).clusters_of(1_000_000)
        (7812, 488, 30)
        """
        if self.clusters is None:
            found = [min(max(1, num // _PER_LEAF), _MOST_LEAVES)]
            while found[-1] // _PER_CLUSTER >= _FEWEST:
                found.append(found[-1] // _PER_CLUSTER)
            return tuple(found)
        if self.clusters[0] > num:
            raise UsageError(
                f"--clusters begins with {self.clusters[0]:,} clusters, and {num:,} pairs have a "
                f"vector of the kind {self.kind}; expected fewer clusters than that"
            )
        return self.clusters

    def as_dict(self) -> dict[str, Any]:
        """Return what decides the clusters as JSON-able values."""
        return {"kind": self.kind, "resample": self.resample, "seed": self.seed}


def parse_clusters(text: str | None) -> tuple[int, ...] | None:
    """Return the numbers of a list such as ``4096,256,16``.

    Raises:
        UsageError: it is none.
    """
    from curate.files.sizes import parse_number

    if text is None:
        return None
    return tuple(parse_number(word, "--clusters") for word in text.replace(" ", "").split(","))
