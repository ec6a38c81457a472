"""Places by lane: which part of every batch comes from which part of the shards.

With one lane a batch is the next places of the epoch, and any process may need any shard. With L
lanes the epoch's order of shards is cut into L stretches of as many samples each, a lane per
stretch; a batch takes its places from all of them, lane by lane, and a process has a run of
neighbouring places. So the shards of a lane are read by the processes that have its places, and by
no others, while what a batch holds depends on the lanes and not on the processes.

    order of shards   3 1 0 | 2 5 4        two lanes, cut where half of the samples are
    batch             a a a a | b b b b    places of lane a, then of lane b
    4 processes       0 0 1 1 | 2 2 3 3    processes 0 and 1 read 3, 1, 0; 2 and 3 read 2, 5, 4

A lane goes into its next epoch by itself, so that every pair of an epoch comes once and none is
left over. Lanes whose samples cannot all be used are a little shorter, and ahead by as much.
"""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from curate.errors import InputError
from curate.training.data.batch import LoaderConfig, Plan, Position
from curate.training.data.prefetch import prefetch
from curate.training.data.sampler import Group, Piece, Sampler

__all__ = ["lane_pieces", "plan_lanes"]


def lane_pieces(
    order: Sequence[str], num_samples: Mapping[str, int], share: range, batch_size: int
) -> list[Piece]:
    """Return the stretch of the epoch that a lane reads: as long as its share of a batch.

    Args:
        order: shards of the epoch.
        num_samples: that shards are said to have; of others, the mean of those is taken.
        share: places of a batch that the lane fills.
        batch_size: places of a batch.

    >>> lane_pieces(["a", "b", "c"], {"a": 4, "b": 4, "c": 4}, range(0, 1), 2)
    [Piece(path='a', start=0, stop=None), Piece(path='b', start=0, stop=2)]
    >>> lane_pieces(["a", "b", "c"], {"a": 4, "b": 4, "c": 4}, range(1, 2), 2)
    [Piece(path='b', start=2, stop=None), Piece(path='c', start=0, stop=None)]
    """
    known = [num_samples[path] for path in order if path in num_samples]
    usual = max(1, sum(known) // len(known)) if known else 1
    counts = [num_samples.get(path, usual) for path in order]
    total, at = sum(counts), 0
    first, end = share.start * total // batch_size, share.stop * total // batch_size
    is_last = share.stop == batch_size
    pieces = []
    for path, num in zip(order, counts, strict=True):
        begins_here = first <= at and (at < end or is_last)
        if begins_here or at < first < at + num:
            stop = end - at if end < at + num and not is_last else None
            pieces.append(Piece(path, max(0, first - at), stop))
        at += num
    return pieces


class _Lane:
    """The places of a lane, one after the other, epoch after epoch."""

    def __init__(
        self, sampler: Sampler, num_samples: Mapping[str, int], share: range, batch_size: int,
        start: Position,
    ) -> None:  # fmt: skip
        self.end = start
        self.skipped: Counter[str] = Counter()
        self._sampler, self._num_samples = sampler, num_samples
        self._share, self._batch_size = share, batch_size
        self._groups = self._all_groups(start)
        self._here: tuple[int, Group, int] | None = None

    def take(self, num: int) -> list[tuple[Group, int]]:
        """Return the next places, and set `end` behind them."""
        places: list[tuple[Group, int]] = []
        while len(places) < num:
            epoch, group, at = self._here or self.find()
            some = min(num - len(places), len(group) - at)
            places += [(group, at + i) for i in range(some)]
            at += some
            self._here = (epoch, group, at) if at < len(group) else None
            self.end = Position(epoch, group.first + at, group.first_shard, group.first)
        return places

    def find(self) -> tuple[int, Group, int]:
        """Read the next group; return its epoch, itself and the place in it to begin at."""
        self._here = next(self._groups)
        return self._here

    def close(self) -> None:
        """Stop reading ahead."""
        self._groups.close()

    def _all_groups(self, start: Position) -> Generator[tuple[int, Group, int], None, None]:
        """Yield epoch, group, and the place in it to begin at."""
        while True:
            order = self._sampler.shard_order(start.epoch)
            pieces = lane_pieces(order, self._num_samples, self._share, self._batch_size)
            found = prefetch(
                self._sampler.groups(
                    start.epoch, start.shard, start.before, pieces, batch_size=len(self._share)
                ),
                ahead=1,
            )
            num = 0
            try:
                for group in found:
                    if group.first >= start.drawn:
                        self.skipped.update(group.skipped)
                    at = min(len(group), max(0, start.drawn - group.first))
                    num += len(group)
                    yield start.epoch, group, at
            finally:
                found.close()
            if not num and not start.drawn:
                raise InputError(
                    f"the lane of places {self._share.start} to {self._share.stop - 1} of a batch "
                    f"has no usable pair in its {len(pieces)} of {len(order)} shards (skipped: "
                    f"{dict(+self.skipped) or 'none'}). Begin a run with fewer --lanes."
                )
            start = Position(start.epoch + 1)


def plan_lanes(
    sampler: Sampler, config: LoaderConfig, num_samples: Mapping[str, int], start: Position
) -> Generator[Plan, None, None]:
    """Yield for every batch the places that are loaded by this process, for ever.

    Args:
        sampler: of the shards.
        config: lanes, batch size and ranks.
        num_samples: that shards are said to have, by path.
        start: where to go on.

    Raises:
        InputError: a lane has no pair that can be used.
    """
    size, num_lanes = config.batch_size, config.lanes
    mine = range(
        config.rank * size // config.num_ranks, (config.rank + 1) * size // config.num_ranks
    )
    shares = [range(i * size // num_lanes, (i + 1) * size // num_lanes) for i in range(num_lanes)]
    own = [
        i for i, share in enumerate(shares) if share.start < mine.stop and mine.start < share.stop
    ]
    sampler.ahead = max(1, sampler.ahead // len(own))
    lanes = {i: _Lane(sampler, num_samples, shares[i], size, start.of_lane(i)) for i in own}
    try:
        with ThreadPoolExecutor(len(own)) as pool:  # the first shards of all lanes at once
            list(pool.map(_Lane.find, lanes.values()))
        while True:
            places: list[tuple[Group, int]] = []
            skipped: Counter[str] = Counter()
            for i, lane in lanes.items():
                found, share = lane.take(len(shares[i])), shares[i]
                places += found[max(0, mine.start - share.start) : mine.stop - share.start]
                if share.start in mine:  # one process tells what a lane left out
                    skipped.update(lane.skipped)
                lane.skipped.clear()
            yield Plan(places, _together({i: lane.end for i, lane in lanes.items()}), skipped)
    finally:
        for lane in lanes.values():
            lane.close()


def _together(ends: Mapping[int, Position]) -> Position:
    """Return the position of lanes: that of the epoch that the last of them is in."""
    last = min(ends.values(), key=lambda end: (end.epoch, end.drawn))
    lanes = {i: (end.epoch, end.drawn, end.shard, end.before) for i, end in ends.items()}
    return replace(last, shard=0, before=0, lanes=lanes)
