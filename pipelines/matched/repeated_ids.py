"""Matched pairs in, how many share an id out: copies, and pairs that are others and only named so.

A pair's id decides whether it is kept and what `retract` takes out. A copy (the same URL, text and
size of the image) is decided over as one with its original, which is right; other pairs of one id
are not. The ids of all parts are compared in bounded memory (`duplicates`), and where some repeat,
ids together with what they name: a row whose id has stood before, but not with this, is another.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import string_keys
from curate.pipelines.duplicates.keys import key_folder
from curate.pipelines.duplicates.rows import Duplicates, find_later_rows
from curate.pipelines.inputs.columns.images import image_column
from curate.pipelines.inputs.records import ColumnNames, find_column, text_column
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts

__all__ = ["RepeatedIds", "count_repeated_ids", "count_repeats", "tars_sharing_keys"]

_BATCH_ROWS = 1 << 16
_IMAGES = 256  # rows that are read at a time with their images
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class RepeatedIds:
    """Pairs whose id has stood before, in the order of parts and rows.

    Attributes:
        copies: with the same URL, text and size of image.
        others: with other ones.
        examples: of these the first few, as (id, path of the input).
    """

    copies: int = 0
    others: int = 0
    examples: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, int]:
        """Return the numbers as JSON-able values; {} where no id repeats."""
        return {"copies": self.copies, "others": self.others} if self.copies + self.others else {}


def count_repeated_ids(plan: MatchedPlan, *, workers: int, quiet: bool) -> RepeatedIds:
    """Count the pairs of all parts whose id has stood before.

    Args:
        plan: all parts of which are matched.
        workers: threads.
        quiet: no progress.

    Raises:
        DiskSpaceError: 24 bytes a pair do not fit on the disk.
    """
    names = ColumnNames(**plan.parameters["columns"])
    paths = [plan.pairs_path(index) for index in range(len(plan.parts))]
    return count_repeats(
        plan.folder, paths, [part.path for part in plan.parts], partial(_contents_of, names),
        workers=workers, quiet=quiet,
    )  # fmt: skip


def count_repeats(
    output: str, paths: list[str], sources: Sequence[str], contents_of: "_ReadStrings", *,
    workers: int, quiet: bool,
) -> RepeatedIds:  # fmt: skip
    """Count the rows of tables whose `pair_id` has stood before.

    Args:
        output: folder in which ids are compared, if it is local.
        paths: of the tables.
        sources: what each table was made from, for examples.
        contents_of: yields ids together with what they name.
        workers: threads.
        quiet: no progress.

    Raises:
        DiskSpaceError: 24 bytes a row do not fit on the disk.
    """
    with key_folder(output) as folder:
        find = partial(_find, paths, folder, workers=workers, quiet=quiet)
        by_id = find("ids", _ids_of)
        num = sum(int(np.count_nonzero(by_id.marks(index))) for index in range(len(paths)))
        if not num:
            return RepeatedIds()
        by_content = find("pairs", contents_of)
        others, examples = 0, list[tuple[str, str]]()
        for index in range(len(paths)):
            rows = np.flatnonzero(by_id.marks(index) & ~by_content.marks(index) & 1)
            others += len(rows)
            if len(rows) and len(examples) < _SHOWN:
                examples += _shown_ids(paths[index], rows[:_SHOWN], sources[index])
    return RepeatedIds(num - others, others, tuple(examples[:_SHOWN]))


def tars_sharing_keys(plan: MatchedPlan, *, workers: int, quiet: bool) -> list[int]:
    """Return the parts that are tars with a key that another tar has too, for another sample."""
    tars = [index for index, part in enumerate(plan.parts) if part.kind == "tar"]
    names = ColumnNames(**plan.parameters["columns"])
    sharing: set[int] = set()
    for order in (tars, tars[::-1]):  # the first of those that share one is the last in reverse
        paths = [plan.pairs_path(index) for index in order]
        with key_folder(plan.folder) as folder:
            find = partial(_find, paths, folder, workers=workers, quiet=quiet)
            by_key = find("ids", _keys_of)
            if not any(by_key.marks(at).any() for at in range(len(order))):
                return []
            by_content = find("pairs", partial(_key_contents_of, names))
            sharing |= {
                index for at, index in enumerate(order)
                if (by_key.marks(at) & ~by_content.marks(at) & 1).any()
            }  # fmt: skip
    return sorted(sharing)


def _find(
    paths: list[str], folder: str, name: str, read_strings: "_ReadStrings", **options: Any
) -> Duplicates:
    return find_later_rows(paths, f"{folder}/{name}", partial(_keys, read_strings), **options)


_ReadStrings = Callable[[pq.ParquetFile], Iterator[pa.StringArray]]


def _keys(read_strings: _ReadStrings, file: pq.ParquetFile) -> Iterator[NDArray[np.void]]:
    for strings in read_strings(file):
        yield string_keys(strings)


def _ids_of(file: pq.ParquetFile) -> Iterator[pa.StringArray]:
    for batch in file.iter_batches(_BATCH_ROWS, columns=["pair_id"]):
        yield batch.column("pair_id")


def _contents_of(names: ColumnNames, file: pq.ParquetFile) -> Iterator[pa.StringArray]:
    """Yield ids and what they name, as strings."""
    schema = file.schema_arrow
    if not file.metadata.num_rows:
        return
    columns = ["pair_id", text_column(schema, names, "")]
    url = find_column(schema, "url", names, "")
    others = (url or "", "image_size")
    columns += [name for name in others if name in schema.names]
    image = image_column(schema, names.image)
    rows, read = (_BATCH_ROWS, columns) if image is None else (_IMAGES, [*columns, image])
    for batch in file.iter_batches(rows, columns=read):
        values = [pc.cast(batch.column(n), pa.string()) for n in columns]
        if image is not None:
            values.append(pc.cast(_sizes(batch.column(image)), pa.string()))
        values = [pc.fill_null(one, "") for one in values]
        yield pc.binary_join_element_wise(*values, "\t")


def _sizes(images: pa.Array) -> pa.Array:
    """Return how many bytes images in a column have; of lists of images, how many there are."""
    if pa.types.is_struct(images.type):
        return _sizes(pc.struct_field(images, "bytes"))
    if pa.types.is_list(images.type) or pa.types.is_large_list(images.type):
        return pc.list_value_length(images)
    return pc.binary_length(images)


def _keys_of(file: pq.ParquetFile) -> Iterator[pa.StringArray]:
    """Yield the whole keys of a tar's samples, each once."""
    yield _first_of_each(_plain_keys(file), _plain_keys(file))


def _key_contents_of(names: ColumnNames, file: pq.ParquetFile) -> Iterator[pa.StringArray]:
    contents = pa.concat_arrays([pa.array([], pa.string()), *_contents_of(names, file)])
    yield _first_of_each(_plain_keys(file), _without_prefix(contents, file))


def _first_of_each(keys: pa.StringArray, values: pa.StringArray) -> pa.StringArray:
    """Return the values that stand where a key stands for the first time."""
    _, first = np.unique(string_keys(keys), return_index=True)
    return values.take(pa.array(np.sort(first)))


def _plain_keys(file: pq.ParquetFile) -> pa.StringArray:
    ids = pa.concat_arrays([pa.array([], pa.string()), *_ids_of(file)])
    return _without_prefix(ids, file)


def _without_prefix(strings: pa.StringArray, file: pq.ParquetFile) -> pa.StringArray:
    """Return strings without the name of their tar before the key, if the file's ids have it."""
    prefix = json.loads(file.metadata.metadata[b"curate"])["part"].get("id_prefix")
    if not prefix:
        return strings
    rest = pc.utf8_slice_codeunits(strings, len(prefix) + 1)
    return pc.if_else(pc.starts_with(strings, f"{prefix}/"), rest, strings)


def _shown_ids(path: str, rows: NDArray[np.int64], source: str) -> Sequence[tuple[str, str]]:
    with artifacts.open_parquet(path) as file:
        ids = file.read(columns=["pair_id"]).column("pair_id").take(pa.array(rows))
    return [(str(one), source) for one in ids.to_pylist()]
