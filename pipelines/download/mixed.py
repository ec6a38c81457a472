"""Pairs in the order of a hash of their ids: those of all files mixed, or those of one.

Pairs without their images are small; so each run of them is a table on the local disk, sorted by
the hash and mapped into memory, and a shard takes its range out of all runs. What is on disk
meanwhile is about the size of the pairs' Parquet files before compression.
"""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.files import storage
from curate.pipelines.download.plan import SourcePairs
from curate.pipelines.shards.matched_images import part_bounds
from curate.pipelines.shards.runs import Draws, shard_bounds
from curate.pipelines.shards.windows import order_draws
from curate.pipelines.store.pools import concat_pool

__all__ = ["MixedPairs"]

_ROWS_OF_RUN = 1 << 17


class MixedPairs:
    """Gives the pairs of any shard.

    Args:
        pairs: of the folder.
        per_shard: pairs in every shard but the last.
        near: folder on whose disk the runs go; a remote one stands for the system's folder of
            temporary files.
        rows: pairs of a run.
        part: and how many shards it has, if only its pairs are meant; `per_shard` says nothing
            then.
    """

    def __init__(
        self, pairs: SourcePairs, per_shard: int, near: str, rows: int = _ROWS_OF_RUN,
        part: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        here = storage.local_path(near) if storage.is_local(near) else None
        if here is not None:
            Path(here).mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix=".tmp-mix-", dir=here)
        self._as_text = pairs.as_text
        self._runs: list[tuple[Draws, str]] = []
        parts = None if part is None else range(part[0], part[0] + 1)
        for table in pairs.pieces(rows, parts):
            self._add(table)
        if part is not None:
            self._bounds = part_bounds(part[1])
        else:
            self._bounds = shard_bounds([draws for draws, _ in self._runs], per_shard)

    def _add(self, table: pa.Table) -> None:
        draws = order_draws(table.column("pair_id").combine_chunks(), 0)
        order = np.argsort(draws, kind="stable")
        stem = f"{self._folder.name}/{len(self._runs):06d}"
        Path(f"{stem}.draws").write_bytes(draws[order].astype("<f8").tobytes())
        ordered = table.take(pa.array(order))
        with pa.OSFile(f"{stem}.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as out:
            out.write_table(ordered)
        self._runs.append((Draws(f"{stem}.draws", 0, len(draws)), f"{stem}.arrow"))

    def shard(self, number: int) -> pa.Table:
        """Return the pairs of a shard in their order."""
        low, high = self._bounds[number : number + 2].tolist()
        pieces: list[pa.Table] = []
        found: list[NDArray[np.float64]] = []
        for draws, path in self._runs:
            first, stop = draws.range(low, high)
            with pa.memory_map(path) as file, pa.ipc.open_file(file) as opened:
                pieces.append(opened.read_all().slice(first, stop - first))
            found.append(draws.between(low, high))
        order = np.argsort(np.concatenate(found), kind="stable")
        return concat_pool(pieces, self._as_text).take(pa.array(order))

    def close(self) -> None:
        """Remove the runs."""
        self._folder.cleanup()
