"""A balanced set in, the files that are to stand in its repository out; none is read yet."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.files.sums import check_sum, shard_record
from curate.pipelines.card import render_markdown, render_page
from curate.pipelines.inputs.columns.images import FILE_COLUMNS, image_column
from curate.pipelines.inputs.rows import Part, Rows
from curate.pipelines.inputs.tar import read_tar
from curate.pipelines.store import artifacts
from curate.pipelines.store.pools import concat_pool
from curate.pipelines.store.workspace import CARD
from curate.training.tars.captions import json_object

__all__ = ["FOLDERS", "HubFile", "files_of_set"]

# Folders of the repository that are ours: what else stands in them is removed.
FOLDERS = ("pairs/", "shards/", "metadata/")
_PAIRS = pa.schema([
    ("pair_id", pa.string()), ("url", pa.string()), ("text", pa.string()), ("lang", pa.string()),
    ("entry_ids", pa.list_(pa.uint32())), ("probability", pa.float32()),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of the repository.

    Attributes:
        name: in the repository.
        size_bytes: about, where it is made when it goes.
        source: path of the file that goes as it is; None where it is made.
        made: writes it to a local path; None where it goes as it is.
        sha256: that a file that goes as it is has to have, where that is known.
        check: compares one with what was written, where no sha256 is known.
    """

    name: str
    size_bytes: int
    source: str | None = None
    made: Callable[[str], None] | None = None
    sha256: str | None = None
    check: Callable[[], object] | None = None


def files_of_set(
    balanced: str, card: Mapping[str, Any], *, images: bool, metadata: str | None
) -> list[HubFile]:
    """Return what is to go: data and metadata first, the card last.

    Args:
        balanced: folder that `balance` wrote.
        card: of the set, with name and license as they are to stand there.
        images: whether images go along.
        metadata: folder whose entries go along; None for none.

    Raises:
        ArtifactError: there is nothing to send, or what would go is a link out of its folder.
        UsageError: images are to go along that are in no shard.
    """
    tars = _listed(balanced, "shards", ".tar")
    pairs = _listed(balanced, "pairs", ".parquet")
    if images and not tars:
        raise UsageError(
            f"--images: {balanced} has no shards, which images go in. Run `{suggest('download')}` "
            f"for the images behind URLs, or `{suggest('balance')}` with --format shards."
        )
    if not tars and not pairs:
        raise ArtifactError(
            f"{balanced}: there are neither pairs nor shards; `{suggest('balance')}` writes them"
        )
    if images:
        data = list(_shards(balanced, tars))
    elif pairs:
        data = [_pairs_file(path, at, len(pairs)) for at, path in enumerate(pairs)]
    else:
        data = [_texts_file(path, at, len(tars)) for at, path in enumerate(tars)]
    shown = {**card, "format": "shards" if images else "parquet"}
    cards = {
        "datacard.json": storage.read_bytes(_inside(balanced, storage.join(balanced, CARD))),
        "datacard.html": render_page(shown).encode(),  # without images of strangers
        "README.md": render_markdown(shown).encode(),
    }
    return [*data, *_metadata(metadata), *(_written(name, text) for name, text in cards.items())]


def _written(name: str, content: bytes) -> HubFile:
    def write(path: str) -> None:
        with storage.publish(path) as file:
            file.write(content)

    return HubFile(name, len(content), made=write)


def _inside(folder: str, path: str) -> str:
    """Return the path of a file in a folder, which may be somebody else's.

    Raises:
        ArtifactError: it leads out of the folder.
    """
    if storage.is_local(path):
        root, real = (os.path.realpath(storage.local_path(one)) for one in (folder, path))
        if not real.startswith(f"{root.rstrip(os.sep)}{os.sep}"):
            raise ArtifactError(
                f"{path}: it is a link to what lies outside of {folder}, and may be no part of "
                "the set. Put the file itself there, and give the same command again."
            )
    return path


def _listed(folder: str, name: str, suffix: str) -> list[str]:
    below = storage.join(folder, name) if name else folder
    return [_inside(folder, path) for path in storage.list_files(below, suffix)]


def _as_it_is(
    name: str, path: str, *, sha256: str | None = None, check: Callable[[], object] | None = None
) -> HubFile:
    size = storage.size_and_time(path)[0]
    return HubFile(name, size, source=path, sha256=sha256, check=check)


def _name(at: int, of: int, suffix: str) -> str:
    return f"train-{at:05d}-of-{of:05d}.{suffix}"


def _shards(balanced: str, tars: list[str]) -> Iterator[HubFile]:
    """Yield the shards, and what stands beside them."""
    for path in tars:
        stem = path.removesuffix(".tar")
        name = f"shards/{stem.rpartition('/')[2]}"
        record = shard_record(path)
        if record is None:
            raise ArtifactError(
                f"{path}: there is no note of its checksum beside it, so it was not finished, or "
                f"is none of the set. Run `{suggest('status')} --verify`."
            )
        yield _as_it_is(f"{name}.tar", path, sha256=str(record["sha256"]))
        for end in (".idx", ".json", "_stats.json"):
            if storage.exists(beside := stem + end):
                check = (partial(check_sum, beside, record["index"]) if end == ".idx"
                         else partial(artifacts.read_json, beside))  # fmt: skip
                yield _as_it_is(name + end, _inside(balanced, beside), check=check)


def _metadata(folder: str | None) -> Iterator[HubFile]:
    if folder is None:
        return
    for path in _listed(folder, "", ".parquet"):
        check = partial(artifacts.verify_parquet, path)
        yield _as_it_is(f"metadata/{path.rpartition('/')[2]}", path, check=check)
    manifest = _inside(folder, storage.join(folder, "manifest.json"))
    yield _as_it_is(
        "metadata/manifest.json", manifest, check=partial(artifacts.read_json, manifest)
    )


def _pairs_file(path: str, at: int, of: int) -> HubFile:
    """Return a file of kept pairs without images, and without where they lay on a disk."""
    size = storage.size_and_time(path)[0]

    def write(target: str) -> None:
        with artifacts.open_parquet(path) as file:
            schema = file.schema_arrow
            image = image_column(schema, None)
            private = {*FILE_COLUMNS, image, "json"}
            names = [name for name in schema.names if name not in private]
            chosen = pa.schema([schema.field(name) for name in names])
            with pq.ParquetWriter(target, chosen, compression="zstd") as writer:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group, columns=names))
                if not file.num_row_groups:
                    writer.write_table(chosen.empty_table())

    return HubFile(f"pairs/{_name(at, of, 'parquet')}", size, made=write)


def _texts_file(path: str, at: int, of: int) -> HubFile:
    """Return a file of the pairs of a shard, without their images."""

    def write(target: str) -> None:
        pieces = []
        for rows in read_tar(Part(path=path, sha256="", kind="tar")):
            if not isinstance(rows, Rows):
                raise ArtifactError(
                    f"{path}: {rows.detail}. Run `{suggest('status')} --verify`, which says what "
                    "makes it anew."
                )
            pieces.append(_table_of(rows.batch))
        table = concat_pool(pieces) if pieces else _PAIRS.empty_table()
        pq.write_table(table, target, compression="zstd")

    return HubFile(f"pairs/{_name(at, of, 'parquet')}", 0, made=write)


def _table_of(batch: pa.RecordBatch) -> pa.Table:
    rows = []
    columns = (batch.column(name).to_pylist() for name in ("uid", "url", "text", "json"))
    for uid, url, text, raw in zip(*columns, strict=True):
        about = json_object(raw)
        rows.append({
            "pair_id": about.get("pair_id") or uid, "url": url, "text": (text or b"").decode(),
            **{name: about.get(name) for name in ("lang", "entry_ids", "probability")},
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=_PAIRS)
