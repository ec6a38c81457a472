"""Stored pairs in, tables of some of their columns out, a group of rows at a time.

A group is a row group of a Parquet file, or a tar. What was read last is kept, up to a number of
bytes or as much as one question needs, so that going on in a list reads nothing twice; and of those
who ask for a group at once, one reads it.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import ArtifactError, CurateError, UsageError
from curate.files import storage
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.columns.images import FILE_COLUMNS, image_column
from curate.pipelines.inputs.records import ColumnNames, find_column
from curate.pipelines.matched.image_sources import ImageSources
from curate.pipelines.shards.downloaded import DownloadedImages
from curate.pipelines.store import artifacts

__all__ = [
    "Group", "PairSet", "Roles", "UnreadableError", "own_columns", "parquet_set", "vanished",
]  # fmt: skip

_CACHED_BYTES = 96 << 20
_WHOLE = ""  # what a whole tar is kept as
_OURS = FILE_COLUMNS | {"pair_id", "image_id", "lang", "lang_score", "entry_ids", "probability",
                        "json", "uid"}  # fmt: skip


class UnreadableError(ArtifactError):
    """A group of somebody's files is damaged; the others may be shown without it."""


def vanished(path: str) -> ArtifactError:
    """Return what is raised where a file is gone that was there before."""
    return ArtifactError(
        f"{path}: it is not there any more: it was moved, removed or replaced while it was looked "
        "at. Load the page again; if it stays so, run the command that writes it again."
    )


class Group(NamedTuple):
    """Rows that are read together.

    Attributes:
        path: of the file.
        part: number of the file among all.
        number: of the row group in a Parquet file; None for a whole tar.
        first: number of its first pair among all; -1 where that is not known.
        rows: in it; -1 where only reading tells.
    """

    path: str
    part: int
    number: int | None
    first: int
    rows: int


class Roles(NamedTuple):
    """Names of the columns that play a role; None without one."""

    text: str | None
    url: str | None
    uid: str | None
    lang: str | None
    score: str | None
    image: str | None


@dataclass(slots=True)
class PairSet:
    """Pairs that can be listed.

    Attributes:
        name: in addresses: matched, balanced, shards or files.
        label: as people read it.
        groups: of all files.
        columns: kind of each column that is the input's own, as a word: number or text.
        images: where images may be; None where none are read.
        has_images: whether pairs may have some.
        downloaded: images that `download` fetched for them; None without such.
        damage: of groups that are damaged, what cannot be read, by their numbers.
        unreadable: groups of which nothing can be read, as far as they were asked for.
    """

    name: str
    label: str
    groups: list[Group]
    columns: dict[str, str]
    images: ImageSources | None
    has_images: bool
    _names: ColumnNames
    _read: Callable[[Group, list[str] | None], pa.Table]
    _schema_of: Callable[[Group], pa.Schema | None]
    _cache: "OrderedDict[tuple[int, str], Any]" = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    downloaded: DownloadedImages | None = None
    damage: dict[int, str] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)
    _reading: dict[int, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    @property
    def num_pairs(self) -> int | None:
        """Pairs in all groups; None where only reading tells."""
        return None if any(g.rows < 0 for g in self.groups) else sum(g.rows for g in self.groups)

    @property
    def shows_images(self) -> bool:
        """Whether some pairs may be shown with an image."""
        return (self.has_images and self.images is not None) or self.downloaded is not None

    def group(self, number: int) -> Group:
        """Return a group.

        Raises:
            UsageError: there is none of that number.
        """
        if not 0 <= number < len(self.groups):
            raise UsageError(
                f"{self.label} has {len(self.groups)} groups; {number} is none of them"
            )
        return self.groups[number]

    def roles(self, names: Sequence[str], schema: pa.Schema | None = None) -> Roles:
        """Return which of some columns are texts, URLs and so on."""
        found = schema or pa.schema([pa.field(n, pa.string()) for n in names])

        def of(role: str) -> str | None:
            try:
                return find_column(found, role, self._names, "")
            except CurateError:  # another file has the column that the user named
                return find_column(found, role, ColumnNames(), "")

        uid = "pair_id" if "pair_id" in found.names else of("uid")
        image = image_column(found, None) if schema is not None else None
        score = "lang_score" if "lang_score" in found.names else None
        return Roles(of("text"), of("url"), uid, "lang" if "lang" in found.names else None, score,
                     image)  # fmt: skip

    def schema_in(self, number: int) -> pa.Schema | None:
        """Return the columns of a group and their types; None where only reading tells."""
        return self._schema_of(self.group(number))

    def names_in(self, number: int) -> list[str] | None:
        """Return the columns of a group; None where only reading tells."""
        found = self.schema_in(number)
        return None if found is None else list(found.names)

    def table(self, number: int, columns: Sequence[str] | None) -> pa.Table:
        """Read some columns of a group, those that it has; None for all but images.

        Raises:
            ArtifactError: its file is gone, or damaged.
            UnreadableError: it is damaged, and none of ours, or a tar.
        """
        group = self.group(number)
        with self._lock:
            reading = self._reading[number]
        with reading:
            try:
                return self._table(number, group, columns)
            except UnreadableError as error:
                self.damage[number] = str(error)
                self.unreadable.add(number)
                raise

    def _table(self, number: int, group: Group, columns: Sequence[str] | None) -> pa.Table:
        known = self.names_in(number)
        if known is None:  # a tar, which is read whole
            whole = self._kept(number, [_WHOLE]).get(_WHOLE)
            if whole is None:
                whole = self._read(group, None)
                self._keep(number, {_WHOLE: whole})
            return whole if columns is None else whole.select(
                [c for c in columns if c in whole.column_names]
            )  # fmt: skip
        wanted = known if columns is None else [c for c in columns if c in known]
        found = self._kept(number, wanted)
        missing = [c for c in wanted if c not in found]
        if missing or not wanted:
            read = self._read(group, missing)
            if not wanted:
                return read
            found |= {name: read.column(name) for name in read.column_names}
            self._keep(number, found)
        return pa.table({c: found[c] for c in wanted})

    def _kept(self, number: int, names: Sequence[str]) -> dict[str, Any]:
        """Return what is kept of a group, of some columns."""
        with self._lock:
            found = {c: self._cache[number, c] for c in names if (number, c) in self._cache}
            for name in found:
                self._cache.move_to_end((number, name))
            return found

    def _keep(self, number: int, asked: Mapping[str, Any]) -> None:
        """Keep what was asked for, instead of what was so longest ago."""
        with self._lock:
            for name, column in asked.items():
                if (number, name) not in self._cache:
                    self._cache[number, name] = column
                    self._bytes += column.nbytes
            for key in list(self._cache):
                if self._bytes <= _CACHED_BYTES:
                    break
                if key[0] != number or key[1] not in asked:
                    self._bytes -= self._cache.pop(key).nbytes


def _kind_word(kind: pa.DataType) -> str | None:
    types = pa.types
    is_string = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if types.is_boolean(kind) or is_string:
        return "text"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_dictionary(kind):
        return _kind_word(kind.value_type)
    if types.is_temporal(kind):
        return "text"
    return None


def own_columns(schema: pa.Schema, roles: Roles) -> dict[str, str]:
    """Return the columns that are the input's own and can be shown, with their kinds."""
    found = {}
    for one in schema:
        word = _kind_word(one.type)
        if word and one.name not in _OURS and one.name not in roles:
            found[one.name] = word
    return found


def parquet_set(
    name: str,
    label: str,
    paths: Sequence[str],
    names: ColumnNames,
    images: ImageSources | None,
    *,
    is_ours: bool,
) -> PairSet:
    """Return the pairs of Parquet files.

    Args:
        name: of the set.
        label: as people read it.
        paths: of the files.
        names: of columns, that the user chose.
        images: where images may be.
        is_ours: whether the files carry our checksums.

    Raises:
        ArtifactError: a file is missing, or one of ours damaged.
        UnreadableError: of somebody's files none can be read.
    """
    opened = artifacts.open_parquet if is_ours else _open_foreign
    groups: list[Group] = []
    first = 0
    schemas: dict[str, pa.Schema] = {}
    damage: dict[int, str] = {}
    for part, path in enumerate(paths):
        try:
            file = _open(opened, path)
        except UnreadableError as error:
            if len(damage) + 1 == len(paths):
                raise
            damage[len(groups)], schemas[path] = str(error), pa.schema([])
            groups.append(Group(path, part, None, first, 0))
            continue
        with file:
            schemas[path] = _first_of_each_name(file.schema_arrow)
            for number in range(file.num_row_groups):
                rows = file.metadata.row_group(number).num_rows
                if rows:
                    groups.append(Group(path, part, number, first, rows))
                    first += rows

    def read(group: Group, columns: list[str] | None) -> pa.Table:
        with _open(opened, group.path) as file:
            if group.number is None or group.number >= file.num_row_groups:
                raise vanished(group.path)
            try:
                return _plain_columns(file.read_row_group(group.number, columns=columns))
            except (pa.ArrowException, OSError) as error:
                if is_transient(error):
                    raise
                kind = ArtifactError if is_ours else UnreadableError
                raise kind(
                    f"{group.path}: row group {group.number}, of {group.rows:,} rows, cannot be "
                    f"read ({error}). Fetch or write the file again, or leave it out."
                ) from error

    every = list(schemas.values())
    merged = _first_of_each_name([field for schema in every for field in schema])
    found = PairSet(name, label, groups, {}, images, False, names, read,
                    lambda group: schemas[group.path], damage=damage,
                    unreadable=set(damage))  # fmt: skip
    roles = found.roles((), merged)
    found.columns = own_columns(merged, roles)
    found.has_images = roles.image is not None or "image_file" in merged.names
    return found


def _first_of_each_name(fields: Iterable[pa.Field]) -> pa.Schema:
    """Return fields as a schema in which no name comes twice."""
    found: dict[str, pa.Field] = {}
    for one in fields:
        found.setdefault(one.name, one)
    return pa.schema(list(found.values()))


def _plain_columns(table: pa.Table) -> pa.Table:
    """Return the first column of each name, times as texts.

    Views become strings, since Arrow takes no rows from them. Python has no years after 9999.
    """
    kinds = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    found: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = pa.string() if pa.types.is_temporal(column.type) else kinds.get(column.type)
        found.setdefault(name, column if kind is None else column.cast(kind))
    return pa.table(found) if found else table


def _open_foreign(path: str) -> pq.ParquetFile:
    try:
        return artifacts.open_input(path)
    except (pa.ArrowException, OSError) as error:
        if is_transient(error):
            raise
        raise UnreadableError(
            f"{path}: no Parquet file that can be read ({error}). Fetch or write it again, or "
            "leave it out."
        ) from error


def _open(opened: Callable[[str], pq.ParquetFile], path: str) -> pq.ParquetFile:
    if not storage.exists(path):
        raise vanished(path)
    return opened(path)
