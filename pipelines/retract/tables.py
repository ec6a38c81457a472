"""Tables that stages wrote of pairs in; the same without the rows of retracted ones out.

Duplicates, scores, what evaluation sets hold, clusters, captions and what they were judged: each is
a folder of Parquet files with ids. What a row says of others that were retracted is taken out of
it, and so is what a summary quotes of them; pages for people, which may show them, are removed.
Where the pairs are no longer those that a table was made of, the stage that wrote it says so, and
makes it anew if it is asked.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.files import storage
from curate.pipelines.executor.lease import driven
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.workspace import Workspace
from curate.pipelines.views.progress import progress

__all__ = ["purge_tables", "tables_of"]

_FOLDERS = ("deduped", "scores", "decontaminated", "clusters", "sampled", "judged")
_INNER = ("", "pairs", "hits", "failed", "dropped", "examples")
_OTHERS = ("like_pair_id", "kept_pair_id")  # ids of pairs that a row tells of beside its own
_IDS = ("pair_id", "image_id", *_OTHERS)
_PAGES = (".html", ".md")
_SUMMARY = "summary.json"


def tables_of(place: Workspace) -> list[str]:
    """Return the folders of a workspace that hold tables made of pairs, beside its vectors."""
    captions = storage.list_files(place.folder("captions"), "")
    folders = [place.folder(name) for name in _FOLDERS]
    folders += [one.rstrip("/") for one in captions]
    return [one for one in folders if storage.exists(storage.join(one, PLAN))]


@driven("retract")
def purge_tables(*, output: str, tombstones: Tombstones, quiet: bool = False) -> int:
    """Rewrite the files of a folder that name retracted pairs.

    Args:
        output: folder of a stage.
        tombstones: what is retracted, and the ids of its pairs.
        quiet: no progress.

    Returns:
        How many rows were taken out.
    """
    storage.remove_leftovers(output)
    _purge_summary(output, tombstones)
    paths = list(_tables(output))
    shown = progress(paths, total=len(paths), label="tables", unit="file", quiet=quiet)
    return sum(_purge(path, tombstones, output) for path in shown)


def _remove_pages(folder: str) -> None:
    for ending in _PAGES:
        for path in storage.list_files(folder, ending):
            storage.remove(path)


def _purge_summary(folder: str, tombstones: Tombstones) -> None:
    """Take what a summary quotes of retracted pairs out of it."""
    path = storage.join(folder, _SUMMARY)
    if not storage.exists(path):
        return
    values = artifacts.read_json(path)
    quoted = [*_quoted(values)]
    hit = tombstones.hits_by_id(pa.table({"pair_id": pa.array(quoted, pa.string())}))
    if hit.any():
        _remove_pages(folder)  # first: after a kill in between they would never be found
        gone = {pair_id for pair_id, is_gone in zip(quoted, hit, strict=True) if is_gone}
        values = _without(values, gone)
        values.pop("checksum", None)
        artifacts.write_json(path, values)


def _quoted(values: Any) -> Iterator[str]:
    """Yield the ids of pairs that lists of a summary quote."""
    if isinstance(values, dict):
        for value in values.values():
            yield from _quoted(value)
    elif isinstance(values, list):
        for value in values:
            if isinstance(value, dict) and isinstance(value.get("pair_id"), str):
                yield value["pair_id"]
            yield from _quoted(value)


def _without(values: Any, gone: set[str]) -> Any:
    if isinstance(values, dict):
        return {name: _without(value, gone) for name, value in values.items()}
    if isinstance(values, list):
        return [
            _without(value, gone) for value in values
            if not (isinstance(value, dict) and value.get("pair_id") in gone)
        ]  # fmt: skip
    return values


def _tables(folder: str) -> Iterator[str]:
    for inner in _INNER:
        yield from storage.list_files(storage.join(folder, inner) if inner else folder, ".parquet")


def _purge(path: str, tombstones: Tombstones, folder: str) -> int:
    with artifacts.open_parquet(path) as file:
        names = [name for name in _IDS if name in file.schema_arrow.names]
        if "pair_id" not in names and "image_id" not in names:
            return 0
        ids = file.read(columns=names)
        gone = tombstones.hits_by_id(ids)
        others = {
            name: tombstones.hits_by_id(pa.table({"pair_id": ids.column(name)}))
            for name in _OTHERS if name in names
        }  # fmt: skip
        if not gone.any() and not any(hit.any() for hit in others.values()):
            return 0
        _remove_pages(folder)  # first, likewise
        schema = file.schema_arrow.remove_metadata()
        stamp = artifacts.read_stamp(path)
        metadata_hash = file.metadata.metadata[b"metadata_hash"].decode()
        with artifacts.parquet_writer(path, schema) as writer:
            first = 0
            for batch in file.iter_batches(1 << 14):
                stop = first + batch.num_rows
                for name, hit in others.items():
                    at = schema.get_field_index(name)
                    column = pc.if_else(pa.array(~hit[first:stop]), batch.column(at), None)
                    batch = batch.set_column(at, schema.field(at), column)
                writer.write(batch.filter(pa.array(~gone[first:stop])))
                first = stop
            num = int(np.count_nonzero(gone))
            stamp["retracted"] = int(stamp.get("retracted", 0)) + num
            writer.close(stamp, metadata_hash)
    return num
