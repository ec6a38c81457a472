"""One pair out of millions: where it is stored, and what stands there.

The ids are read column by column, row group by row group, up to the one that holds the pair; of
that one, the few columns that are shown.
"""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.files import storage
from curate.pipelines.caption_tables.instead import TEXT_SOURCE
from curate.pipelines.inputs.records import ColumnNames, find_column, text_column
from curate.pipelines.inputs.rows import Part, Rows
from curate.pipelines.inputs.tar import read_tar
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.training.captions.mix import ALT

__all__ = ["StoredPair", "find_in_balanced", "find_in_matched"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPair:
    """A pair as it is stored.

    Attributes:
        path: of the file; `row` counts the rows or samples of that file.
        entry_ids: ascending.
        text_source: whose text the entries are those of: `alt`, or a caption's source.
    """

    path: str
    row: int
    text: str
    url: str | None
    lang: str
    lang_score: float | None
    entry_ids: list[int]
    text_source: str = ALT


def find_in_matched(pair_id: str, plan: MatchedPlan) -> StoredPair | None:
    """Return a pair of `matched/`, the first of its id, or None."""
    names = ColumnNames(**plan.parameters["columns"])
    paths = [plan.pairs_path(index) for index in range(len(plan.parts))]
    return _find_in_parquet(pair_id, paths, names)


def find_in_balanced(pair_id: str, folder: str) -> StoredPair | None:
    """Return a pair of `balanced/`, whether Parquet or shards, or None."""
    paths = storage.list_files(storage.join(folder, "pairs"), ".parquet")
    found = _find_in_parquet(pair_id, paths, ColumnNames())
    shards = storage.list_files(storage.join(folder, "shards"), ".tar")
    return found or next((p for path in shards if (p := _find_in_shard(pair_id, path))), None)


def _find_in_parquet(pair_id: str, paths: list[str], names: ColumnNames) -> StoredPair | None:
    for path in paths:
        with artifacts.open_parquet(path) as file:
            first = 0
            for group in range(file.num_row_groups):
                column = file.read_row_group(group, columns=["pair_id"]).column("pair_id")
                at = pc.index(column, pair_id).as_py()
                if at >= 0:
                    return _stored(file, group, at, first, path, names)
                first += len(column)
    return None


def _stored(
    file: Any, group: int, at: int, first: int, path: str, names: ColumnNames
) -> StoredPair:
    schema: pa.Schema = file.schema_arrow
    text, url = text_column(schema, names, path), find_column(schema, "url", names, path)
    columns = [text, *([url] if url else []), "lang", "lang_score", "entry_ids"]
    columns += [TEXT_SOURCE] if TEXT_SOURCE in schema.names else []
    row = file.read_row_group(group, columns=columns).slice(at, 1).to_pylist()[0]
    return StoredPair(
        path=path,
        row=first + at,
        text=row[text],
        url=str(row[url]) if url and row[url] is not None else None,
        lang=row["lang"],
        lang_score=row["lang_score"],
        entry_ids=row["entry_ids"],
        text_source=row.get(TEXT_SOURCE) or ALT,
    )


def _find_in_shard(pair_id: str, path: str) -> StoredPair | None:
    for rows in read_tar(Part(path=path, sha256="", kind="tar")):
        if not isinstance(rows, Rows):
            continue
        for at, (uid, text, raw) in enumerate(
            zip(*(rows.batch.column(c).to_pylist() for c in ("uid", "text", "json")), strict=True)
        ):
            about = json.loads(raw)
            if about.get("pair_id", uid) == pair_id:
                return StoredPair(
                    path=path, row=rows.first_row + at, text=text.decode(), url=about["url"],
                    lang=about["lang"], lang_score=None, entry_ids=about["entry_ids"],
                    text_source=about.get(TEXT_SOURCE) or ALT,
                )  # fmt: skip
    return None
