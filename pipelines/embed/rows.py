"""The rows of a part, some at a time: of `matched/pairs`, or of a shard's samples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.curation.hashing.ids import short_hash, short_hashes
from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.pipelines.embedded.plan import Source, part_source, shard_source
from curate.pipelines.inputs.columns.images import FILE_COLUMNS, image_column
from curate.pipelines.inputs.records import ColumnNames, text_column
from curate.pipelines.matched.image_sources import ImageSources, image_sources
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.matched_images import open_downloaded
from curate.pipelines.shards.sources import ImageReader
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.data.online import read_rows
from curate.training.data.samples import first_text
from curate.training.data.shards import OpenShards, index_shard, list_shards
from curate.training.tars.captions import caption_of, json_object

__all__ = [
    "Chunk",
    "MatchedRows",
    "ShardRows",
    "matched_image_ids",
    "matched_rows",
    "repeated_ids",
    "shard_rows",
]

# So that encoded images of a chunk take some hundred megabytes at most.
CHUNK_ROWS = 1024
_OF_FILES = ("image_file", "image_offset")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a part.

    Attributes:
        pair_ids: strings, shape (N,).
        image_ids: strings, null where neither a URL nor a file says it; shape (N,).
        langs: strings, null where nothing says it; shape (N,).
        texts: None without one; shape (N,).
        image: reads a row's encoded image; None without one.
    """

    pair_ids: pa.Array
    image_ids: pa.Array
    langs: pa.Array
    texts: Sequence[str | None]
    image: Callable[[int], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRows:
    """Reads the parts of matched pairs; picklable."""

    folder: str
    columns: ColumnNames
    images: ImageSources | None

    def path(self, index: int) -> str:
        """Return the path of a part."""
        return storage.join(self.folder, "pairs", part_name(index, "parquet"))

    def chunks(self, index: int, *, with_texts: bool) -> Iterator[Chunk]:
        """Yield the rows of a part, in their order."""
        path = self.path(index)
        reader = None if self.images is None else ImageReader(self.images, self.columns.image)
        try:
            if reader is not None:
                reader.begin_part(index, path)
            first = 0
            with artifacts.open_parquet(path) as file:
                schema = file.schema_arrow
                text = text_column(schema, self.columns, path) if with_texts else None
                names = self._names(schema, text)
                for batch in file.iter_batches(CHUNK_ROWS, columns=[*names, *_OF_FILES]):
                    ids = _ids_of_images(batch)
                    yield self._chunk(batch.select(names), ids, text, reader, index, first)
                    first += batch.num_rows
        finally:
            if reader is not None:
                reader.close()

    def _names(self, schema: pa.Schema, text: str | None) -> list[str]:
        names = {"pair_id", "image_id", "lang"} | ({text} if text else set())
        if self.images is not None and self.images.downloaded is None:
            names |= {image_column(schema, self.columns.image) or "", *FILE_COLUMNS}
        return [name for name in schema.names if name in names]

    @staticmethod
    def _chunk(
        batch: pa.RecordBatch, image_ids: pa.Array, text: str | None, reader: ImageReader | None,
        index: int, first: int,
    ) -> Chunk:  # fmt: skip
        texts: Sequence[str | None] = [None] * batch.num_rows
        if text is not None:
            texts = batch.column(text).cast(pa.string()).to_pylist()
        langs = batch.column("lang").cast(pa.string())

        def image(row: int) -> bytes | None:
            return None if reader is None else reader.read(batch, row, index, first + row)

        return Chunk(batch.column("pair_id"), image_ids, langs, texts, image)

    def entry_ids(self, index: int) -> pa.ListArray:
        """Return the entries of the pairs of a part, in their order."""
        column = artifacts.read_table(self.path(index), ["entry_ids"]).column("entry_ids")
        return column.cast(pa.list_(pa.uint32())).combine_chunks()

    def image_ids(self, index: int) -> Iterator[pa.Array]:
        """Yield the image ids of a part."""
        with artifacts.open_parquet(self.path(index)) as file:
            yield from matched_image_ids(file)


def matched_image_ids(file: pq.ParquetFile) -> Iterator[pa.Array]:
    """Yield the image ids of a file of matched pairs, in its order."""
    for batch in file.iter_batches(1 << 16, columns=["image_id", *_OF_FILES]):
        yield _ids_of_images(batch)


def _ids_of_images(batch: pa.RecordBatch) -> pa.Array:
    """Return the ids of images; of a file that a row names without a URL, the hash of its path."""
    ids = batch.column("image_id")
    if not ids.null_count or not set(_OF_FILES) <= set(batch.schema.names):
        return ids
    # What begins a file is the file; a tar's first member does not, since its header does.
    is_file = pc.and_kleene(pc.is_null(ids), pc.equal(batch.column("image_offset"), 0))
    return pc.if_else(pc.fill_null(is_file, False), short_hashes(batch.column("image_file")), ids)  # noqa: FBT003


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRows:
    """Reads the samples of shards; picklable."""

    paths: tuple[str, ...]

    def chunks(self, index: int, *, with_texts: bool) -> Iterator[Chunk]:
        """Yield the samples of a shard, in their order."""
        files, path = OpenShards(), self.paths[index]
        found = index_shard(path, files.open_file)
        if not found.is_whole:
            raise InputError(
                f"{path}: it is damaged or cut off, or samples that are promised beside it are not "
                "in it. Write or fetch it again."
            )

        def part(number: int, at: int) -> bytes:
            offset, size = found.places[number, at : at + 2].tolist()
            return files.read(path, offset, size) if size > 0 else b""

        for first in range(0, len(found.places), CHUNK_ROWS):
            numbers = range(first, min(first + CHUNK_ROWS, len(found.places)))
            about = [json_object(part(number, 6)) for number in numbers]
            ids = [
                one.get("pair_id") if isinstance(one.get("pair_id"), str) else files.key(found, n)
                for n, one in zip(numbers, about, strict=True)
            ]
            texts = [_text(part(n, 4), one) if with_texts else None
                     for n, one in zip(numbers, about, strict=True)]  # fmt: skip
            yield Chunk(
                pa.array(ids, pa.string()), pa.array(map(_image_id, about), pa.string()),
                pa.array(map(_lang, about), pa.string()), texts,
                partial(_image_of, part, first),
            )  # fmt: skip

    def entry_ids(self, index: int) -> pa.ListArray:
        """Return the entries that the samples of a shard are said to match, in their order."""
        files, path = OpenShards(), self.paths[index]
        return read_rows(index_shard(path, files.open_file), files).entry_ids

    def image_ids(self, index: int) -> Iterator[pa.Array]:
        """Yield the image ids of a shard."""
        for chunk in self.chunks(index, with_texts=False):
            yield chunk.image_ids


def _image_of(part: Callable[[int, int], bytes], first: int, row: int) -> bytes | None:
    return part(first + row, 2) or None


def _text(text: bytes, about: dict[str, Any]) -> str | None:
    """Return a sample's caption; of several, the first."""
    first = first_text(about.get("texts"))
    if first is not None:
        return str(first["text"])
    found = caption_of({"txt": text}, about)
    return found.decode("utf-8", "replace") if found and found.strip() else None


def _image_id(about: dict[str, Any]) -> str | None:
    """Return the id of an image: as the sample says it, else the hash of its URL, as `match`'s."""
    if isinstance(about.get("image_id"), str):
        return str(about["image_id"])
    url = about.get("url")
    return short_hash(url) if isinstance(url, str) and url else None


def _lang(about: dict[str, Any]) -> str | None:
    return about["lang"] if isinstance(about.get("lang"), str) else None


def matched_rows(
    folder: str, image_roots: Sequence[str], *, with_images: bool, downloaded: str | None = None
) -> tuple[MatchedRows, list[Source]]:
    """Return what reads matched pairs, and their parts.

    Raises:
        ArtifactError: matching has not come to its end, or not all images are downloaded.
        InputError: images are in inputs that this user neither chose nor names.
    """
    plan = MatchedPlan.read(folder)
    if plan.summary() is None:
        raise ArtifactError(f"{folder}: matching has not come to its end. Run the same `curate "
                            "match` again; it goes on where it was.")  # fmt: skip
    images = None
    if with_images:
        there = None if downloaded is None else open_downloaded(downloaded, plan)
        images = image_sources(plan, image_roots, there)
    columns = ColumnNames(**plan.parameters["columns"])
    sources = [
        part_source(plan.pairs_path(index), part_name(index, "parquet"))
        for index in range(len(plan.parts))
    ]
    return MatchedRows(folder=folder, columns=columns, images=images), sources


def shard_rows(path: str) -> tuple[ShardRows, list[Source]]:
    """Return what reads the samples of shards, and the shards.

    Raises:
        InputError: there are none, or they are not on this machine.
    """
    paths = list_shards(path)
    if not storage.is_local(paths[0]):
        raise InputError(
            f"{path}: shards behind a URL cannot be embedded; copy them to this machine, or mount "
            "the store."
        )
    return ShardRows(paths=tuple(paths)), list(map(shard_source, paths))


def repeated_ids(arrays: Iterator[pa.Array]) -> set[str]:
    """Return the ids that stand in more than one row, of those that are not null."""
    seen: set[str] = set()
    again: set[str] = set()
    for array in arrays:
        for one in array.drop_null().to_pylist():
            (again if one in seen else seen).add(one)
    return again
