"""Shards in; the parts that stages work on them in, and the samples of a part, out.

A part is some neighbours of a shard, so that a killed run loses little and workers have enough.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from curate.files import storage
from curate.files.storage import is_remote
from curate.files.sums import shard_sum
from curate.pipelines.views.progress import log
from curate.training.data.images import resolve_decoder
from curate.training.data.sampler import Sample
from curate.training.data.samples import Pair, Reader
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import OpenShards, ShardIndex, index_shard
from curate.training.tars.promised import promised_samples

__all__ = ["MISSING", "PartSamples", "ReadSample", "SamplePart", "plan_sample_parts"]

MISSING = "missing_sample"
_THREADS = 8


@dataclass(frozen=True, slots=True)
class SamplePart:
    """Neighbouring samples of a shard.

    Attributes:
        number: of the part.
        tar: path of the shard.
        identity: hash of what is in the shard; of a remote one its size and time.
        first: number of its first sample.
        stop: one past its last sample; None for all that follow.
    """

    number: int
    tar: str
    identity: str
    first: int
    stop: int | None

    @property
    def made_from(self) -> list[Any]:
        """What decides what comes of it, beside what is done with it."""
        return [self.tar.rpartition("/")[2], self.identity, self.first, self.stop]


def plan_sample_parts(
    tars: Sequence[str], pairs_per_part: int, *, quiet: bool = True
) -> list[SamplePart]:
    """Cut shards into parts; a remote shard that nothing beside it says the size of is one.

    Args:
        tars: paths.
        pairs_per_part: samples in a part, at most.
        quiet: do not say which shards are damaged.
    """
    damaged: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = pool.map(lambda tar: _size(tar, damaged), tars)
        found = list(zip(tars, pool.map(_identity, tars), sizes, strict=True))
    if damaged:
        log(f"{len(damaged):,} shards are damaged or cut off, such as {min(damaged)}: what they "
            "have no headers of any more is left out", quiet=quiet)  # fmt: skip
    parts: list[SamplePart] = []
    for tar, identity, size in found:
        if size is None:
            parts.append(SamplePart(len(parts), tar, identity, 0, None))
            continue
        for first in range(0, size, pairs_per_part):
            stop = min(first + pairs_per_part, size)
            parts.append(SamplePart(len(parts), tar, identity, first, stop))
    return parts


def _identity(tar: str) -> str:
    if (known := shard_sum(tar)) is not None:
        return known
    if is_remote(tar):
        return "{} bytes of {}".format(*storage.size_and_time(tar))
    return storage.file_sha256(tar)


def _size(tar: str, damaged: list[str]) -> int | None:
    """Return how many samples a shard has, with those that are promised and not there."""
    if is_remote(tar):
        return promised_samples(tar)
    index = index_shard(tar)
    if not index.is_whole and not index.num_missing:
        damaged.append(tar)
    return len(index.places) + index.num_missing


class ReadSample(NamedTuple):
    """A sample of a part.

    Attributes:
        name: its key in the tar; "" of one that is not there.
        pair: what it says; None where it cannot be used.
        encoded: its image's bytes; b"" without one.
        reason: why it cannot be used; "" else.
    """

    name: str
    pair: Pair | None
    encoded: bytes
    reason: str


class PartSamples:
    """Reads the samples of parts; keeps the index of the shard that was asked for last.

    Args:
        cache: of remote shards.
    """

    def __init__(self, cache: ShardCache) -> None:
        self._files = OpenShards(cache.open)
        self._reader = Reader(self._files, resolve_decoder("auto"), needs_text=False)
        self._index: ShardIndex | None = None

    def of(self, part: SamplePart, *, needs_image: bool = True) -> Iterator[ReadSample]:
        """Yield the samples of a part; those that are promised and not there too.

        Args:
            part: of a shard.
            needs_image: a sample without an image cannot be used.

        Raises:
            InputError: the shard cannot be read.
        """
        if self._index is None or self._index.path != part.tar:
            self._index = index_shard(part.tar, self._files.open_file)
        index = self._index
        size = len(index.places)
        stop = size if part.stop is None else min(part.stop, size)
        for number in range(part.first, stop):
            sample = Sample(index, number, 0, index.places[number].tolist())
            found: tuple[Pair, bytes] | str = "no_image"
            _, _, _, image, _, text, _, about = sample.places
            if image > 0 or (not needs_image and max(text, about) > 0):
                found = self._reader.fetch(sample)
            if isinstance(found, str):
                yield ReadSample(self._files.key(index, number), None, b"", found)
            else:
                yield ReadSample(found[0].pair_id, *found, "")
        for _ in range(max(stop, part.first), part.stop or stop):
            yield ReadSample("", None, b"", MISSING)
