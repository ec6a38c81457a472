"""Look for the images and texts of evaluation sets among the pairs of one part."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.vectors.hamming import band_bits, near_hashes
from curate.curation.vectors.perceptual import HASH_BYTES, ORIENTATIONS, turned_hashes
from curate.files import storage
from curate.pipelines.decontaminate.options import METHODS, DecontaminateOptions
from curate.pipelines.decontaminate.sets import SetImages, comparable_text, text_key
from curate.pipelines.embedded.plan import EmbeddedPlan, vectors_of
from curate.pipelines.inputs.records import ColumnNames, find_column, text_column
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["Job", "find_in_part", "reason_of"]

_ROWS = 1 << 12
_SLACK = 1e-4  # of products in single precision
_SCHEMA = pa.schema(
    {
        "pair_id": pa.string(), "image_id": pa.string(), "url": pa.string(), "text": pa.string(),
        "reason": pa.string(), "by": pa.string(), "distance": pa.float32(), "set": pa.string(),
        "set_image": pa.string(), "set_text": pa.string(),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every worker has to know; `matched` is read for texts and URLs, None without any."""

    plan: EmbeddedPlan
    matched: MatchedPlan | None
    sets: SetImages
    methods: tuple[str, ...]
    options: DecontaminateOptions
    output: str
    parameters: str


@dataclass(slots=True)
class _Hits:
    """What each row was found to be, in each set: its image, by which method, how far.

    Attributes:
        set_of: the set of each image.
        image: of the set, -1 for none; shape (num_sets, num_rows).
        by: a place in METHODS, likewise.
        distance: likewise.
    """

    set_of: NDArray[np.int64]
    image: NDArray[np.int64]
    by: NDArray[np.int64]
    distance: NDArray[np.float64]

    @classmethod
    def none(cls, sets: SetImages, num: int) -> "_Hits":
        """Return those of rows that are in no set."""
        shape = (len(sets.names), num)
        return cls(sets.set_of, np.full(shape, -1), np.full(shape, -1), np.zeros(shape))

    def note(self, rows: Any, images: Any, by: int, distances: Any) -> None:
        """Note hits of a method; of each row and set the first method's nearest counts."""
        for row, image, distance in zip(rows, images, distances, strict=True):
            at = self.set_of[image], row
            is_nearer = self.by[at] == by and (distance, image) < (
                self.distance[at], self.image[at]
            )  # fmt: skip
            if self.image[at] < 0 or is_nearer:
                self.image[at], self.by[at], self.distance[at] = image, by, distance


def reason_of(names: Sequence[str]) -> str:
    """Return what pairs that are in these sets, all of them, are dropped for."""
    return f"contaminated: {', '.join(names)}"


def find_in_part(job: Job, index: int) -> tuple[int, Counter[str], int]:
    """Write the pairs of a part that are in a set; return how many, by set, and in all."""
    columns = ["pair_id", "image_id", "image_xxh3", "image_hash"]
    columns += ["image"] if "semantic" in job.methods else []
    path = storage.join(job.output, "hits", part_name(index, "parquet"))
    stamp = {"parameters": job.parameters, "source": job.plan.sources[index].as_dict()}
    if storage.exists(path):
        found = artifacts.read_stamp(path)
        if {key: found.get(key) for key in stamp} == stamp and "pairs" in found:
            return index, Counter(found["found"]), int(found["pairs"])
    counts, pairs = Counter[str](), 0
    texts = _Texts(job, index)
    with artifacts.parquet_writer(path, _SCHEMA) as writer:
        for batch in job.plan.batches(index, columns, _ROWS):
            said = texts.take(batch.num_rows)
            hits = _hits(job, batch, said, path)
            is_in = hits.image >= 0
            pairs += int(is_in.any(axis=0).sum())
            for name, num in zip(job.sets.names, is_in.sum(axis=1).tolist(), strict=True):
                counts[name] += num
            writer.write(_table(job, batch, said, hits))
        found_in = {name: num for name, num in sorted(counts.items()) if num}
        writer.close({**stamp, "found": found_in, "pairs": pairs}, "")
    return index, counts, pairs


Said = list[tuple[str | None, str | None]]


class _Texts:
    """Gives text and URL of a part's rows, in their order; none without matches."""

    def __init__(self, job: Job, index: int) -> None:
        self._pending: Said = []
        self._batches = _texts(job.matched, index) if job.matched is not None else None

    def take(self, num: int) -> Said:
        """Return those of the next rows."""
        if self._batches is None:
            return []
        while len(self._pending) < num:
            self._pending += next(self._batches)
        taken, self._pending = self._pending[:num], self._pending[num:]
        return taken


def _texts(matched: MatchedPlan, index: int) -> Iterator[Said]:
    names = ColumnNames(**matched.parameters["columns"])
    path = matched.pairs_path(index)
    with artifacts.open_parquet(path) as file:
        text = text_column(file.schema_arrow, names, path)
        url = find_column(file.schema_arrow, "url", names, path)
        wanted = [text, *([url] if url else [])]
        for batch in file.iter_batches(_ROWS, columns=wanted):
            said = batch.column(text).cast(pa.string()).to_pylist()
            urls = batch.column(url).cast(pa.string()).to_pylist() if url else [None] * len(said)
            yield list(zip(said, urls, strict=True))


def _hits(job: Job, batch: pa.RecordBatch, said: Said, path: str) -> _Hits:
    hits = _Hits.none(job.sets, batch.num_rows)
    if "exact" in job.methods:
        _exact(job.sets, batch, hits)
    if "perceptual" in job.methods:
        _perceptual(job, batch, hits)
    if "semantic" in job.methods and job.sets.vectors is not None:
        _semantic(job, batch, hits, path)
    if "text" in job.methods:
        for row, (text, _) in enumerate(said):
            images = job.sets.texts.get(text_key(comparable_text(text or "")), ())
            hits.note([row] * len(images), images, METHODS.index("text"), [0.0] * len(images))
    return hits


def _exact(sets: SetImages, batch: pa.RecordBatch, hits: _Hits) -> None:
    for row, one in enumerate(batch.column("image_xxh3").to_pylist()):
        images = sets.of_bytes.get(one, ())
        hits.note([row] * len(images), images, METHODS.index("exact"), [0.0] * len(images))


def _perceptual(job: Job, batch: pa.RecordBatch, hits: _Hits) -> None:
    column = batch.column("image_hash")
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    images = np.flatnonzero(job.sets.has_hash)
    if not len(rows) or not len(images):
        return
    given = b"".join(column.take(pa.array(rows)).to_pylist())
    hashes = np.frombuffer(given, np.uint8).reshape(-1, HASH_BYTES)
    bits = min(band_bits(max(len(rows), len(images))), 12)
    for way in range(len(ORIENTATIONS) if job.options.turned else 1):
        probes = turned_hashes(job.sets.hashes[images], way)
        for left, right, differ in near_hashes(
            hashes, probes, job.options.distance, bits, are_same=False
        ):
            order = np.lexsort((right, differ, left))
            distances = differ[order].astype(float)
            by = METHODS.index("perceptual")
            hits.note(rows[left[order]], images[right[order]], by, distances)


def _semantic(job: Job, batch: pa.RecordBatch, hits: _Hits, path: str) -> None:
    assert job.sets.vectors is not None
    vectors, has_one = vectors_of(batch.column("image"), path)
    rows = np.flatnonzero(has_one)
    least = 1.0 - job.options.epsilon
    for first in range(0, len(rows), 1024):
        some = rows[first : first + 1024]
        near = vectors[some].astype(np.float32) @ job.sets.vectors.T
        at, images = np.nonzero(near >= least - _SLACK)
        a, b = vectors[some[at]].astype(np.float64), job.sets.vectors[images].astype(np.float64)
        lengths = np.sqrt(np.einsum("ne,ne->n", a, a) * np.einsum("ne,ne->n", b, b))
        exact = np.einsum("ne,ne->n", a, b) / np.maximum(lengths, 1e-12)
        hit = exact >= least
        hits.note(some[at[hit]], images[hit], METHODS.index("semantic"), 1.0 - exact[hit])


def _table(job: Job, batch: pa.RecordBatch, said: Said, hits: _Hits) -> pa.RecordBatch:
    """Return the rows that were found, one for each set that holds them, with both sides."""
    sets = job.sets
    rows, of = np.nonzero(hits.image.T >= 0)
    images = hits.image[of, rows].tolist()
    own = [said[row] if said else (None, None) for row in rows.tolist()]
    in_sets: dict[int, list[str]] = {}
    for row, one in zip(rows.tolist(), of.tolist(), strict=True):
        in_sets.setdefault(row, []).append(sets.names[one])
    columns = [
        batch.column("pair_id").take(pa.array(rows)), batch.column("image_id").take(pa.array(rows)),
        [url for _, url in own], [text for text, _ in own],
        [reason_of(in_sets[row]) for row in rows.tolist()],
        [METHODS[by] for by in hits.by[of, rows].tolist()],
        hits.distance[of, rows].astype(np.float32), [sets.names[one] for one in of.tolist()],
        [sets.where[image] for image in images], [sets.text[image] for image in images],
    ]  # fmt: skip
    arrays = [pa.array(c, f.type) if not isinstance(c, pa.Array) else c
              for c, f in zip(columns, _SCHEMA, strict=True)]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)
