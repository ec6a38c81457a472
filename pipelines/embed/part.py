"""Embed one part: its images and texts in batches, on threads, and the rows in their order.

A batch is a function of the part alone, and is computed by one thread from its bytes to its
vectors (on a GPU: to its pixels), so that neither the number of threads nor that of workers has a
part in the result. An image that several rows of a part share is looked at once; of rows whose
image cannot be used each is asked for its own.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import CurateError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.pipelines.embed.models import Encoders, ModelSpec, load_encoders
from curate.pipelines.embed.rows import Chunk, MatchedRows, ShardRows, repeated_ids
from curate.pipelines.embedded.figures import PartFigures
from curate.pipelines.embedded.plan import Source, embedding_schema
from curate.pipelines.executor.overlap import ahead
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.data.batch import KnownCrops
from curate.training.embedding.images import SeenImage, see_image

__all__ = ["EmbedJob", "EmbedWorker", "embed_part"]

Result = TypeVar("Result")
Vector = NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedJob:
    """What every worker of a run has to know; picklable."""

    output: str
    parameters: str
    rows: MatchedRows | ShardRows
    models: ModelSpec
    columns: dict[str, dict[str, Any]]
    batch_size: int
    decoder: str
    threads: int
    crops: KnownCrops | None = None

    @property
    def views(self) -> int:
        """Of an image, how many a model sees: its middle, and the cuts."""
        return 1 + (self.crops.num if self.crops else 0)


class EmbedWorker:
    """What the parts of a worker share: the models, and threads."""

    def __init__(self, job: EmbedJob) -> None:
        self.job = job
        self.encoders = load_encoders(job.models)
        self.encoders.require(job.columns)
        self.pool = ThreadPoolExecutor(job.threads, initializer=_one_thread)

    def in_order(self, calls: Iterator[Callable[[], Result]]) -> Iterator[Result]:
        """Yield what calls return, in their order; a few are under way at once."""
        running: deque[Future[Result]] = deque()
        try:
            for call in calls:
                running.append(self.pool.submit(call))
                if len(running) > 2 * self.job.threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _one_thread() -> None:
    """Have PyTorch compute in the thread that asks: batches are what is shared out."""
    from importlib.util import find_spec

    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


def embed_part(worker: EmbedWorker, task: tuple[int, Source]) -> tuple[int, int, PartFigures]:
    """Embed a part and publish its rows.

    Returns:
        Its number, the size of its file in bytes, and its figures, which stand in its stamp too.

    Raises:
        CurateError: memory or the disk ran out.
    """
    index, source = task
    path = storage.join(worker.job.output, "pairs", part_name(index, "parquet"))
    try:
        with told_when_full(worker.job.output):
            figures = _done_before(worker.job, path, source) or _embed(worker, index, source, path)
        return index, storage.size_and_time(path)[0], figures
    except (pa.ArrowException, MemoryError, OSError) as error:
        raise CurateError(
            f"{source.name}: {type(error).__name__}: {error}. What is done is kept; run the same "
            "command again once this is mended."
        ) from error


def _made_from(job: EmbedJob, source: Source) -> dict[str, Any]:
    return {"parameters": job.parameters, "source": source.as_dict()}


def _done_before(job: EmbedJob, path: str, source: Source) -> PartFigures | None:
    if not storage.exists(path):
        return None
    stamp = artifacts.read_stamp(path)
    made_from = _made_from(job, source)
    if {key: stamp.get(key) for key in made_from} != made_from:
        return None
    return PartFigures.from_dict(stamp["summary"])


def _embed(worker: EmbedWorker, index: int, source: Source, path: str) -> PartFigures:
    job = worker.job
    part = _Part(worker, repeated_ids(job.rows.image_ids(index)))
    with_images = job.models.wants_images
    widths = worker.encoders.widths
    schema = embedding_schema(widths, with_images=with_images, crops=job.views - 1)
    chunks = ahead(job.rows.chunks(index, with_texts=worker.encoders.text is not None), 1)
    with artifacts.parquet_writer(path, schema) as writer:
        for chunk in chunks:
            writer.write(part.rows_of(chunk, schema))
        figures = part.figures
        figures.counts["images"] += 0
        stamp = {**_made_from(job, source), "summary": figures.as_dict()}
        writer.close(stamp, "")
    return figures


class _Part:
    """A part being embedded: what is known of images that come again, and figures."""

    def __init__(self, worker: EmbedWorker, repeated: set[str]) -> None:
        self.figures = PartFigures()
        self._worker = worker
        self._encoders: Encoders = worker.encoders
        self._repeated = repeated
        self._known: dict[str, tuple[SeenImage, Vector | None]] = {}

    def rows_of(self, chunk: Chunk, schema: pa.Schema) -> pa.RecordBatch:
        """Return the rows of a chunk."""
        columns: dict[str, pa.Array] = {
            "pair_id": chunk.pair_ids,
            "image_id": chunk.image_ids,
            "lang": chunk.langs.dictionary_encode(),
        }
        self.figures.counts["pairs"] += len(chunk.pair_ids)
        if self._worker.job.models.wants_images:
            columns |= self._images(chunk)
        if self._encoders.text is not None:
            columns["text"] = self._texts(chunk.texts)
        return pa.record_batch([columns[f.name].cast(f.type) for f in schema], schema=schema)

    def _images(self, chunk: Chunk) -> dict[str, pa.Array]:
        """Look at the images of a chunk, each once; return their columns."""
        num = len(chunk.pair_ids)
        names = chunk.image_ids.to_pylist()
        new = self._to_look_at(names)
        # Pairs of one image have cuts of their own.
        has_cuts = bool(self._worker.job.crops)
        seen: dict[int, tuple[SeenImage, Vector | None]] = {}
        self._look(chunk, range(num) if has_cuts else new, names, seen)
        # Where the first row of an image has none that can be used, the others' may be.
        lost = [row for row in range(num) if row not in seen and names[row] not in self._known]
        self._look(chunk, lost, names, seen)
        self.figures.counts["images"] += len(new) + len(lost)
        all_rows = [
            seen[row]
            if row in seen and (has_cuts or not (seen[row][0].reason and name in self._known))
            else self._known[name]
            for row, name in enumerate(names)
        ]  # fmt: skip
        return self._image_columns([one for one, _ in all_rows], [v for _, v in all_rows])

    def _look(
        self, chunk: Chunk, wanted: Sequence[int], names: Sequence[str | None],
        seen: dict[int, tuple[SeenImage, Vector | None]],
    ) -> None:  # fmt: skip
        """Look at the images of some rows; remember those that come again and can be used."""
        for rows, found, vectors in self._looked_at(chunk, wanted):
            places = iter(vectors if vectors is not None else ())
            for row, one in zip(rows, found, strict=True):
                vector = next(places) if vectors is not None and not one.reason else None
                seen[row] = (one, vector)
                name = names[row]
                if name in self._repeated and not one.reason:
                    self._known.setdefault(name, seen[row])

    def _to_look_at(self, names: Sequence[str | None]) -> list[int]:
        rows, here = [], set[str]()
        for row, name in enumerate(names):
            if name is not None and (name in self._known or name in here):
                continue
            rows.append(row)
            if name is not None and name in self._repeated:
                here.add(name)
        return rows

    def _looked_at(
        self, chunk: Chunk, wanted: Sequence[int]
    ) -> Iterator[tuple[Sequence[int], list[SeenImage], Vector | None]]:
        """Yield rows, what is known of their images, and the vectors of those that are usable."""
        job = self._worker.job
        size = max(1, job.batch_size // job.views)
        batches = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        ids = chunk.pair_ids.to_pylist() if job.crops else None
        calls = (
            _Look(
                self._worker, [chunk.image(row) for row in rows], [ids[row] for row in rows if ids]
            )
            for rows in batches
        )
        for rows, (found, pixels, vectors) in zip(
            batches, self._worker.in_order(calls), strict=True
        ):
            if pixels is not None and self._encoders.image is not None:
                vectors = _encoded(self._encoders.image, pixels)
            if vectors is not None:
                vectors = vectors.reshape(-1, job.views, vectors.shape[-1])
            yield rows, found, vectors

    def _image_columns(
        self, seen: Sequence[SeenImage], vectors: Sequence[Vector | None]
    ) -> dict[str, pa.Array]:
        columns = {
            "image_xxh3": pa.array([one.exact for one in seen], pa.binary(16)),
            "image_hash": pa.array([one.perceptual for one in seen], pa.binary(32)),
            "width": pa.array([one.width or None for one in seen], pa.uint32()),
            "height": pa.array([one.height or None for one in seen], pa.uint32()),
        }
        reasons = Counter(one.reason for one in seen if one.reason)
        if "image" in self._encoders.widths:
            width, views = self._encoders.widths["image"], self._worker.job.views
            middles = [None if one is None else one[0] for one in vectors]
            columns["image"], without = _vector_column(middles, width)
            if views > 1:
                cuts = [None if one is None else one[1:].reshape(-1) for one in vectors]
                columns["crops"], _ = _vector_column(cuts, (views - 1) * width)
            self.figures.counts["image_vectors"] += len(seen) - without
            reasons += Counter(no_vector=without - reasons.total())
        self.figures.without_image += reasons
        return columns

    def _texts(self, texts: Sequence[str | None]) -> pa.Array:
        """Return the vectors of texts; those of like length are computed together."""
        encoder = self._encoders.text
        assert encoder is not None
        rows = np.array([i for i, text in enumerate(texts) if text and text.strip()], np.int64)
        vectors: list[Vector | None] = [None] * len(texts)
        size = self._worker.job.batch_size
        if len(rows):
            prepared, lengths = encoder.prepare([texts[row] or "" for row in rows])
            order = np.argsort(lengths, kind="stable")
            batches = [order[at : at + size] for at in range(0, len(order), size)]
            calls = (_Encode(encoder, prepared[at]) for at in batches)
            for at, found in zip(batches, self._worker.in_order(calls), strict=True):
                for row, vector in zip(rows[at].tolist(), found, strict=True):
                    vectors[row] = vector
        column, without = _vector_column(vectors, encoder.width)
        blank = len(texts) - len(rows)
        self.figures.without_text += Counter(no_text=blank, no_vector=without - blank)
        self.figures.counts["text_vectors"] += len(texts) - without
        return column


@dataclass(frozen=True, slots=True)
class _Look:
    """Decodes a batch of images, and on a CPU computes their vectors."""

    worker: EmbedWorker
    encoded: list[bytes | None]
    pair_ids: list[str]

    def __call__(
        self,
    ) -> tuple[list[SeenImage], NDArray[np.uint8] | None, Vector | None]:
        encoder, job = self.worker.encoders.image, self.worker.job
        if encoder is None:
            return [see_image(one, job.decoder, None) for one in self.encoded], None, None
        side, crops = encoder.image_size, job.crops
        pixels = np.empty((len(self.encoded), job.views, 3, side, side), np.uint8)
        if crops is None:
            seen = [see_image(one, job.decoder, out[0])
                    for one, out in zip(self.encoded, pixels, strict=True)]  # fmt: skip
        else:
            seen = [
                see_image(one, job.decoder, out, [crops.key(name, k) for k in range(crops.num)])
                for one, out, name in zip(self.encoded, pixels, self.pair_ids, strict=True)
            ]
        usable = pixels[[not one.reason for one in seen]].reshape(-1, 3, side, side)
        if encoder.is_on_gpu:
            return seen, usable, None
        return seen, None, _encoded(encoder, usable)


@dataclass(frozen=True, slots=True)
class _Encode:
    """Computes the vectors of a batch of texts."""

    encoder: Any
    prepared: Any

    def __call__(self) -> Vector:
        from curate.training.embedding.encoders import unit_vectors

        return unit_vectors(self.encoder.encode(self.prepared), "texts")


def _encoded(encoder: Any, pixels: NDArray[np.uint8]) -> Vector:
    from curate.training.embedding.encoders import unit_vectors

    if not len(pixels):
        return np.zeros((0, encoder.width), np.float16)
    return unit_vectors(encoder.encode(pixels), "images")


def _vector_column(vectors: Sequence[Vector | None], width: int) -> tuple[pa.Array, int]:
    """Return vectors as a column, null where there is none or one of no length; and how many."""
    is_there = np.array([one is not None and bool(one.any()) for one in vectors], bool)
    values = np.zeros((len(vectors), width), np.float16)
    for row in np.flatnonzero(is_there).tolist():
        values[row] = vectors[row]
    column = pa.FixedSizeListArray.from_arrays(
        pa.array(values.reshape(-1)), width, mask=pa.array(~is_there)
    )
    return column, int((~is_there).sum())
