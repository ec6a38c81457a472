"""The order of an epoch: a function of the shards, the seed and the epoch, and of nothing else.

Shards are put in the order of a hash and cut into groups; a group's samples that can be trained
on are put in the order of a hash, and so each has a place in the epoch: a number. Batch s of B
pairs is places s·B to s·B + B − 1, whoever decodes them: rank r of R takes every R-th of them. A
run can therefore go on at any place, with other ranks or threads, and meets the same batches.

    shards     3 1 0 2 …                  by hash
    groups     [3 1] [0 2] …              until there are GROUP_WINDOWS · shuffle_pairs samples
    runs       3b 1a 3a 1b                RUN neighbours in a tar, by hash, within a group
    windows    [3b 1a] [3a 1b]            shuffle_pairs samples; by hash within a window

A window mixes pairs from all over a group, and reads each tar in runs. An arrangement (`arrange`)
may then put a group's samples into another order, or leave some of them out.
"""

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.training.data.online import Online, SampleRows, read_rows
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import OpenShards, ShardIndex, index_shard, lost_shard
from curate.training.experts.choice import Expert

__all__ = [
    "GROUP_WINDOWS", "UNITS", "Arrangement", "Group", "Piece", "Sample", "Sampler", "mix",
    "shard_order",
]  # fmt: skip

UNITS = ("pair", "image")
GROUP_WINDOWS = 4
RUN = 256
_MAX_REMEMBERED = 1 << 22  # samples whose places a machine keeps for the next epoch: 300 MB
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


def salts(shards: Sequence[str]) -> dict[str, str]:
    """Return what decides the draws of each shard: its name; of a second one of a name, more.

    >>> salts(["b/0.tar", "a/0.tar", "a/1.tar"])
    {'a/0.tar': '0.tar', 'a/1.tar': '1.tar', 'b/0.tar': '0.tar#1'}
    """
    found: dict[str, str] = {}
    num: Counter[str] = Counter()
    for path in sorted(shards):
        name = path.rpartition("/")[2]
        found[path] = f"{name}#{num[name]}" if num[name] else name
        num[name] += 1
    return found


def shard_order(
    shards: Sequence[str], seed: int, epoch: int, salt: Mapping[str, str] | None = None
) -> list[str]:
    """Return the shards in the order of an epoch; names decide, not folders, by their `salts`."""
    salt = salts(shards) if salt is None else salt
    return sorted(shards, key=lambda path: (_hash_text(f"{seed}\t{epoch}\t{salt[path]}"), path))


class Piece(NamedTuple):
    """Samples of a shard: from number `start` to before `stop`; None: to its end."""

    path: str
    start: int = 0
    stop: int | None = None

    def inside(self, num: int) -> NDArray[np.bool_]:
        """Tell of `num` samples of the shard which are in the piece."""
        number = np.arange(num)
        return (number >= self.start) & (number < (num if self.stop is None else self.stop))


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


class Arrangement(Protocol):
    """Puts the samples of a group into batches.

    Attributes:
        needs_rows: it asks what the JSON of samples says.
        batches: that a group should fill.
    """

    @property
    def needs_rows(self) -> bool: ...  # noqa: D102

    @property
    def batches(self) -> int: ...  # noqa: D102

    def __call__(
        self, group: Group, rows: Sequence[SampleRows | None], batch_size: int, /
    ) -> Group:
        """Return the group as it is trained on.

        Args:
            group: in the order of the epoch.
            rows: of each of its shards; None unless `needs_rows`.
            batch_size: places of a batch that are this group's.
        """


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
        lost: shards that are not there any more, and how many samples they had.
        ahead: shards that are fetched from afar while one is read.
        needs_text: a sample has to have a text or a JSON; else its text may be elsewhere.
        expert: trains on pairs of a cluster, most of all; None: on all.
        arrange: which samples of a group make a batch together; None: neighbours.
    """

    shards: Sequence[str]
    seed: int
    shuffle_pairs: int
    unit: str = "pair"
    online: Online | None = None
    cache: ShardCache = field(default_factory=ShardCache)
    sums: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    ahead: int = 8
    needs_text: bool = True
    expert: Expert | None = None
    arrange: Arrangement | None = None
    files: OpenShards = field(init=False)
    _salts: dict[str, str] = field(init=False)
    _indices: OrderedDict[str, tuple[ShardIndex, SampleRows | None]] = field(
        default_factory=OrderedDict
    )
    _num_remembered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)  # of the indices

    def __post_init__(self) -> None:
        """Open files through the cache."""
        self._salts = salts(self.shards)
        self.files = OpenShards(self.cache.open)

    def shard_order(self, epoch: int) -> list[str]:
        """Return the shards in the order of an epoch."""
        return shard_order(self.shards, self.seed, epoch, self._salts)

    def groups(
        self, epoch: int, first_shard: int = 0, first: int = 0,
        pieces: Sequence[Piece] | None = None, *, batch_size: int = 1,
    ) -> Iterator[Group]:  # fmt: skip
        """Yield the groups of an epoch.

        Args:
            epoch: from 0.
            first_shard: where a group begins, as an earlier one said; 0 for all of them.
            first: the place of that group's first sample.
            pieces: of the shards that are read, in order; None for all shards of the epoch.
            batch_size: places of a batch that these groups fill, for what arranges them.

        Raises:
            InputError: a shard cannot be opened.
        """
        order = [Piece(path) for path in self.shard_order(epoch)] if pieces is None else pieces
        enough = GROUP_WINDOWS * self.shuffle_pairs
        if self.arrange is not None:
            enough = max(enough, self.arrange.batches * batch_size)
        is_begun = False
        while first_shard < len(order):
            found: list[_Found] = []
            num_samples = 0
            for at, piece in enumerate(order[first_shard:], start=first_shard):
                ahead = self.ahead
                if not is_begun:  # a batch waits for the first group: nothing more is fetched
                    lacks = -(-(enough - num_samples) * len(found) // max(1, num_samples))
                    ahead = min(ahead, max(0, lacks - 1))
                self.cache.fetch_ahead([p.path for p in order[at + 1 : at + 1 + ahead]])
                index, rows = self._index(piece.path)
                inside = piece.inside(len(index.places))
                found.append(_Found(index, rows, inside, piece.start == 0))
                num_samples += int(inside.sum())
                if num_samples >= enough:
                    break
            is_begun = True
            group = self._group(epoch, first_shard, first, found)
            if self.arrange is not None:
                group = self.arrange(group, [one.rows for one in found], batch_size)
            yield group
            first_shard += len(found)
            first += len(group)

    def _index(self, path: str) -> tuple[ShardIndex, SampleRows | None]:
        with self._lock:
            if path in self._indices:
                return self._indices[path]
        # Outside of the lock: other lanes read other shards meanwhile.
        if path in self.lost:
            index = lost_shard(path, self.lost[path])
        else:
            index = index_shard(path, self.files.open_file, self.sums.get(path))
        asks = self.arrange is not None and self.arrange.needs_rows
        asks = asks or self.online is not None or self.expert is not None or self.unit == "image"
        rows = read_rows(index, self.files) if asks and path not in self.lost else None
        with self._lock:
            if path not in self._indices:
                self._indices[path] = index, rows
                self._num_remembered += len(index.places)
            most = _MAX_REMEMBERED // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
            while self._num_remembered > most and len(self._indices) > 1:
                _, (old, _) = self._indices.popitem(last=False)
                self._num_remembered -= len(old.places)
        return index, rows

    def _group(self, epoch: int, first_shard: int, first: int, found: "Sequence[_Found]") -> Group:
        skipped: Counter[str] = Counter()
        columns: list[tuple[Any, ...]] = []
        for place, one in enumerate(found):
            index = one.shard
            salt = np.uint64(_hash_text(f"{self.seed}\t{epoch}\t{self._salts[index.path]}\t"))
            all_keys = mix(salt + np.arange(len(index.places), dtype=np.uint64))
            number = self._usable(one, epoch, all_keys, skipped)
            # A salt of its own, since runs and samples are both counted from 0.
            run = mix(~salt + (number // RUN).astype(np.uint64))
            columns.append((number, np.full(len(number), place, np.int32), all_keys[number], run))
        number, shard, key, run = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        in_runs = np.lexsort((number, shard, run))
        window = np.empty(len(number), np.int64)
        window[in_runs] = np.arange(len(number)) // self.shuffle_pairs
        order = np.lexsort((number, shard, key, window))
        indices = [one.shard for one in found]
        return Group(
            first_shard, first, indices, shard[order], number[order], key[order], skipped, epoch
        )

    def _usable(
        self, one: "_Found", epoch: int, keys: NDArray[np.uint64], skipped: Counter[str]
    ) -> NDArray[np.int64]:
        """Return the numbers of the samples that are trained on; count the others by reason."""
        index, rows, inside = one.shard, one.rows, one.inside
        if one.is_first:
            skipped["corrupt_shard"] += not index.is_whole
            skipped["missing_sample"] += index.num_missing
        has_text = (index.text[:, 1] > 0) | (index.json[:, 1] > 0) | (not self.needs_text)
        has_image = index.image[:, 1] > 0
        skipped["no_caption"] += int((~has_text & inside).sum())
        skipped["no_image"] += int((has_text & ~has_image & inside).sum())
        number = np.flatnonzero(has_text & has_image)
        if rows is not None and self.online is not None:
            is_known, is_kept = self.online.decide(rows, number, self.seed + epoch)
            skipped["no_entries"] += int((~is_known & inside[number]).sum())
            skipped["not_sampled"] += int((is_known & ~is_kept & inside[number]).sum())
            number = number[is_kept]
        if rows is not None and self.expert is not None:
            is_known, is_kept = self.expert.decide(rows.pair_ids.take(pa.array(number)), epoch)
            skipped["no_cluster"] += int((~is_known & inside[number]).sum())
            skipped["other_cluster"] += int((is_known & ~is_kept & inside[number]).sum())
            number = number[is_kept]
        if rows is not None and self.unit == "image":
            chosen = _one_of_each(rows.image[number], keys[number])
            skipped["other_text"] += int(inside[number].sum() - inside[number[chosen]].sum())
            number = number[chosen]
        return number[inside[number]]


class _Found(NamedTuple):
    """A shard of a group: its index and rows, which samples are meant, and whether its first is."""

    shard: ShardIndex
    rows: SampleRows | None
    inside: NDArray[np.bool_]
    is_first: bool


def _one_of_each(image: NDArray[np.int32], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the places of the smallest key of each image, ascending."""
    order = np.lexsort((key, image))
    is_first = np.ones(len(order), bool)
    is_first[1:] = image[order][1:] != image[order][:-1]
    return np.sort(order[is_first])
