"""Pairs whose images are fetched: of a balanced folder in the order of its shards, or matched."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.inputs.records import ColumnNames, find_column, text_column
from curate.pipelines.matched.balanced_set import require_all, require_part
from curate.pipelines.shards.windows import Window, order_draws, windows
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.pools import concat_pool, disagreeing_columns
from curate.pipelines.store.workspace import CARD

__all__ = ["BalancedPairs", "SourcePairs", "wanted_columns"]

_BYTES = {pa.binary(), pa.large_binary(), pa.binary_view()}


def wanted_columns(schema: pa.Schema) -> list[str]:
    """Return the columns that a download needs: those of bytes only where a tar's JSON is one."""
    return [f.name for f in schema if f.type not in _BYTES or f.name == "json"]


@dataclass(frozen=True, slots=True)
class SourcePairs:
    """The files of a folder of pairs.

    Attributes:
        folder: that `balance` or `match` wrote.
        paths: of the pairs, in order.
        num_rows: of each file.
        made_from: hash of what the pairs are.
        metadata_hash: of the metadata that they depend on.
        url: name of the column of URLs.
        text: name of the column of alt-texts.
        names: of columns that the user chose.
        as_text: columns whose types have nothing in common from file to file.
    """

    folder: str
    paths: tuple[str, ...]
    num_rows: tuple[int, ...]
    made_from: str
    metadata_hash: str
    url: str
    text: str
    names: ColumnNames = ColumnNames()
    as_text: frozenset[str] = frozenset()

    def require_unchanged(self) -> None:
        """Refuse pairs that were replaced while they were read.

        Raises:
            ArtifactError: they were.
        """
        raise NotImplementedError

    def pieces(self, rows: int, parts: range | None = None) -> Iterator[pa.Table]:
        """Yield the pairs of all parts, or of some, in their order, some rows at a time."""
        for part in parts if parts is not None else range(len(self.paths)):
            self.require_part(part)
            with artifacts.open_parquet(self.paths[part]) as file:
                for batch in file.iter_batches(rows, columns=wanted_columns(file.schema_arrow)):
                    yield self.named(pa.Table.from_batches([batch]), self.paths[part])

    def require_part(self, part: int) -> None:
        """Refuse a part that is another one than it was.

        Raises:
            ArtifactError: it is.
        """
        raise NotImplementedError

    def named(self, table: pa.Table, path: str) -> pa.Table:
        """Call the columns of URLs and texts in a part as they are called in the whole pool."""
        if not table.num_rows:  # of a part that nothing is kept of, whatever columns it has
            return table
        for role, name in (("url", self.url), ("text", self.text)):
            own = find_column(table.schema, role, _known(self.names, table.schema), path)
            if own is not None and own != name:
                column = table.column(own)
                table = table.drop_columns([n for n in (own, name) if n in table.schema.names])
                table = table.append_column(name, column)
            if name in table.schema.names:
                at = table.schema.get_field_index(name)
                table = table.set_column(at, name, table.column(name).cast(pa.string()))
        return table


class BalancedPairs(SourcePairs):
    """The files of a balanced folder."""

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
                f"{folder}: no balanced pairs, or not all of them. "
                f"Run `{suggest('balance')}` first."
            )
        parameters = artifacts.read_json(plan)["parameters"]
        digest = artifacts.digest(parameters)
        if parameters["format"] != "parquet":
            raise ArtifactError(
                f"{folder}: the pairs are in shards, with the images that they came with. To "
                f"download images, run `{suggest('balance', '--format', 'parquet')}`."
            )
        paths = storage.list_files(storage.join(folder, "pairs"), ".parquet")
        num_rows: list[int] = []
        key_values: dict[bytes, bytes] = {}
        schemas: list[pa.Schema] = []
        for index, path in enumerate(paths):
            require_part(path, index, digest)
            with artifacts.open_parquet(path) as file:
                num_rows.append(file.metadata.num_rows)
                key_values = file.metadata.metadata or {}
                schemas.append(file.schema_arrow)
        require_all(folder, digest, sum(num_rows))
        url, text = pool_columns(schemas, names, folder)
        return cls(
            folder, tuple(paths), tuple(num_rows), digest,
            key_values.get(b"metadata_hash", b"").decode(), url, text, names,
            disagreeing_columns(without_bytes(schema) for schema in schemas),
        )  # fmt: skip

    def require_unchanged(self) -> None:
        """Refuse pairs that were replaced while they were read.

        Raises:
            ArtifactError: they were.
        """
        require_all(self.folder, self.made_from, sum(self.num_rows))

    def require_part(self, part: int) -> None:
        """Refuse a part of another set.

        Raises:
            ArtifactError: it is.
        """
        require_part(self.paths[part], part, self.made_from)

    def windows(self, per_shard: int, window_shards: int) -> list[Window]:
        """Cut the pairs into windows of shards."""
        return windows(self.num_rows, per_shard, window_shards)

    def read(self, window: Window, *, shuffle: bool) -> pa.Table:
        """Return the pairs of a window in the order of its shards, without columns of bytes.

        The JSON of a tar's samples stays.
        """
        pieces = [self._slice(*piece) for piece in window.slices]
        table = concat_pool(pieces, self.as_text)
        if not shuffle:
            return table
        ids = table.column("pair_id").combine_chunks()
        return table.take(pa.array(np.argsort(order_draws(ids, 0), kind="stable")))

    def _slice(self, part: int, first: int, stop: int) -> pa.Table:
        self.require_part(part)
        with artifacts.open_parquet(self.paths[part]) as file:
            names = wanted_columns(file.schema_arrow)
            groups, skipped, end = [], 0, 0
            for group in range(file.num_row_groups):
                begin, end = end, end + file.metadata.row_group(group).num_rows
                if end <= first:
                    skipped = end
                elif begin < stop:
                    groups.append(group)
            table = file.read_row_groups(groups, columns=names)
        return self.named(table.slice(first - skipped, stop - first), self.paths[part])


def pool_columns(schemas: list[pa.Schema], names: ColumnNames, folder: str) -> tuple[str, str]:
    """Return what the columns of URLs and texts are called: as in the first part that has them.

    Raises:
        InputError: no part has URLs.
    """
    for role in ("url", "text"):
        if not any(getattr(_known(names, s), role) for s in schemas):
            find_column(schemas[-1], role, names, folder)  # says that what was chosen is nowhere
    found = [find_column(s, "url", _known(names, s), folder) for s in schemas]
    url = next((name for name in found if name is not None), None)
    if url is None:
        columns = dict.fromkeys(name for schema in schemas for name in schema.names)
        raise InputError(
            f"{folder}: the pairs have no URLs; they have {', '.join(columns)}. Name the "
            "column with --url-column."
        )
    with_urls = schemas[next(i for i, name in enumerate(found) if name is not None)]
    return url, text_column(with_urls, _known(names, with_urls), folder)


def _known(names: ColumnNames, schema: pa.Schema) -> ColumnNames:
    """Return the chosen names without those that a part does not have: it has others."""
    chosen = {role: name for role in ("url", "text") if (name := getattr(names, role))}
    return replace(names, **{r: None for r, name in chosen.items() if name not in schema.names})


def without_bytes(schema: pa.Schema) -> pa.Schema:
    """Return a schema without columns of bytes."""
    return pa.schema([field for field in schema if field.type not in _BYTES])


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as dictionaries."""
    for batch in table.to_batches():
        yield from batch.to_pylist()
