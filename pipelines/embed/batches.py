"""The batches of a part: a chunk's images and texts in, their vectors and fingerprints out.

A batch is a function of the parts alone, and is computed by one thread from its bytes to its
vectors (on a GPU: to its pixels), so that neither the number of threads nor that of workers has a
part in the result. An image that several rows of a part share is looked at once; of rows whose
image cannot be used each is asked for its own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.pipelines.embed.models import Encoders
from curate.pipelines.embed.rows import Chunk
from curate.pipelines.embed.worker import EmbedWorker
from curate.pipelines.embedded.figures import PartFigures
from curate.training.embedding.images import SeenImage, see_image

__all__ = ["Batches"]

Vector = NDArray[np.float16]
Rows = NDArray[np.bool_]


class Batches:
    """A part being embedded: what is known of images that come again, and figures.

    Args:
        worker: has the models, and threads.
        repeated: ids of images that stand in more than one row of the part.
    """

    def __init__(self, worker: EmbedWorker, repeated: set[str]) -> None:
        self.figures = PartFigures()
        self.figures.counts["images"] += 0
        self._worker = worker
        self._encoders: Encoders = worker.encoders
        self._repeated = repeated
        self._known: dict[str, tuple[SeenImage, Vector | None]] = {}

    def images(self, chunk: Chunk, left_out: Rows | None = None) -> dict[str, pa.Array]:
        """Look at the images of a chunk, each once.

        Args:
            chunk: of the part; chunks come in their order.
            left_out: rows whose image is not looked at; shape (N,).

        Returns:
            The columns of images, null where they are left out; shape (N,) each.
        """
        names = chunk.image_ids.to_pylist()
        rows: Sequence[int] = range(len(names))
        if left_out is not None:
            rows = np.flatnonzero(~left_out).tolist()
        new = self._to_look_at(rows, names)
        # Pairs of one image have cuts of their own.
        has_cuts = bool(self._worker.job.crops)
        seen: dict[int, tuple[SeenImage, Vector | None]] = {}
        self._look(chunk, rows if has_cuts else new, names, seen)
        # Where the first row of an image has none that can be used, the others' may be.
        lost = [row for row in rows if row not in seen and names[row] not in self._known]
        self._look(chunk, lost, names, seen)
        self.figures.counts["images"] += len(new) + len(lost)
        all_rows: list[tuple[SeenImage, Vector | None]] = [(SeenImage(), None)] * len(names)
        for row in rows:
            is_own = row in seen and (has_cuts or names[row] not in self._known)
            all_rows[row] = seen[row] if is_own else self._known[names[row]]
        return self._image_columns(
            [one for one, _ in all_rows], [v for _, v in all_rows], len(names) - len(rows)
        )

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

    def _to_look_at(self, rows: Sequence[int], names: Sequence[str | None]) -> list[int]:
        new, here = [], set[str]()
        for row in rows:
            name = names[row]
            if name is not None and (name in self._known or name in here):
                continue
            new.append(row)
            if name is not None and name in self._repeated:
                here.add(name)
        return new

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
        self, seen: Sequence[SeenImage], vectors: Sequence[Vector | None], left_out: int
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
            reasons += Counter(no_vector=without - left_out - reasons.total())
        self.figures.without_image += reasons
        return columns

    def texts(self, texts: Sequence[str | None]) -> pa.Array:
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
