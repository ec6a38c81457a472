"""The order of an epoch: a function of the shards, the seed and the epoch, and of nothing else.

Shards are put in the order of a hash and cut into groups; a group's samples that can be trained
on are put in the order of a hash, and so each has a place in the epoch: a number. Batch s of B
pairs is places s·B to s·B + B − 1, whoever decodes them: rank r of R takes every R-th of them. A
run can therefore go on at any place, with other ranks or threads, and meets the same batches.

    shards     3 1 0 2 …                  by hash
    groups     [3 1] [0 2] …              until there are GROUP_WINDOWS · shuffle_pairs samples
    runs       3b 1a 3a 1b                RUN neighbours in a tar, by hash, within a group
    windows    [3b 1a] [3a 1b]            shuffle_pairs samples; by hash within a window

A window mixes pairs from all over a group, and reads each tar in runs.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.training.data.online import Online, SampleRows, read_rows
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import OpenShards, ShardIndex, index_shard

__all__ = ["GROUP_WINDOWS", "UNITS", "Group", "Sample", "Sampler", "mix", "shard_order"]

UNITS = ("pair", "image")
GROUP_WINDOWS = 4
RUN = 256
AHEAD = 8  # shards that are fetched from afar while one is read
_MAX_REMEMBERED = 1 << 22  # samples whose places are kept for the next epoch: 300 MB
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _hash_text(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits of 64-bit numbers.

    Source: Steele, Lea and Flood 2014, OOPSLA, figure 13 (SplitMix64).
    """
    values = values * _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shard_order(shards: Sequence[str], seed: int, epoch: int) -> list[str]:
    """Return the shards in the order of an epoch; names decide, not folders."""

    def place(path: str) -> tuple[int, str]:
        name = path.rpartition("/")[2]
        return _hash_text(f"{seed}\t{epoch}\t{name}"), path

    return sorted(shards, key=place)


class Sample(NamedTuple):
    """A sample of a group: where it is, and the key of all that is random about it."""

    shard: ShardIndex
    number: int
    key: int
    places: list[int]
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring shards of an epoch, and the order of what can be trained on in them.

    Attributes:
        first_shard: place of the first shard in the epoch's order.
        first: place of the group's first sample in the epoch.
        shards: shape (num_shards,).
        shard: of each sample, in order; shape (num_samples,).
        number: of each sample in its shard; shape (num_samples,).
        key: of each sample's draws; uint64, shape (num_samples,).
        skipped: samples that cannot or shall not be trained on, by reason.
        epoch: whose group it is.
    """

    first_shard: int
    first: int
    shards: list[ShardIndex]
    shard: NDArray[np.int32]
    number: NDArray[np.int64]
    key: NDArray[np.uint64]
    skipped: Counter[str]
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.number)

    def sample(self, place: int) -> Sample:
        """Return the sample at a place of the group."""
        shard, number = self.shards[self.shard[place]], int(self.number[place])
        places = shard.places[number].tolist()
        return Sample(shard, number, int(self.key[place]), places, self.epoch)


@dataclass(slots=True, kw_only=True)
class Sampler:
    """Gives the groups of an epoch, one after the other.

    Attributes:
        shards: paths of tars.
        seed: of the order.
        shuffle_pairs: samples of a window.
        unit: pair: every pair is trained on; image: of the pairs of an image in a shard, one per
            epoch, drawn by hash among those that are kept.
        online: the balancing that is done while loading; None if the shards are balanced.
        cache: holds copies of remote shards.
        sums: xxh3_128 of shards by path, which are compared.
        needs_text: a sample has to have a text or a JSON; else its text may be elsewhere.
    """

    shards: Sequence[str]
    seed: int
    shuffle_pairs: int
    unit: str = "pair"
    online: Online | None = None
    cache: ShardCache = field(default_factory=ShardCache)
    sums: Mapping[str, str] = field(default_factory=dict)
    needs_text: bool = True
    files: OpenShards = field(init=False)
    _indices: OrderedDict[str, tuple[ShardIndex, SampleRows | None]] = field(
        default_factory=OrderedDict
    )
    _num_remembered: int = 0

    def __post_init__(self) -> None:
        """Open files through the cache."""
        self.files = OpenShards(self.cache.open)

    def groups(self, epoch: int, first_shard: int = 0, first: int = 0) -> Iterator[Group]:
        """Yield the groups of an epoch.

        Args:
            epoch: from 0.
            first_shard: where a group begins, as an earlier one said; 0 for all of them.
            first: the place of that group's first sample.

        Raises:
            InputError: a shard cannot be opened.
        """
        order = shard_order(self.shards, self.seed, epoch)
        enough = GROUP_WINDOWS * self.shuffle_pairs
        while first_shard < len(order):
            found: list[tuple[ShardIndex, SampleRows | None]] = []
            num_samples = 0
            for at, path in enumerate(order[first_shard:], start=first_shard):
                self.cache.fetch_ahead(order[at + 1 : at + 1 + AHEAD])
                found.append(self._index(path))
                num_samples += len(found[-1][0].places)
                if num_samples >= enough:
                    break
            group = self._group(epoch, first_shard, first, found)
            yield group
            first_shard += len(found)
            first += len(group)

    def _index(self, path: str) -> tuple[ShardIndex, SampleRows | None]:
        if path in self._indices:
            return self._indices[path]
        index = index_shard(path, self.files.open_file, self.sums.get(path))
        needs_rows = self.online is not None or self.unit == "image"
        self._indices[path] = index, (read_rows(index, self.files) if needs_rows else None)
        self._num_remembered += len(index.places)
        while self._num_remembered > _MAX_REMEMBERED and len(self._indices) > 1:
            _, (old, _) = self._indices.popitem(last=False)
            self._num_remembered -= len(old.places)
        return self._indices[path]

    def _group(
        self, epoch: int, first_shard: int, first: int,
        found: Sequence[tuple[ShardIndex, SampleRows | None]],
    ) -> Group:  # fmt: skip
        skipped: Counter[str] = Counter()
        columns: list[tuple[Any, ...]] = []
        for place, (index, rows) in enumerate(found):
            salt = np.uint64(_hash_text(f"{self.seed}\t{epoch}\t{index.path.rpartition('/')[2]}\t"))
            all_keys = mix(salt + np.arange(len(index.places), dtype=np.uint64))
            number = self._usable(index, rows, epoch, all_keys, skipped)
            # A salt of its own, since runs and samples are both counted from 0.
            run = mix(~salt + (number // RUN).astype(np.uint64))
            columns.append((number, np.full(len(number), place, np.int32), all_keys[number], run))
        number, shard, key, run = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        in_runs = np.lexsort((number, shard, run))
        window = np.empty(len(number), np.int64)
        window[in_runs] = np.arange(len(number)) // self.shuffle_pairs
        order = np.lexsort((number, shard, key, window))
        indices = [index for index, _ in found]
        return Group(
            first_shard, first, indices, shard[order], number[order], key[order], skipped, epoch
        )

    def _usable(
        self, index: ShardIndex, rows: SampleRows | None, epoch: int,
        keys: NDArray[np.uint64], skipped: Counter[str],
    ) -> NDArray[np.int64]:  # fmt: skip
        """Return the numbers of the samples that are trained on; count the others by reason."""
        skipped["corrupt_shard"] += not index.is_whole
        skipped["missing_sample"] += index.num_missing
        has_text = (index.text[:, 1] > 0) | (index.json[:, 1] > 0) | (not self.needs_text)
        has_image = index.image[:, 1] > 0
        skipped["no_caption"] += int((~has_text).sum())
        skipped["no_image"] += int((has_text & ~has_image).sum())
        number = np.flatnonzero(has_text & has_image)
        if rows is not None and self.online is not None:
            is_known, is_kept = self.online.decide(rows, number, self.seed + epoch)
            skipped["no_entries"] += int((~is_known).sum())
            skipped["not_sampled"] += int((is_known & ~is_kept).sum())
            number = number[is_kept]
        if rows is not None and self.unit == "image":
            chosen = _one_of_each(rows.image[number], keys[number])
            skipped["other_text"] += len(number) - len(chosen)
            number = number[chosen]
        return number


def _one_of_each(image: NDArray[np.int32], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the places of the smallest key of each image, ascending."""
    order = np.lexsort((key, image))
    is_first = np.ones(len(order), bool)
    is_first[1:] = image[order][1:] != image[order][:-1]
    return np.sort(order[is_first])
