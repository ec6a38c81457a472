"""Score one part: the cosines of images with their texts and with prompts, heads, sizes."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.pipelines.embedded.plan import EmbeddedPlan, vectors_of
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["ScoreJob", "ScoreFigures", "score_part"]

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreJob:
    """What every worker has to know; picklable.

    Attributes:
        plan: of the vectors.
        output: folder.
        parameters: digest of what decides the scores.
        columns: the scores, in their order.
        prompts: vectors of prompts by name; float64, (P, E).
        heads: by name.
    """

    plan: EmbeddedPlan
    output: str
    parameters: str
    columns: tuple[str, ...]
    prompts: dict[str, NDArray[np.float64]]
    heads: dict[str, Any]


@dataclass(slots=True)
class ScoreFigures:
    """What came of a part: rows, and by score how many have it and their sum."""

    pairs: int = 0
    scored: Counter[str] = field(default_factory=Counter)
    sums: dict[str, float] = field(default_factory=dict)

    def __iadd__(self, other: "ScoreFigures") -> "ScoreFigures":
        self.pairs += other.pairs
        self.scored.update(other.scored)
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON-able values."""
        return {"pairs": self.pairs, "scored": dict(self.scored), "sums": self.sums}


def score_part(job: ScoreJob, index: int) -> tuple[int, ScoreFigures]:
    """Write the scores of a part, unless they are there."""
    path = storage.join(job.output, "pairs", part_name(index, "parquet"))
    made_from = {"parameters": job.parameters, "source": job.plan.sources[index].as_dict()}
    if storage.exists(path):
        stamp = artifacts.read_stamp(path)
        if {key: stamp.get(key) for key in made_from} == made_from:
            figures = stamp["figures"]
            return index, ScoreFigures(figures["pairs"], Counter(figures["scored"]),
                                       dict(figures["sums"]))  # fmt: skip
    with told_when_full(job.output):
        return index, _write(job, index, path, made_from)


def _write(job: ScoreJob, index: int, path: str, made_from: dict[str, Any]) -> ScoreFigures:
    figures = ScoreFigures(scored=Counter(dict.fromkeys(job.columns, 0)))
    kept = ["pair_id", "lang"]
    read = [*kept, "width", "height"] if job.plan.has_images else list(kept)
    read += [name for name in ("image", "text") if job.plan.width(name) is not None]
    schema = pa.schema(
        [("pair_id", pa.string()), ("lang", pa.dictionary(pa.int32(), pa.string())),
         *((name, pa.float32()) for name in job.columns)]
    )  # fmt: skip
    with artifacts.parquet_writer(path, schema) as writer:
        for batch in job.plan.batches(index, read):
            found = _scores(job, batch, path)
            figures.pairs += batch.num_rows
            arrays = [batch.column(name) for name in kept]
            for name in job.columns:
                there = np.isfinite(found[name])
                figures.scored[name] += int(there.sum())
                figures.sums[name] = figures.sums.get(name, 0.0) + float(found[name][there].sum())
                arrays.append(pa.array(found[name].astype(np.float32), mask=~there))
            arrays[1] = arrays[1].cast(schema.field("lang").type)
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        writer.close({**made_from, "figures": figures.as_dict()}, "")
    return figures


def _scores(job: ScoreJob, batch: pa.RecordBatch, path: str) -> dict[str, Values]:
    """Return the scores of a batch, nan where there is none."""
    found: dict[str, Values] = {}
    if job.plan.has_images:
        width, height = (
            batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
            for name in ("width", "height")
        )
        longer, shorter = np.maximum(width, height), np.minimum(width, height)
        found |= {"width": width, "height": height, "pixels": width * height,
                  "aspect": longer / shorter}  # fmt: skip
    if job.plan.width("image") is None:
        return found
    images, has_image = vectors_of(batch.column("image"), path)
    if "clip_score" in job.columns:
        texts, has_text = vectors_of(batch.column("text"), path)
        cosines = np.einsum("ne,ne->n", images.astype(np.float64), texts.astype(np.float64))
        found["clip_score"] = np.where(has_image & has_text, cosines, np.nan)
    for name, prompts in job.prompts.items():
        cosines = np.einsum("ne,pe->np", images.astype(np.float64), prompts).max(axis=1)
        found[name] = np.where(has_image, cosines, np.nan)
    for name, head in job.heads.items():
        found[name] = np.where(has_image, head.scores(images), np.nan)
    return found
