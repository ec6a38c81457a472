"""What the loader gives and takes: batches, positions in the epochs, and settings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.training.data.arrange import check_batch_by
from curate.training.data.sampler import UNITS, Group

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Batch", "KnownCrops", "LoaderConfig", "Position"]


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run is: the epoch, and the samples drawn of it by all ranks together.

    `shard` and `before` say where to begin looking: a group of shards begins with the epoch's
    shard number `shard`, and `before` samples were drawn before it. Left at 0, the position is the
    same, and it takes longer to find. Of several lanes, `lanes` says the same four of each, and
    `epoch` and `drawn` are those of the last one.
    """

    epoch: int = 0
    drawn: int = 0
    shard: int = 0
    before: int = 0
    lanes: Mapping[int, tuple[int, int, int, int]] = field(default_factory=dict)

    def of_lane(self, lane: int) -> "Position":
        """Return the position of one of several lanes."""
        return Position(*self.lanes[lane]) if self.lanes else Position(self.epoch)


@dataclass(frozen=True, slots=True)
class Plan:
    """A batch that is to be made.

    Attributes:
        places: of this process, in groups.
        end: where the run then is.
        skipped: samples left out before it, by reason.
    """

    places: list[tuple[Group, int]]
    end: Position
    skipped: Counter[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs to train on; of several ranks, one rank's share.

    Attributes:
        images: uint8, (B, 3, H, W): an array, or a tensor where they are on a device already.
        tokens: int64, (B, T).
        pair_ids: shape (B,).
        end: the position after this batch.
        skipped: samples left out since the last batch, by reason; those of all ranks add up.
        langs: of each pair; None where its shard does not say.
        entry_ids: that each pair matched.
        sources: of the texts: alt, or who wrote the caption.
        more_tokens: of the same texts by other tokenizers, int64, (B, T) each.
        crops: of each image, which of the cuts that are known of it; none where cuts are drawn.
    """

    images: "NDArray[np.uint8] | Tensor"
    tokens: NDArray[np.int64]
    pair_ids: list[str]
    end: Position
    skipped: dict[str, int]
    langs: Sequence[str | None] = ()
    entry_ids: Sequence[Sequence[int]] = ()
    sources: Sequence[str] = ()
    more_tokens: Sequence[NDArray[np.int64]] = ()
    crops: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCrops:
    """The cuts of images that a sample gets one of, where a teacher has looked at each beforehand.

    Attributes:
        num: of an image.
        seed: decides the rectangles.

    Raises:
        UsageError: there are none.

    Source: Vasu et al. 2024, arXiv:2311.17049 (MobileCLIP), section 3.1: data sets reinforced with
    a teacher's vectors of several augmentations of each image.
    """

    num: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if self.num < 1:
            raise UsageError(f"crops is {self.num}; expected at least 1")

    def key(self, pair_id: str, crop: int) -> int:
        """Return what decides a rectangle, as `images.crop_into` takes it.

        Args:
            pair_id: whose image it is cut out of.
            crop: number of the cut; 0 <= crop < num.
        """
        return xxhash.xxh3_64_intdigest(f"{self.seed}\t{crop}\t{pair_id}".encode())

    def draw(self, key: int) -> int:
        """Return the number of the cut that a sample gets.

        Args:
            key: of all that is random about it: a function of seed, epoch, shard and number.

        >>> {KnownCrops(num=3).draw(key) for key in range(50)}
        {0, 1, 2}
        """
        return xxhash.xxh3_64_intdigest(key.to_bytes(8, "little")) % self.num


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderConfig:
    """How shards are loaded.

    Attributes:
        image_size: pixels of both sides.
        batch_size: pairs of all ranks together; a multiple of num_ranks.
        seed: of the order, the crops and the draws.
        shuffle_pairs: pairs of a window, within which order is random; a window comes from about
            four times as many neighbours in the epoch's order of shards.
        rank: which share of a batch is loaded here.
        num_ranks: shares of a batch.
        lanes: parts of the shards that every batch takes its places from, one after the other; a
            part's shards are read by the processes that have its places (see `lanes`).
        unit: pair: every pair is trained on; image: one pair of each image per epoch.
        batch_by: what makes samples of a group a batch: order: their order; length: texts of like
            length; entries: of each super-batch those whose rarest entry was seen least in the
            group before; diverse: in the super-batch itself.
        super_batch: with entries and diverse, samples that are looked at for each that is chosen.
        decoder: of JPEGs: simplejpeg, pillow, auto for the first of them that is installed, or
            nvimgcodec, on the GPU.
        device: where nvimgcodec decodes.
        threads: that decode; None: one for each core that this process may use.
        ahead: batches in work while one is being trained on.
        pin_memory: put images where a GPU can fetch them by itself.
        crops: cuts that there are of each image; None: each is drawn anew.
    """

    image_size: int
    batch_size: int
    seed: int = 0
    shuffle_pairs: int = 10_000
    rank: int = 0
    num_ranks: int = 1
    lanes: int = 1
    unit: str = "pair"
    batch_by: str = "order"
    super_batch: float = 2.0
    decoder: str = "auto"
    device: str = "cpu"
    threads: int | None = None
    ahead: int = 2
    pin_memory: bool = False
    crops: KnownCrops | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        for name in ("image_size", "batch_size", "shuffle_pairs", "num_ranks", "ahead", "lanes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads is {self.threads}; expected at least 1")
        if not 0 <= self.rank < self.num_ranks:
            raise UsageError(f"rank is {self.rank}; expected 0 to {self.num_ranks - 1}")
        if self.batch_size % self.num_ranks:
            raise UsageError(
                f"a batch of {self.batch_size} pairs cannot be shared by {self.num_ranks} "
                "processes equally; use a --batch-size that is a multiple of them"
            )
        if self.lanes > self.batch_size:
            raise UsageError(
                f"lanes is {self.lanes}; expected at most the batch size, {self.batch_size}"
            )
        if self.unit not in UNITS:
            raise UsageError(f"unit is {self.unit!r}; expected {' or '.join(UNITS)}")
        check_batch_by(self.batch_by, self.super_batch)
