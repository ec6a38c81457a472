"""Which pairs stand in which shard, and the rows of the shards that are to be made."""

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curate.pipelines.download.from_matched import MatchedPairs
from curate.pipelines.download.mixed import MixedPairs
from curate.pipelines.download.plan import BalancedPairs, SourcePairs
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.shards.windows import Window

if TYPE_CHECKING:
    from curate.pipelines.download.part import ShardFiles

__all__ = ["Place", "ShardTasks", "layout_of", "layout_of_parts"]

# A shard's number, and where its pairs are: in a window from one to another; (None, part, shard of
# the part); or (None, 0, 0) among all.
Place = tuple[int, Window | None, int, int]


def layout_of_parts(parts: list[dict[str, Any]]) -> list[Place]:
    """Return each shard's number, and which shard of which part it is."""
    places = [(part, at) for part, one in enumerate(parts) for at in range(one["shards"])]
    return [(number, None, part, at) for number, (part, at) in enumerate(places)]


def layout_of(pairs: BalancedPairs, per_shard: int, shards: ShardOptions) -> list[Place]:
    """Return each shard's number and where its pairs are: in a window, or (None) among all."""
    num = sum(pairs.num_rows)
    window_shards = shards.window_of(num, per_shard)
    if window_shards is None:
        return [(number, None, 0, 0) for number in range(-(-num // per_shard))]
    windows = pairs.windows(per_shard, window_shards)
    return [(n, window, first, stop) for window in windows for n, first, stop in window.shards()]


class ShardTasks:
    """The shards that are to be made, with their rows; a window's rows are read once."""

    def __init__(
        self, pairs: SourcePairs, layout: list[Place],
        files: "dict[int, ShardFiles]", missing: list[int], per_shard: int, *, shuffle: bool,
    ) -> None:  # fmt: skip
        self.pairs = pairs
        self._per_shard, self._shuffle = per_shard, shuffle
        self._files = files
        wanted = set(missing)
        self._waiting = deque(one for one in layout if one[0] in wanted)
        self._read: tuple[Window, pa.Table] | None = None
        self._mixed: MixedPairs | None = None
        self._shards_of = Counter(part for _, _, part, _ in layout)
        self._part: int | None = None

    def next(self) -> "tuple[ShardFiles, pa.Table] | None":
        """Return the next shard and its rows; None if there is none left."""
        if not self._waiting:
            return None
        number, window, first, stop = self._waiting.popleft()
        files = self._files[number]
        if isinstance(self.pairs, MatchedPairs):
            return files, self._of_part(first, stop, files.folder)
        if window is None:
            if self._mixed is None:
                self._mixed = MixedPairs(self.pairs, self._per_shard, files.folder)
            return files, self._mixed.shard(number)
        assert isinstance(self.pairs, BalancedPairs)
        if self._read is None or self._read[0] is not window:
            self._read = (window, self.pairs.read(window, shuffle=self._shuffle))
        return files, self._read[1].slice(first, stop - first)

    def _of_part(self, part: int, shard: int, folder: str) -> pa.Table:
        """Return the rows of a shard of a part; a part's rows are sorted once."""
        if self._mixed is None or self._part != part:
            self.close()
            self._mixed = MixedPairs(self.pairs, 0, folder, part=(part, self._shards_of[part]))
            self._part = part
        return self._mixed.shard(shard)

    def close(self) -> None:
        """Remove what waits on disk."""
        if self._mixed is not None:
            self._mixed.close()
