"""Vectors by the ids of their pairs: a folder of `embed` in, files that are mapped out of them.

Pairs are found by the hash of their ids, in arrays that are written once into a cache of this
machine and mapped by all of its processes: 16 bytes a pair, and the vectors as they are stored.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.errors import ArtifactError, InputError
from curate.files.processes import locked
from curate.files.remedies import suggest
from curate.files.sizes import several
from curate.pipelines.embedded.plan import EMBEDDING_COLUMNS, EmbeddedPlan, known_crops, vectors_of
from curate.pipelines.views.progress import log, progress

__all__ = ["StoredVectors"]

_KEYS, _ROWS = "keys.npy", "rows.npy"

Vectors = NDArray[np.float32]


class StoredVectors:
    """The vectors of images and texts that one model has made, by pair.

    Args:
        folder: that `embed` wrote, to its end.
        cache: folder on a disk of this machine.
        quiet: no progress while the files are made.

    Attributes:
        plan: of the folder.
        width: of the vectors.
        crops: cuts that the vectors of images are of; None: of their middles.

    Raises:
        ArtifactError: embedding has not come to its end, or image and text have two models.
    """

    def __init__(self, folder: str, cache: str, *, quiet: bool = True) -> None:
        self.plan = EmbeddedPlan.read(folder)
        self.plan.whole_summary()
        image, text = (self.plan.model_of(name) for name in EMBEDDING_COLUMNS)
        if image["sha256"] != text["sha256"]:
            raise ArtifactError(
                f"{folder}: images and texts have vectors of two models, which say nothing of each "
                f"other. Run `{suggest('embed')}` with one model for both."
            )
        self.width = int(image["width"])
        self.crops = known_crops(self.plan.parameters)
        self._columns = ("crops" if self.crops else "image", "text")
        self._place = Path(cache) / f"vectors-{self.plan.digest()[:16]}"
        self._make(quiet)
        self._keys, self._rows, self._image, self._text = (
            np.load(self._place / name, mmap_mode="r")
            for name in (_KEYS, _ROWS, *(f"{column}.npy" for column in self._columns))
        )

    def find(self, pair_ids: Sequence[str], crops: Sequence[int] = ()) -> tuple[Vectors, Vectors]:
        """Return the vectors of the images and of the texts of pairs; shape (N, E) each.

        Args:
            pair_ids: shape (N,).
            crops: of each image, the number of the cut, if there are several; shape (N,).

        Raises:
            InputError: a pair has none.
        """
        keys = _keys_of(pair_ids)
        at = np.minimum(np.searchsorted(self._keys, keys), max(0, len(self._keys) - 1))
        is_there = self._keys[at] == keys if len(self._keys) else np.zeros(len(keys), bool)
        if not is_there.all():
            lacking = pair_ids[int(np.flatnonzero(~is_there)[0])]
            raise InputError(
                f"{self.plan.folder}: pair {lacking} has no vectors of image and text. Embed the "
                f"pairs that are trained on: `{suggest('embed')}` with --shards."
            )
        rows = self._rows[at]
        image = self._image[rows]
        if self.crops is not None:
            image = image.reshape(len(rows), self.crops.num, self.width)
            image = image[np.arange(len(rows)), np.asarray(crops)]
        return image.astype(np.float32), self._text[rows].astype(np.float32)

    def _make(self, quiet: bool) -> None:
        """Write the files if no process of this machine has."""
        with locked(self._place.with_name(f"{self._place.name}.lock")):
            if self._place.exists():
                return
            unfinished = self._place.with_name(f"{self._place.name}.tmp")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            self._write(unfinished, quiet)
            unfinished.replace(self._place)

    def _write(self, folder: Path, quiet: bool) -> None:
        keys: list[NDArray[np.uint64]] = []
        files = {name: (folder / f"{name}.raw").open("wb") for name in self._columns}
        parts = range(len(self.plan.sources))
        for part in progress(parts, total=len(parts), label="vectors", unit="part", quiet=quiet):
            for batch in self.plan.batches(part, ["pair_id", *self._columns]):
                keys.append(self._add(batch, self.plan.path(part), files))
        for file in files.values():
            file.close()
        every = np.concatenate(keys) if keys else np.empty(0, np.uint64)
        sorted_keys, rows = np.unique(every, return_index=True)  # of a pair twice, the first
        if twice := len(every) - len(sorted_keys):
            log(
                f"{self.plan.folder}: of {several(twice, 'pair')} the id has stood before; the "
                "vectors of the first pair of an id are those of all",
                quiet=quiet,
            )
        np.save(folder / _KEYS, sorted_keys)
        np.save(folder / _ROWS, rows.astype(np.int64))
        for name in self._columns:
            raw = folder / f"{name}.raw"
            of_all = self.width * (self.crops.num if self.crops and name == "crops" else 1)
            _as_npy(raw, folder / f"{name}.npy", (len(every), of_all))
            raw.unlink()

    def _add(
        self, batch: pa.RecordBatch, path: str, files: Mapping[str, IO[bytes]]
    ) -> NDArray[np.uint64]:
        """Append the vectors of pairs that have both; return the hashes of their ids."""
        found = {name: vectors_of(batch.column(name), path) for name in self._columns}
        has_both = np.logical_and(*(is_there for _, is_there in found.values()))
        for name, (vectors, _) in found.items():
            files[name].write(np.ascontiguousarray(vectors[has_both]).data)
        ids = batch.column("pair_id").filter(pa.array(has_both))
        return _keys_of(ids.to_pylist())


def _keys_of(pair_ids: Sequence[str]) -> NDArray[np.uint64]:
    return np.array([xxhash.xxh3_64_intdigest(one.encode()) for one in pair_ids], np.uint64)


def _as_npy(raw: Path, path: Path, shape: tuple[int, int]) -> None:
    """Put the head of an array before bytes that are one."""
    with path.open("wb") as file, raw.open("rb") as content:
        head = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
