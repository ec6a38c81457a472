"""Shards in, batches out: every pair once per epoch, in an order that (seed, epoch) decides.

    shards ─ index ─► order ─ this rank's share ─► threads: read, decode, crop, tokenize ─► batches

A batch says where the epoch stands at its end, so that a resumed run goes on with the next sample,
with the same pixels, also if it has other ranks or threads.

A sample that turns out unusable when it is decoded is counted, and its place is given to another
one of its group, which hash decides, so that all ranks have full batches without asking each other;
that one is seen twice in the epoch.
"""

import os
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import InputError
from curate.files.sizes import several
from curate.training.captions.mix import PairTexts
from curate.training.data.arrange import ByLength, chooser
from curate.training.data.batch import Batch, LoaderConfig, Plan, Position
from curate.training.data.images import describe_decoder, host_decoder, resolve_decoder
from curate.training.data.lanes import plan_lanes
from curate.training.data.online import Online
from curate.training.data.prefetch import prefetch
from curate.training.data.sampler import Arrangement, Group, Sampler
from curate.training.data.samples import Pair, Reader, captions
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import list_shards
from curate.training.experts.choice import Expert
from curate.training.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from curate.training.data.gpu_decode import GpuCropper

__all__ = [
    "Batch",
    "Loader",
    "LoaderConfig",
    "Online",
    "Position",
    "batches",
    "captions",
    "list_shards",
    "prefetch",
]

_CHUNK = 32  # samples of a task of a thread
_TEXTS = 1024  # whose lengths are looked at, at once
# To an array of a list, in a loop over it: the list's, the loop's, and that of the question.
_FREE_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class _Making:
    """A batch in work."""

    plan: Plan
    images: "NDArray[np.uint8] | Tensor"
    chunks: "list[Future[tuple[list[Pair], list[NDArray[np.int64]], Counter[str]]]]"

    def result(self) -> Batch:
        """Wait for the threads, and return the batch."""
        done = [chunk.result() for chunk in self.chunks]
        pairs = [pair for found, _, _ in done for pair in found]
        skipped = sum((counts for _, _, counts in done), self.plan.skipped)
        tokens, *more = (
            np.concatenate(of_one) for of_one in zip(*(found for _, found, _ in done), strict=True)
        )
        return Batch(
            images=self.images,
            tokens=tokens,
            more_tokens=tuple(more),
            pair_ids=[pair.pair_id for pair in pairs],
            end=self.plan.end,
            skipped=dict(skipped),
            langs=[pair.lang for pair in pairs],
            entry_ids=[pair.entry_ids for pair in pairs],
            sources=[pair.source for pair in pairs],
            crops=[pair.crop for pair in pairs],
        )


class Loader:
    """Loads batches from shards.

    Args:
        shards: paths of tars.
        tokenizer: for the captions.
        config: how.
        online: the balancing that is done while loading; None if the shards are balanced.
        cache: holds copies of remote shards; None for one as `ShardCache` has by default.
        sums: xxh3_128 of shards by path, which are compared before they are used.
        lost: shards that are not there any more, and how many samples they had.
        num_samples: that shards are said to have, by path; by this lanes are cut.
        more_tokenizers: for the same captions, of a teacher, for example.
        texts: draws one of the texts of a pair; None: its alt-text.
        expert: trains on pairs of a cluster, most of all; None: on all.
        takes_first: of several alt-texts of a pair the first, and not any, as vectors are made.

    Raises:
        UsageError: there is no such decoder.
        MissingExtraError: it is not installed.
    """

    def __init__(
        self,
        shards: Sequence[str],
        tokenizer: Tokenizer,
        config: LoaderConfig,
        *,
        online: Online | None = None,
        cache: ShardCache | None = None,
        sums: Mapping[str, str] | None = None,
        lost: Mapping[str, int] | None = None,
        num_samples: Mapping[str, int] | None = None,
        more_tokenizers: Sequence[Tokenizer] = (),
        texts: PairTexts | None = None,
        expert: Expert | None = None,
        takes_first: bool = False,
    ) -> None:
        self.config = config
        self._tokenizers = (tokenizer, *more_tokenizers)
        self._decoder = resolve_decoder(config.decoder)
        self._num_samples = num_samples or {}
        self._sampler = Sampler(
            shards=shards, seed=config.seed, unit=config.unit,
            shuffle_pairs=max(1, config.shuffle_pairs // config.lanes),
            online=online, cache=cache or ShardCache(), sums=sums or {},
            lost=lost or {}, needs_text=texts is None, expert=expert,
        )  # fmt: skip
        self._reader = Reader(
            self._sampler.files, host_decoder(self._decoder), texts,
            takes_first=takes_first or expert is not None, crops=config.crops,
        )  # fmt: skip
        self._sampler.arrange = self._arrangement()
        self._cropper = self._new_cropper() if self._decoder == "nvimgcodec" else None
        self._memory: list[NDArray[np.uint8]] = []

    def _arrangement(self) -> Arrangement | None:
        if self.config.batch_by == "length":
            return ByLength(self._lengths, self.config.seed)
        return chooser(self.config.batch_by, self.config.super_batch)

    def _lengths(self, group: Group) -> NDArray[np.int64]:
        """Return how many tokens the texts of a group's samples have."""
        found = []
        for first in range(0, len(group), _TEXTS):
            places = range(first, min(first + _TEXTS, len(group)))
            texts = [self._reader.text(group.sample(place)) for place in places]
            tokens = self._tokenizers[0].encode(texts)
            found.append((tokens == self._tokenizers[0].eos_id).argmax(axis=1) + 1)
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _new_cropper(self) -> "GpuCropper":
        import torch

        from curate.training.data.gpu_decode import GpuCropper, nvimgcodec_decode

        device = torch.device(self.config.device)
        return GpuCropper(device, nvimgcodec_decode(device))

    def describe(self) -> dict[str, Any]:
        """Return what decides pairs and pixels, for the record of a run."""
        online = self._sampler.online
        return {
            "decoder": describe_decoder(self._decoder),
            "unit": self.config.unit,
            "online": online.digest() if online else None,
        }

    def batches(self, start: Position | None = None) -> Generator[Batch, None, None]:
        """Yield batches for ever, epoch after epoch; what is left of an epoch is not trained on.

        Args:
            start: where to go on; None for the beginning.

        Raises:
            InputError: an epoch does not fill one batch, or of many samples none can be decoded.
        """
        threads = self.config.threads or len(os.sched_getaffinity(0))
        making: deque[_Making] = deque()
        plans = self._plans(start or Position())
        with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
            try:
                for plan in plans:
                    making.append(self._make(plan, pool, threads))
                    if len(making) > self.config.ahead:
                        yield making.popleft().result()
            finally:
                plans.close()
                self._sampler.cache.stop()
                pool.shutdown(wait=True, cancel_futures=True)

    def _plans(self, start: Position) -> Generator[Plan, None, None]:
        if self.config.lanes > 1:
            return plan_lanes(self._sampler, self.config, self._num_samples, start)
        return self._plan_epochs(start)

    def _plan_epochs(self, start: Position) -> Generator[Plan, None, None]:
        left: Counter[str] = Counter()
        while True:
            num_batches = 0
            for plan in self._epoch(start, left):
                yield plan
                num_batches += 1
            if not num_batches and not start.drawn:
                num = left.pop("usable")
                remedy = "Use a smaller --batch-size or more data."
                if not num and left["no_image"]:
                    remedy = "Of pairs with URLs, `curate download` fetches the images."
                reasons = ", ".join(f"{reason} {num:,}" for reason, num in (+left).items())
                raise InputError(
                    f"{several(len(self._sampler.shards), 'shard')} with no more than "
                    f"{several(num, 'usable pair')} (skipped: {reasons or 'none'}), fewer than a "
                    f"batch of {self.config.batch_size}. {remedy}"
                )
            start = Position(start.epoch + 1)

    def _epoch(self, start: Position, left: Counter[str]) -> Generator[Plan, None, None]:
        """Yield the batches of an epoch; `left` holds what was left out and not told yet."""
        pieces: list[tuple[Group, int, int]] = []
        drawn, missing = start.drawn, self.config.batch_size
        found = self._sampler.groups(
            start.epoch, start.shard, start.before, batch_size=self.config.batch_size
        )
        groups = prefetch(found, ahead=1)
        try:
            for group in groups:
                # A group that a run goes on within has been told of before; one rank tells.
                if group.first >= start.drawn and self.config.rank == 0:
                    left.update(group.skipped)
                at = max(0, start.drawn - group.first)
                while at < len(group):
                    num = min(len(group) - at, missing)
                    pieces.append((group, at, num))
                    at, missing = at + num, missing - num
                    if not missing:
                        drawn, missing = drawn + self.config.batch_size, self.config.batch_size
                        end = Position(start.epoch, drawn, group.first_shard, group.first)
                        places = [(group, at + i) for group, at, num in pieces for i in range(num)]
                        mine = places[self.config.rank :: self.config.num_ranks]
                        yield Plan(mine, end, +left)
                        pieces = []
                        left.clear()
        finally:
            groups.close()
        if drawn == 0:
            left["usable"] = sum(num for _, _, num in pieces)

    def _make(self, plan: Plan, pool: ThreadPoolExecutor, threads: int) -> _Making:
        places = plan.places
        images = self._new_images(len(places))
        size = min(_CHUNK, -(-len(places) // threads))
        load: Any = self._load_on_device if self._cropper else self._load
        chunks = [
            pool.submit(load, places[at : at + size], images[at : at + size])
            for at in range(0, len(places), size)
        ]
        return _Making(plan, images, chunks)

    def _new_images(self, num: int) -> "NDArray[np.uint8] | Tensor":
        """Return memory for a batch: that of an earlier one that nobody holds any more."""
        shape = (num, 3, self.config.image_size, self.config.image_size)
        if self._cropper:
            return self._cropper.new_images(shape)
        if self.config.pin_memory:
            import torch

            # torch keeps such memory, and gives it out again once no copy from it is under way.
            pinned: NDArray[np.uint8] = torch.empty(
                shape, dtype=torch.uint8, pin_memory=True
            ).numpy()
            return pinned
        for held in self._memory:
            if sys.getrefcount(held) == _FREE_REFERENCES:
                return held
        new = np.empty(shape, np.uint8)
        self._memory = [*self._memory, new][-self.config.ahead - 2 :]
        return new

    def _load(
        self, places: Sequence[tuple[Group, int]], images: NDArray[np.uint8]
    ) -> tuple[list[Pair], list[NDArray[np.int64]], Counter[str]]:
        skipped: Counter[str] = Counter()
        pairs = [
            self._reader.read(group, place, image, skipped)
            for (group, place), image in zip(places, images, strict=True)
        ]
        return pairs, self._tokens(pairs), skipped

    def _tokens(self, pairs: Sequence[Pair]) -> list[NDArray[np.int64]]:
        texts = [pair.text for pair in pairs]
        return [tokenizer.encode(texts) for tokenizer in self._tokenizers]

    def _load_on_device(
        self, places: Sequence[tuple[Group, int]], images: "Tensor"
    ) -> tuple[list[Pair], list[NDArray[np.int64]], Counter[str]]:
        """Load as `_load` does; what the GPU cannot decode, the host does."""
        from curate.training.data.gpu_decode import crop_or_load

        assert self._cropper is not None
        pairs, skipped = crop_or_load(self._cropper, self._reader, places, images)
        return pairs, self._tokens(pairs), skipped


def batches(
    shards: Sequence[str],
    tokenizer: Tokenizer,
    *,
    image_size: int,
    batch_size: int,
    seed: int,
    shuffle_pairs: int,
    start: Position,
) -> Iterator[Batch]:
    """Yield the batches of a `Loader` with these settings and no others."""
    config = LoaderConfig(
        image_size=image_size, batch_size=batch_size, seed=seed, shuffle_pairs=shuffle_pairs
    )
    return Loader(shards, tokenizer, config).batches(start)
