"""All matched pairs in; shards of their parts, and what does not count for want of an image, out.

The folder's plan lists the parts of the matches, each with a number of shards that stays, so that a
run goes on after pairs were added or taken out. Pairs whose image could not be had go on a list in
`matched/`, and its counts are made anew: what is balanced then is what can be trained on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import suggest
from curate.pipelines.download.plan import SourcePairs, pool_columns, without_bytes
from curate.pipelines.inputs.columns.images import FILE_COLUMNS
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.match import enter_drops
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.matched_images import SUMMARY, layout_digest, parts_of, pool_of
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import combined_hash
from curate.pipelines.store.pools import disagreeing_columns

__all__ = ["LIST", "MatchedPairs", "begin_downloaded", "enter_failed", "finish_downloaded"]

LIST = "not_downloaded"


@dataclass(frozen=True, slots=True)
class _Of:
    """The matches of `MatchedPairs`, and what of them has to stay."""

    plan: MatchedPlan
    parts: tuple[str, ...]


class MatchedPairs(SourcePairs):
    """The files of a matched folder."""

    _of: _Of

    @classmethod
    def open(cls, folder: str, names: ColumnNames) -> "MatchedPairs":
        """Find the pairs that `match` wrote.

        Raises:
            ArtifactError: there are none, or not all.
            InputError: they have no URLs.
        """
        plan = MatchedPlan.read(folder)
        plan.require_all_parts()
        chosen = ColumnNames(**{**plan.parameters["columns"], **_given(names)})
        paths = tuple(plan.pairs_path(index) for index in range(len(plan.parts)))
        num_rows: list[int] = []
        schemas: list[pa.Schema] = []
        for path in paths:
            with artifacts.open_parquet(path) as file:
                num_rows.append(file.metadata.num_rows)
                schemas.append(file.schema_arrow)
        url, text = pool_columns(schemas, chosen, folder)
        found = cls(
            folder, paths, tuple(num_rows), pool_of(plan),
            combined_hash(plan.parameters["metadata"]), url, text, chosen,
            disagreeing_columns(without_bytes(schema) for schema in schemas),
        )  # fmt: skip
        object.__setattr__(found, "_of", _Of(plan, tuple(parts_of(plan))))
        return found

    @property
    def parts(self) -> tuple[str, ...]:
        """What stands for each part."""
        return self._of.parts

    def require_unchanged(self) -> None:
        """Refuse pairs that were taken out, or matched again, while they were read.

        Raises:
            ArtifactError: they were.
        """
        now = MatchedPlan.read(self.folder)
        if now.retracted != self._of.plan.retracted or tuple(parts_of(now)) != self.parts:
            raise ArtifactError(
                f"{self.folder} was changed while its images were downloaded. Run the same command "
                "again; what is there stays."
            )

    def require_part(self, part: int) -> None:
        """Refuse a part that is another one than it was.

        Raises:
            ArtifactError: it is.
        """
        found = artifacts.digest(artifacts.read_stamp(self.paths[part])["part"])
        if found != self.parts[part]:
            raise ArtifactError(f"{self.paths[part]} was matched anew while it was read")

    def pieces(self, rows: int, parts: range | None = None) -> Iterator[pa.Table]:
        """Yield the pairs, without what says where other images of theirs are."""
        for table in SourcePairs.pieces(self, rows, parts):
            yield table.drop_columns([n for n in table.schema.names if n in FILE_COLUMNS])


def _given(names: ColumnNames) -> dict[str, str]:
    return {role: name for role in ("url", "text") if (name := getattr(names, role))}


def planned_shards(
    folder: str, parameters: dict[str, Any], pairs: MatchedPairs, per_shard: int, *, anew: bool
) -> list[dict[str, Any]]:
    """Return the parts of the plan: those it has, then those that were added to the matches.

    Raises:
        ArtifactError: the folder holds images of other matches, or otherwise made.
    """
    path = storage.join(folder, artifacts.PLAN)
    known: list[dict[str, Any]] = []
    if storage.exists(path) and not anew:
        plan = artifacts.read_versioned(path)
        artifacts.require_same(folder, plan["parameters"], parameters)
        with of_ours(path):
            known = [{"part": str(p["part"]), "shards": int(p["shards"])} for p in plan["layout"]]
        there = [one["part"] for one in known]
        if there != list(pairs.parts[: len(there)]):
            raise ArtifactError(
                f"{folder}: its images are of other matches than {pairs.folder} has now. Choose "
                f"another --output, or replace them: "
                f"`{suggest('download', '--from', 'matched', '--overwrite')}`"
            )
    return known + [
        {"part": pairs.parts[part], "shards": -(-pairs.num_rows[part] // per_shard)}
        for part in range(len(known), len(pairs.parts))
    ]


def begin_downloaded(
    folder: str, parameters: dict[str, Any], parts: list[dict[str, Any]], *, anew: bool
) -> None:
    """Write the plan of a folder; it is not whole until `finish_downloaded`."""
    path = storage.join(folder, artifacts.PLAN)
    plan = {
        "schema_version": artifacts.SCHEMA_VERSION, "parameters": parameters, "layout": parts,
    }  # fmt: skip
    if anew and storage.exists(path) and artifacts.read_json(path) != plan:
        storage.remove(folder)
    storage.remove_leftovers(folder)
    storage.remove(storage.join(folder, SUMMARY))
    artifacts.write_json(path, plan)


def finish_downloaded(
    folder: str, parameters: dict[str, Any], parts: list[dict[str, Any]], found: dict[str, Any]
) -> None:
    """Publish the sign that all images are there that could be had."""
    values = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": layout_digest(parameters, parts),
        **{name: found[name] for name in ("read", "downloaded", "failed", "shards", "bytes")},
    }
    artifacts.write_json(storage.join(folder, SUMMARY), values)


def enter_failed(
    folder: str, matched: str, *, metadata: str | None, workers: int, quiet: bool
) -> int:
    """Have pairs whose image could not be had not count; return how many pairs count.

    Args:
        folder: of the shards, all done.
        matched: that they are of.
        metadata: folder that it was matched with; None for the one that is noted.
        workers: threads.
        quiet: no progress.
    """
    paths = storage.list_files(folder, ".parquet")
    # Without a pair that failed there is no list.
    has_any = any(len(ids) for ids, _ in _failed(paths))
    left = enter_drops(
        matched, LIST, _failed(paths) if has_any else None, metadata=metadata, workers=workers,
        about={"images": folder.rpartition("/")[2]}, quiet=quiet,
    )  # fmt: skip
    return int(left["matched"])


def _failed(paths: Sequence[str]) -> Iterator[tuple[pa.StringArray, pa.Array]]:
    """Yield the ids of pairs whose image could not be had, and why, shard by shard."""
    for path in paths:
        table = artifacts.read_table(path, ["pair_id", "reason"]).combine_chunks()
        failed = table.filter(table.column("reason").is_valid())
        why = pc.binary_join_element_wise(
            f"{LIST}:", failed.column("reason").cast(pa.string()), " "
        )  # fmt: skip
        yield failed.column("pair_id").combine_chunks(), why.combine_chunks()
