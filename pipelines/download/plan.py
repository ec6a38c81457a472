"""The kept pairs of a balanced folder, in the order in which they go into shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.pipelines.inputs.records import ColumnNames, find_column, text_column
from curate.pipelines.shards.windows import Window, order_draws, windows
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.workspace import CARD

__all__ = ["BYTES", "BalancedPairs"]

BYTES = {pa.binary(), pa.large_binary(), pa.binary_view()}


@dataclass(frozen=True, slots=True)
class BalancedPairs:
    """The files of a balanced folder.

    Attributes:
        paths: of the pairs, in order.
        num_rows: of each file.
        made_from: hash of what the pairs are.
        metadata_hash: of the metadata that they depend on.
        url: name of the column of URLs.
        text: name of the column of alt-texts.
    """

    paths: tuple[str, ...]
    num_rows: tuple[int, ...]
    made_from: str
    metadata_hash: str
    url: str
    text: str

    @classmethod
    def open(cls, folder: str, names: ColumnNames) -> "BalancedPairs":
        """Find the pairs that `balance` wrote.

        Raises:
            ArtifactError: there are none, or not all, or they are shards already.
            InputError: they have no URLs.
        """
        plan = storage.join(folder, PLAN)
        if not storage.exists(plan) or not storage.exists(storage.join(folder, CARD)):
            raise ArtifactError(
                f"{folder}: no balanced pairs, or not all of them. Run `curate balance` first."
            )
        parameters = storage.read_json(plan)["parameters"]
        if parameters["format"] != "parquet":
            raise ArtifactError(
                f"{folder}: the pairs are in shards, with the images that they came with. To "
                "download images, run `curate balance --format parquet`."
            )
        paths = storage.list_files(storage.join(folder, "pairs"), ".parquet")
        num_rows: list[int] = []
        key_values: dict[bytes, bytes] = {}
        schema = pa.schema([])
        for path in paths:
            with artifacts.open_parquet(path) as file:
                num_rows.append(file.metadata.num_rows)
                key_values, schema = file.metadata.metadata or {}, file.schema_arrow
        url = find_column(schema, "url", names, folder)
        if url is None:
            raise InputError(
                f"{folder}: the pairs have no URLs; they have {', '.join(schema.names)}. Name the "
                "column with --url-column."
            )
        return cls(
            tuple(paths), tuple(num_rows), artifacts.digest(parameters),
            key_values.get(b"metadata_hash", b"").decode(), url, text_column(schema, names, folder),
        )  # fmt: skip

    def windows(self, per_shard: int, window_shards: int) -> list[Window]:
        """Cut the pairs into windows of shards."""
        return windows(self.num_rows, per_shard, window_shards)

    def read(self, window: Window, *, shuffle: bool) -> pa.Table:
        """Return the pairs of a window in the order of its shards, without columns of bytes."""
        pieces = [self._slice(*piece) for piece in window.slices]
        table = pa.concat_tables(pieces, promote_options="permissive")
        if not shuffle:
            return table
        ids = table.column("pair_id").combine_chunks()
        return table.take(pa.array(np.argsort(order_draws(ids, 0), kind="stable")))

    def _slice(self, part: int, first: int, stop: int) -> pa.Table:
        with artifacts.open_parquet(self.paths[part]) as file:
            names = [f.name for f in file.schema_arrow if f.type not in BYTES]
            groups, skipped, end = [], 0, 0
            for group in range(file.num_row_groups):
                begin, end = end, end + file.metadata.row_group(group).num_rows
                if end <= first:
                    skipped = end
                elif begin < stop:
                    groups.append(group)
            table = file.read_row_groups(groups, columns=names)
        return table.slice(first - skipped, stop - first)


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as dictionaries."""
    for batch in table.to_batches():
        yield from batch.to_pylist()
