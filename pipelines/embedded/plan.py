"""What a folder of vectors is made of: `plan.json`, and `pairs/NNNNN.parquet`, a row a pair.

Row i of part N is row i of part N of `matched/pairs`, or sample i of the N-th shard.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.vectors.perceptual import HASH_BYTES
from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import damaged, suggest
from curate.files.sums import file_sum, shard_sum
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.data.batch import KnownCrops

__all__ = [
    "EMBEDDING_COLUMNS", "PLAN", "SUMMARY", "WORKING", "EmbeddedPlan", "Source", "embedding_schema",
    "known_crops", "part_source", "require_matched", "shard_source", "vectors_of",
]  # fmt: skip

PLAN = "plan.json"
SUMMARY = "summary.json"
WORKING = ".working"  # a folder that is there while a run is under way
EMBEDDING_COLUMNS = ("image", "text")
_INFINITE = 0x7C00  # bits of a half float without its sign; those of no number are above


class Source(NamedTuple):
    """A part's source: its name in its folder, and a checksum of it."""

    name: str
    sum: str

    def as_dict(self) -> dict[str, str]:
        """Return it as JSON-able values."""
        return self._asdict()


def embedding_schema(widths: dict[str, int], *, with_images: bool, crops: int = 0) -> pa.Schema:
    """Return the schema of a part.

    Args:
        widths: of the vectors, by column: image, text.
        with_images: whether images were looked at.
        crops: cuts of each image that have vectors as well.
    """
    fields = [
        pa.field("pair_id", pa.string()), pa.field("image_id", pa.string()),
        pa.field("lang", pa.dictionary(pa.int32(), pa.string())),
    ]  # fmt: skip
    if with_images:
        fields += [
            pa.field("image_xxh3", pa.binary(16)), pa.field("image_hash", pa.binary(HASH_BYTES)),
            pa.field("width", pa.uint32()), pa.field("height", pa.uint32()),
        ]  # fmt: skip
    for name in EMBEDDING_COLUMNS:
        if name in widths:
            fields.append(pa.field(name, pa.list_(pa.float16(), widths[name])))
    if crops:
        fields.append(pa.field("crops", pa.list_(pa.float16(), crops * widths["image"])))
    return pa.schema(fields)


def known_crops(parameters: Mapping[str, Any]) -> KnownCrops | None:
    """Return which cuts of each image have vectors, by the plan's parameters; None without any."""
    found = parameters.get("crops")
    return None if found is None else KnownCrops(num=int(found["num"]), seed=int(found["seed"]))


@dataclass(slots=True)
class EmbeddedPlan:
    """What a folder of vectors is made of.

    Attributes:
        folder: where it is.
        parameters: what decides the vectors: the model, its hash, the precision.
        sources: of each part.
    """

    folder: str
    parameters: dict[str, Any]
    sources: list[Source]

    @classmethod
    def read(cls, folder: str) -> "EmbeddedPlan":
        """Read the plan of a folder.

        Raises:
            ArtifactError: there is none, or of another schema version.
        """
        path = storage.join(folder, PLAN)
        if not storage.exists(path):
            raise ArtifactError(
                f"{folder}: nothing is embedded here. Run `{suggest('embed')}` first."
            )
        values = artifacts.read_versioned(path)
        with of_ours(path):
            if "sources" not in values:
                damaged(path, "it is the plan of something else than vectors")
            sources = [Source(str(one["name"]), str(one["sum"])) for one in values["sources"]]
            parameters: dict[str, Any] = values["parameters"]
        return cls(folder, parameters, sources)

    def write(self) -> None:
        """Publish `plan.json`."""
        values = {
            "schema_version": artifacts.SCHEMA_VERSION,
            "parameters": self.parameters,
            "sources": [one.as_dict() for one in self.sources],
        }
        artifacts.write_json(storage.join(self.folder, PLAN), values)

    def digest(self) -> str:
        """Return a hash of all that decides what is in the folder."""
        sources = [one.as_dict() for one in self.sources]
        return artifacts.digest({"parameters": self.parameters, "sources": sources})

    def path(self, index: int) -> str:
        """Return the path of a part."""
        return storage.join(self.folder, "pairs", part_name(index, "parquet"))

    def width(self, column: str) -> int | None:
        """Return the width of a column's vectors; None if there is no such column."""
        found = self.parameters["columns"].get(column)
        return None if found is None else int(found["width"])

    def model_of(self, column: str) -> dict[str, Any]:
        """Return what is known of the model of a column's vectors.

        Raises:
            ArtifactError: there is no such column.
        """
        found = self.parameters["columns"].get(column)
        if found is None:
            there = ", ".join(self.parameters["columns"]) or "none"
            raise ArtifactError(
                f"{self.folder}: it has no vectors of the kind {column}; those it has: {there}. "
                f"Run `{suggest('embed')}` with a model that makes them."
            )
        return dict(found)

    @property
    def has_images(self) -> bool:
        """Whether images were looked at: their hashes and sizes are there."""
        return bool(self.parameters["fingerprints"])

    def whole_summary(self) -> dict[str, Any]:
        """Return the summary.

        Raises:
            ArtifactError: embedding has not come to its end.
        """
        path = storage.join(self.folder, SUMMARY)
        summary = artifacts.read_json(path) if storage.exists(path) else None
        if summary is None or summary["plan"] != self.digest():
            raise ArtifactError(
                f"{self.folder}: embedding has not come to its end. "
                f"Run the same `{suggest('embed')}` again; it goes on where it was."
            )
        return summary

    def require_of(self, sources: Sequence[Source], what: str) -> None:
        """Refuse vectors that are of other pairs than those at hand.

        Raises:
            ArtifactError: they are.
        """
        if list(sources) == self.sources:
            return
        raise ArtifactError(
            f"{self.folder}: its vectors are of other pairs than {what} has now: pairs were added "
            f"or taken out since. Run the same `{suggest('embed')}` again; it makes what is new."
        )

    def num_rows(self, index: int) -> int:
        """Return how many rows a part has.

        Raises:
            ArtifactError: it is not there, or damaged.
        """
        with artifacts.open_parquet(self.path(index)) as file:
            return int(file.metadata.num_rows)

    def rows(self, index: int, first: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Read some neighbouring rows of a part, out of the row groups that have them.

        Raises:
            ArtifactError: it is not there, damaged, or made with another model.
        """
        path = self.path(index)
        with artifacts.open_parquet(path) as file:
            self._require_own(path, index)
            groups: list[int] = []
            begin = before = 0
            for group in range(file.num_row_groups):
                end = begin + file.metadata.row_group(group).num_rows
                if begin < stop and end > first:
                    before = before if groups else begin
                    groups.append(group)
                begin = end
            table = file.read_row_groups(groups, columns=list(columns))
        return table.slice(first - before, stop - first)

    def batches(
        self, index: int, columns: Sequence[str], rows: int = 1 << 13
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a part, some of its columns.

        Raises:
            ArtifactError: it is not there, damaged, or made with another model.
        """
        path = self.path(index)
        with artifacts.open_parquet(path) as file:
            self._require_own(path, index)
            yield from file.iter_batches(rows, columns=list(columns))

    def _require_own(self, path: str, index: int) -> None:
        """Refuse the file of a part that was made from something else."""
        stamp = artifacts.read_stamp(path)
        expected = {
            "parameters": artifacts.digest(self.parameters),
            "source": self.sources[index].as_dict(),
        }
        artifacts.require_same(path, {key: stamp.get(key) for key in expected}, expected,
                               remedy=f"Run the same `{suggest('embed')}` again.")  # fmt: skip


def part_source(path: str, name: str) -> Source:
    """Return a part of `matched/pairs` as a source.

    Raises:
        ArtifactError: it is missing, cut off, or not ours.
    """
    return Source(name, artifacts.seal_of(path))


def shard_source(path: str) -> Source:
    """Return a shard as a source."""
    return Source(path.rpartition("/")[2], shard_sum(path) or str(file_sum(path)["xxh3_128"]))


def require_matched(plan: EmbeddedPlan, matched: str) -> None:
    """Refuse vectors of pairs that the matches do not have any more, or do not have yet.

    Raises:
        ArtifactError: they are; or matching has not come to its end.
    """
    of = MatchedPlan.read(matched)
    of.require_all_parts()
    if plan.parameters["source"] != "matched":
        return  # of shards: their pairs are known by their ids
    sources = [
        part_source(of.pairs_path(index), part_name(index, "parquet"))
        for index in range(len(of.parts))
    ]
    plan.require_of(sources, matched)


def vectors_of(column: pa.Array, path: str) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Return the vectors of a column, and which rows have one.

    Args:
        column: fixed_size_list<float16>, shape (N,).
        path: of its file, for messages.

    Returns:
        Shape (N, E), zeros where there is none; and shape (N,).

    Raises:
        ArtifactError: it is no column of vectors, or one of them is not whole or not finite.
    """
    if not pa.types.is_fixed_size_list(column.type) or not pa.types.is_float16(
        column.type.value_type
    ):
        damaged(path, f"its vectors are {column.type}, expected a fixed_size_list of halffloat")
    width = column.type.list_size
    is_there = column.is_valid().to_numpy(zero_copy_only=False)
    found = np.zeros((len(column), width), np.float16)
    if is_there.any():
        flat = column.values.slice(column.offset * width, len(column) * width)
        if flat.null_count not in (0, int((~is_there).sum()) * width):
            damaged(path, "a vector in it lacks a number")
        # As bits: Arrow and NumPy take ten times as long to look through half floats.
        bits = np.frombuffer(flat.buffers()[1], np.uint16)[flat.offset :][: len(flat)]
        found.view(np.uint16)[is_there] = bits.reshape(-1, width)[is_there]
        if (found.view(np.uint16) & 0x7FFF).max() >= _INFINITE:
            damaged(path, "a vector in it is not finite")
    return found, np.asarray(is_there, dtype=bool)
