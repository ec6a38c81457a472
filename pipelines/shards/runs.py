"""Sorted runs on disk, and the ranges of draws that cut them into shards of one size.

Each pair has a draw, a hash of its id in [0, 1). A run holds pairs in the order of their draws, so
that those of a shard, which are the ones whose draws are in a range, lie behind each other in every
run. To find the ranges, draws alone are read, some millions at a time.

A run's file: the number n of its pairs; n draws; n + 1 places in the data; n checksums; the data.
All numbers are of 8 bytes, little-endian.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.errors import ArtifactError
from curate.files import storage
from curate.pipelines.shards.spool import Spool

__all__ = ["Draws", "Run", "checksum", "shard_bounds", "write_run"]

_NUMBER = 8
_DRAWS_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Draws:
    """Ascending draws in a file.

    Attributes:
        path: of the file.
        start: byte at which they begin.
        num: how many there are.
    """

    path: str
    start: int
    num: int

    def position(self, file: IO[bytes], draw: float) -> int:
        """Return how many draws are smaller."""

        def at(place: int) -> float:
            file.seek(self.start + _NUMBER * place)
            return float(np.frombuffer(file.read(_NUMBER), "<f8")[0])

        return bisect_left(range(self.num), draw, key=at)

    def range(self, low: float, high: float) -> tuple[int, int]:
        """Return the places, first and stop, of the draws d with low <= d < high."""
        with storage.open_read(self.path) as file:
            return self.position(file, low), self.position(file, high)

    def between(self, low: float, high: float) -> NDArray[np.float64]:
        """Return the draws d with low <= d < high."""
        with storage.open_read(self.path) as file:
            first, stop = self.position(file, low), self.position(file, high)
            file.seek(self.start + _NUMBER * first)
            return np.frombuffer(file.read(_NUMBER * (stop - first)), "<f8")


@dataclass(frozen=True, slots=True)
class Run:
    """A run in a file; nothing of it is held in memory."""

    path: str

    def draws(self) -> Draws:
        """Return where its draws are."""
        with storage.open_read(self.path) as file:
            return self._draws(file)

    def _draws(self, file: IO[bytes]) -> Draws:
        return Draws(self.path, _NUMBER, int(np.frombuffer(file.read(_NUMBER), "<u8")[0]))

    def between(self, low: float, high: float) -> Iterator[tuple[float, bytes]]:
        """Yield the draw and the bytes of each pair whose draw d has low <= d < high.

        Raises:
            ArtifactError: they are not what was written.
        """
        with storage.open_read(self.path) as file:
            draws = self._draws(file)
            first, stop = draws.position(file, low), draws.position(file, high)
            num = stop - first

            def numbers(start: int, count: int, kind: str) -> NDArray[np.generic]:
                file.seek(start)
                return np.frombuffer(file.read(_NUMBER * count), kind)

            places_at = _NUMBER * (1 + draws.num)
            sums_at = places_at + _NUMBER * (draws.num + 1)
            found = numbers(_NUMBER * (1 + first), num, "<f8").tolist()
            places = numbers(places_at + _NUMBER * first, num + 1, "<u8").tolist()
            sums = numbers(sums_at + _NUMBER * first, num, "<u8").tolist()
            file.seek(sums_at + _NUMBER * draws.num + (places[0] if num else 0))
            for at, draw in enumerate(found):
                content = file.read(places[at + 1] - places[at])
                if checksum(content) != sums[at]:
                    raise ArtifactError(
                        f"{self.path}: not what was written (pair {first + at}). Remove the file "
                        "and run the same command again."
                    )
                yield draw, content


def checksum(content: bytes) -> int:
    """Return the checksum of a pair's bytes."""
    return xxhash.xxh3_64_intdigest(content)


def write_run(
    path: str, draws: NDArray[np.float64], places: Sequence[tuple[int, int]], sums: Sequence[int],
    spool: Spool,
) -> None:  # fmt: skip
    """Publish a run.

    Args:
        path: of its file.
        draws: of its pairs, in any order; shape (num_pairs,).
        places: of their bytes in the spool.
        sums: of these bytes.
        spool: holds them.
    """
    order = np.argsort(draws, kind="stable")
    lengths = np.array([length for _, length in places], np.uint64)[order]
    with storage.publish(path) as file:
        file.write(np.array([len(draws)], "<u8").tobytes())
        file.write(draws[order].astype("<f8").tobytes())
        file.write(np.concatenate([[0], np.cumsum(lengths)]).astype("<u8").tobytes())
        file.write(np.array(sums, np.uint64)[order].astype("<u8").tobytes())
        for at in order.tolist():
            file.write(spool.get(places[at]))


def shard_bounds(
    runs: Sequence[Draws], per_shard: int, at_once: int = _DRAWS_AT_ONCE
) -> NDArray[np.float64]:
    """Return the draws at which shards begin, so that each but the last has as many pairs.

    Args:
        runs: the draws of all pairs.
        per_shard: pairs; pairs of one id stay together, so a shard may have a few more or fewer.
        at_once: draws that are in memory at a time, about.

    Returns:
        Ascending, shape (num_shards + 1,): from 0 to 1.
    """
    num = sum(run.num for run in runs)
    steps = max(1, -(-num // at_once))
    bounds, before = [0.0], 0
    for step in range(steps):
        low, high = step / steps, (step + 1) / steps
        found = np.sort(np.concatenate([run.between(low, high) for run in runs]))
        first = max(1, -(-before // per_shard))
        at = np.arange(first * per_shard, before + len(found), per_shard)
        bounds += found[at - before].tolist()
        before += len(found)
    if before != num:
        raise AssertionError(f"{before} of {num} draws are in [0, 1)")
    return np.array([*bounds, 1.0])
