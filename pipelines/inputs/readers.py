"""Inputs of any usual kind, streamed as record batches: Parquet, WebDataset tar, JSON lines, CSV.

An input is split into parts (row-group ranges of Parquet files, whole files of the other kinds);
a part is the unit of work, and what it gives depends on nothing but the part. Columns keep their
names and types; `curate.pipelines.inputs.records` finds the ones we need and checks their values.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from curate.errors import InputError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.formats.delimited import read_csv
from curate.pipelines.inputs.formats.json_lines import first_schema, read_jsonl
from curate.pipelines.inputs.formats.parquet import PARQUET_ERRORS, open_parquet, read_parquet
from curate.pipelines.inputs.image_files import as_input_columns, with_image_files
from curate.pipelines.inputs.partitions import partition_columns, with_partitions
from curate.pipelines.inputs.rows import Part, Rows, Unreadable
from curate.pipelines.inputs.tar import SCHEMA as TAR_SCHEMA
from curate.pipelines.inputs.tar import read_tar

__all__ = ["input_schema", "plan_parts", "read_part"]

# A part is a share of its file, so that a few files feed many workers, but neither so small that
# beginning it counts nor so large that the last one is waited for.
PARTS_PER_FILE = 8
ROWS_PER_PART_AT_LEAST = 125_000
ROWS_PER_PART_AT_MOST = 500_000

_KINDS = {".parquet": "parquet", ".tar": "tar", ".jsonl": "jsonl", ".ndjson": "jsonl",
          ".csv": "csv", ".tsv": "tsv"}  # fmt: skip
_COMPRESSED_KINDS = {"jsonl", "csv", "tsv"}
_COMPRESSIONS = {".gz", ".bz2", ".zst", ".xz"}


def input_kind(path: str) -> str:
    """Return the kind of an input file, by its name.

    Raises:
        InputError: the name ends in nothing we read.
    """
    kind, compressed = _kind_by_name(path)
    if compressed and kind == "tar":
        raise InputError(
            f"{path}: images inside a compressed tar cannot be reached again; decompress it first"
        )
    if kind is None or (compressed and kind not in _COMPRESSED_KINDS):
        raise InputError(
            f"{path}: cannot tell what kind of file this is; "
            f"expected a name that ends in {', '.join(_KINDS)} "
            "(text files may be compressed: .gz, .bz2, .xz, .zst)" + _how_to_convert(path)
        )
    return kind


def _how_to_convert(path: str) -> str:
    """Say how a file of another usual kind becomes one that is read, in a shell; "" of others.

    >>> _how_to_convert("pairs.json")
    ". An array of objects becomes lines with: jq -c '.[]' pairs.json > pairs.jsonl"
    """
    suffix = PurePosixPath(path).suffix.lower()
    name = shlex.quote(path)
    as_lines = shlex.quote(path.removesuffix(PurePosixPath(path).suffix) + ".jsonl")
    ways = {
        ".json": f"An array of objects becomes lines with: jq -c '.[]' {name} > {as_lines}",
        ".txt": "A text in each line becomes a table with: "
        f"jq -Rc '{{text: .}}' {name} > {as_lines}",
        ".zip": f"Unpack it first: unzip {name}",
        ".xlsx": "Save the sheet as .csv",
        ".feather": "Make it Parquet with pyarrow.feather.read_table and pyarrow.parquet",
        ".arrow": "Make it Parquet with pyarrow.ipc and pyarrow.parquet",
    }
    return f". {ways[suffix]}" if suffix in ways else ""


def kind_of(path: str) -> str | None:
    """Return the kind of a file by its name, None for what is no table and no tar.

    >>> [kind_of(p) for p in ("a.csv.gz", "a.tar.gz", "README.md", "a.json")]
    ['csv', 'tar', None, None]
    """
    return _kind_by_name(path)[0]


def _kind_by_name(path: str) -> tuple[str | None, bool]:
    name = without_secrets(path)
    name = name.partition("?")[0] if storage.is_remote(name) else name
    suffixes = [s.lower() for s in PurePosixPath(name).suffixes]
    compressed = bool(suffixes) and suffixes[-1] in _COMPRESSIONS
    if compressed:
        suffixes.pop()
    kind = _KINDS.get(suffixes[-1]) if suffixes else None
    return kind, compressed


def input_schema(path: str) -> pa.Schema | None:
    """Return an input's columns, None where its beginning cannot be read; that is counted later.

    Of a text file this is the schema of its first rows.

    Raises:
        InputError: the name ends in nothing we read.
    """
    kind = input_kind(path)
    schema = _file_schema(path, kind)
    if schema is None or kind == "tar":
        return schema
    for name in partition_columns(path, schema.names):
        schema = schema.append(pa.field(name, pa.string()))
    return as_input_columns(schema)


def _file_schema(path: str, kind: str) -> pa.Schema | None:
    if kind == "tar":
        return TAR_SCHEMA
    if kind == "jsonl":
        return first_schema(path)
    if kind != "parquet":
        rows = read_csv(Part(path="", sha256="", kind=kind).at(path))
        return next((item.batch.schema for item in rows if isinstance(item, Rows)), None)
    try:
        with open_parquet(path) as file:
            return file.schema_arrow
    except PARQUET_ERRORS as error:
        if is_transient(error):
            raise
        return None


def plan_parts(path: str, sha256: str, rows_per_part: int | None = None) -> list[Part]:
    """Split one input file into parts; a Parquet file of no rows has none.

    Without `rows_per_part` the size follows from the rows of the file, and from nothing else.
    A Parquet file whose footer cannot be read is one part of unknown size: reading it gives the
    error, which is counted there.
    """
    kind = input_kind(path)
    if kind != "parquet":
        return [Part(path="", sha256=sha256, kind=kind).at(path)]
    try:
        with open_parquet(path) as file:
            rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    except PARQUET_ERRORS as error:
        if is_transient(error):
            raise
        return [Part(path="", sha256=sha256, kind=kind).at(path)]
    wanted = rows_per_part or min(
        max(sum(rows) // PARTS_PER_FILE, ROWS_PER_PART_AT_LEAST), ROWS_PER_PART_AT_MOST
    )
    return [
        Part(path="", sha256=sha256, kind=kind, row_groups=(first, stop),
             first_row=sum(rows[:first]), num_rows=sum(rows[first:stop])).at(path)
        for first, stop in _group_ranges(rows, wanted)
    ]  # fmt: skip


def _group_ranges(rows: list[int], rows_per_part: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of neighbouring row groups that reach `rows_per_part` together.

    >>> list(_group_ranges([3, 3, 3, 9, 1], 5))
    [(0, 2), (2, 4), (4, 5)]
    """
    first = gathered = 0
    for index, num_rows in enumerate(rows):
        gathered += num_rows
        if gathered >= rows_per_part:
            yield first, index + 1
            first, gathered = index + 1, 0
    if gathered:
        yield first, len(rows)


def read_part(part: Part, image_roots: Sequence[str] = ()) -> Iterator[Rows | Unreadable]:
    """Yield a part's rows in order, and what could not be read.

    Args:
        part: of an input.
        image_roots: folders that a table may name images in, besides its own.

    Raises:
        InputError: the file is not there any more.
    """
    if part.kind == "tar":
        return read_tar(part)
    readers = {"parquet": read_parquet, "jsonl": read_jsonl, "csv": read_csv, "tsv": read_csv}
    rows = with_partitions(readers[part.kind](part), part.path)
    return with_image_files(rows, part, image_roots)
