"""Vectors that `embed` made in; what a captioner of ours is asked with them instead of images, out.

A row's alt-text is where its vector came from: in the same row of `matched/pairs`, or in the same
sample of the shard.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import ArtifactError, UsageError
from curate.pipelines.embedded.plan import (
    EmbeddedPlan,
    require_matched,
    shard_source,
    vectors_of,
)
from curate.pipelines.inputs.records import ColumnNames, text_column
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.sample_parts import PartSamples, SamplePart
from curate.pipelines.store import artifacts
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import list_shards

__all__ = [
    "OpenVectors",
    "VectorPart",
    "VectorRow",
    "Vectors",
    "plan_vector_parts",
    "require_own",
    "vectors_at",
]

_THREADS = 8
_COLUMNS = ("pair_id", "lang", "image")


@dataclass(frozen=True, slots=True)
class VectorPart:
    """Neighbouring rows of a part of vectors.

    Attributes:
        number: of the part.
        index: of the part of vectors.
        name: of that one's source.
        identity: hash of what is in the source.
        first: number of its first row.
        stop: one past its last row.
    """

    number: int
    index: int
    name: str
    identity: str
    first: int
    stop: int

    @property
    def made_from(self) -> list[Any]:
        """What decides its captions, beside the captioner."""
        return [self.name, self.identity, self.first, self.stop]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Where vectors and their alt-texts are; picklable.

    Attributes:
        folder: that `embed` wrote.
        matched: folder of the pairs; None where they are in shards.
        tars: the shards, of which the N-th has the texts of part N.
    """

    folder: str
    matched: str | None = None
    tars: tuple[str, ...] = ()

    def plan(self) -> EmbeddedPlan:
        """Read the plan of the vectors, checked to be whole and of the pairs at hand.

        Raises:
            ArtifactError: they are not, or there are none of images.
        """
        plan = EmbeddedPlan.read(self.folder)
        plan.whole_summary()
        plan.model_of("image")
        if self.matched is not None:
            require_matched(plan, self.matched)
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                plan.require_of(list(pool.map(shard_source, self.tars)), "the folder of shards")
        return plan


class VectorRow(NamedTuple):
    """A pair that has a vector, or should have one.

    Attributes:
        pair_id: of the pair.
        vector: of its image, of unit length; None without one. float32, shape (E,).
        alt: its alt-text; "" without one.
        lang: as the vectors say it.
    """

    pair_id: str
    vector: NDArray[np.float32] | None
    alt: str
    lang: str | None


def vectors_at(folder: str, *, matched: str, shards: str) -> Vectors:
    """Return where vectors and the texts of their pairs are: with what they were made of.

    Raises:
        ArtifactError: nothing is embedded there.
        InputError: they are of shards, and there are none.
    """
    source = EmbeddedPlan.read(folder).parameters["source"]
    if source == "matched":
        return Vectors(folder=folder, matched=matched)
    return Vectors(folder=folder, tars=tuple(list_shards(shards)))


def plan_vector_parts(vectors: Vectors, pairs_per_part: int) -> list[VectorPart]:
    """Cut the parts of vectors into those that are captioned.

    Args:
        vectors: with the plan checked.
        pairs_per_part: rows in a part, at most.

    Raises:
        ArtifactError: a part of them is missing or damaged.
    """
    plan = EmbeddedPlan.read(vectors.folder)
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(plan.num_rows, range(len(plan.sources))))
    parts: list[VectorPart] = []
    for index, (source, size) in enumerate(zip(plan.sources, sizes, strict=True)):
        for first in range(0, size, pairs_per_part):
            stop = min(first + pairs_per_part, size)
            parts.append(VectorPart(len(parts), index, source.name, source.sum, first, stop))
    return parts


class OpenVectors:
    """Reads the rows of parts; keeps the texts of the part of vectors that was asked for last.

    Args:
        vectors: where they are.
        cache: of remote shards.
    """

    def __init__(self, vectors: Vectors, cache: ShardCache) -> None:
        self._vectors = vectors
        self._plan = EmbeddedPlan.read(vectors.folder)
        self._samples = PartSamples(cache)
        self._matched = None if vectors.matched is None else MatchedPlan.read(vectors.matched)
        self._texts: tuple[int, pa.Table] | None = None

    def of(self, part: VectorPart) -> Iterator[VectorRow]:
        """Yield the rows of a part.

        Raises:
            ArtifactError: the vectors are of other pairs than the texts.
        """
        table = self._plan.rows(part.index, part.first, part.stop, _COLUMNS)
        vectors, is_there = vectors_of(
            table.column("image").combine_chunks(), self._plan.path(part.index)
        )
        ids, langs = table.column("pair_id").to_pylist(), table.column("lang").to_pylist()
        texts = self._texts_of(part) if self._matched else self._samples_of(part)
        for row, (text_id, alt) in enumerate(texts):
            if text_id != ids[row]:
                raise ArtifactError(
                    f"{self._plan.path(part.index)}: row {part.first + row} is of the pair "
                    f"{ids[row]!r}, where the texts have {text_id!r}. Run `curate embed` again."
                )
            vector = vectors[row].astype(np.float32) if is_there[row] else None
            yield VectorRow(text_id, vector, alt, langs[row])

    def _texts_of(self, part: VectorPart) -> Iterator[tuple[str, str]]:
        """Yield ids and alt-texts of matched pairs."""
        assert self._matched is not None
        if self._texts is None or self._texts[0] != part.index:
            path = self._matched.pairs_path(part.index)
            with artifacts.open_parquet(path) as file:
                columns = ColumnNames(**self._matched.parameters["columns"])
                text = text_column(file.schema_arrow, columns, path)
            table = artifacts.read_table(path, ["pair_id", text]).rename_columns(["id", "text"])
            self._texts = (part.index, table)
        some = self._texts[1].slice(part.first, part.stop - part.first)
        for pair_id, text in zip(*(some.column(n).to_pylist() for n in ("id", "text")),
                                 strict=True):  # fmt: skip
            yield pair_id, text or ""

    def _samples_of(self, part: VectorPart) -> Iterator[tuple[str, str]]:
        """Yield ids and alt-texts of a shard's samples."""
        tar = self._vectors.tars[part.index]
        samples = SamplePart(part.number, tar, part.identity, part.first, part.stop)
        for sample in self._samples.of(samples, needs_image=False):
            yield sample.name, "" if sample.pair is None else sample.pair.text


def require_own(kind: str) -> None:
    """Refuse vectors for a captioner that looks at images.

    Raises:
        UsageError: it does.
    """
    if kind != "captioner":
        raise UsageError(
            "--embeddings are for captioners of train-captioner, which read a vector instead of an "
            "image; leave it out, and images are read"
        )
