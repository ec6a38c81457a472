"""Shards in; the parts that they are captioned in, and the files of these, out."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from curate.files import storage
from curate.files.storage import is_remote
from curate.files.sums import shard_sum
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.data.shards import index_shard
from curate.training.tars.promised import promised_samples

__all__ = ["CaptionPart", "CaptionPlan", "plan_parts"]

_THREADS = 8


@dataclass(frozen=True, slots=True)
class CaptionPart:
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
        """What decides its captions, beside the captioner."""
        return [self.tar.rpartition("/")[2], self.identity, self.first, self.stop]


@dataclass(frozen=True, slots=True)
class CaptionPlan:
    """What is captioned, by what.

    Attributes:
        folder: of the captions.
        parts: in order.
        parameters: what decides the captions.
    """

    folder: str
    parts: Sequence[CaptionPart]
    parameters: dict[str, Any]

    def path(self, number: int) -> str:
        """Return the file of a part."""
        return storage.join(self.folder, "pairs", part_name(number, "parquet"))

    def stamp(self, number: int) -> dict[str, Any]:
        """Return what a part says that it was made from."""
        return {"parameters": artifacts.digest(self.parameters),
                "part": artifacts.digest(self.parts[number].made_from)}  # fmt: skip

    def read_summary(self, number: int) -> dict[str, Any]:
        """Return the summary in a part's stamp.

        Raises:
            ArtifactError: the part was made from something else.
        """
        path = self.path(number)
        stamp = artifacts.read_stamp(path)
        found = {name: stamp.get(name) for name in ("parameters", "part")}
        artifacts.require_same(path, found, self.stamp(number))
        summary: dict[str, Any] = stamp["summary"]
        return summary


def plan_parts(tars: Sequence[str], pairs_per_part: int) -> list[CaptionPart]:
    """Cut shards into parts; a remote shard that nothing beside it says the size of is one.

    Args:
        tars: paths.
        pairs_per_part: samples in a part, at most.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(zip(tars, pool.map(_identity, tars), pool.map(_size, tars), strict=True))
    parts: list[CaptionPart] = []
    for tar, identity, size in found:
        if size is None:
            parts.append(CaptionPart(len(parts), tar, identity, 0, None))
            continue
        for first in range(0, size, pairs_per_part):
            stop = min(first + pairs_per_part, size)
            parts.append(CaptionPart(len(parts), tar, identity, first, stop))
    return parts


def _identity(tar: str) -> str:
    if (known := shard_sum(tar)) is not None:
        return known
    if is_remote(tar):
        return "{} bytes of {}".format(*storage.size_and_time(tar))
    return storage.file_sha256(tar)


def _size(tar: str) -> int | None:
    if is_remote(tar):
        return promised_samples(tar)
    return len(index_shard(tar).places)
