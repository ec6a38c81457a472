"""Take the rows of retracted pairs out of vectors; all others stay as they were computed.

A part's vectors are then those of the part of the matches that the same pairs were taken out of,
and are noted as such, so that nothing is embedded anew. What a part has borrowed it keeps, also
where the pair is gone that it was borrowed from.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import string_keys
from curate.errors import ArtifactError
from curate.files import storage
from curate.pipelines.duplicates.keys import key_folder
from curate.pipelines.duplicates.shared import Shared, find_shared
from curate.pipelines.embedded.figures import (
    BORROWED,
    PartFigures,
    count_repeated,
    journal_of,
    noted_figures,
    write_summary,
)
from curate.pipelines.embedded.plan import (
    PLAN,
    SUMMARY,
    WORKING,
    EmbeddedPlan,
    Source,
    part_source,
)
from curate.pipelines.executor.lease import driven
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import progress

__all__ = ["current_parts", "purge_embedded"]

# Why rows have no vector, where several reasons were counted and a row does not say its own.
_NOT_KNOWN = "not_known_since_a_retraction"


def current_parts(folder: str, matched: MatchedPlan) -> set[int]:
    """Return which parts of a folder of vectors are of what is matched now."""
    if not storage.exists(storage.join(folder, PLAN)):
        return set()
    plan = EmbeddedPlan.read(folder)
    if plan.parameters["source"] != "matched":
        return set()
    return {
        index for index in range(min(len(plan.sources), len(matched.parts)))
        if plan.sources[index] == _now(matched, index)
    }  # fmt: skip


def _now(matched: MatchedPlan, index: int) -> Source:
    return part_source(matched.pairs_path(index), part_name(index, "parquet"))


@driven("retract")
def purge_embedded(
    *, output: str, tombstones: Tombstones, matched: MatchedPlan, current: Collection[int],
    quiet: bool = False,
) -> int:  # fmt: skip
    """Rewrite the parts that hold retracted pairs.

    Args:
        output: folder that `embed` wrote.
        tombstones: what is retracted.
        matched: the matches without it.
        current: parts that were of these matches before it was taken out.
        quiet: no progress.

    Returns:
        How many rows were taken out.
    """
    plan = EmbeddedPlan.read(output)
    parameters = artifacts.digest(plan.parameters)
    was_whole = storage.exists(storage.join(output, SUMMARY))
    before = plan.digest()
    _purge_working(output, tombstones)
    num = 0
    shown = progress(
        range(len(plan.sources)), total=len(plan.sources), label="vectors", unit="part", quiet=quiet
    )
    with ExitStack() as stack:
        borrowed = _Borrowed(plan, tombstones, stack)
        for index in shown:
            if not storage.exists(path := plan.path(index)):
                continue
            stamp = artifacts.read_stamp(path)
            if stamp.get("parameters") != parameters:
                raise ArtifactError(f"{path} was made with another model than {output}/{PLAN} says")
            now = _now(matched, index) if index in current else None
            gone, left = _rows(path, tombstones)
            source = Source(**stamp["source"])
            if now is not None and source != now:
                source = now if _ids_of(matched.pairs_path(index)).equals(left) else source
            if gone.any() or source.as_dict() != stamp["source"]:
                figures = PartFigures.from_dict(stamp["summary"])
                keys = borrowed.keys(index) if BORROWED in figures.counts else None
                _rewrite(path, gone, source, parameters, figures, keys)
                num += int(gone.sum())
            plan.sources[index] = source
    if num or plan.digest() != before:
        plan.write()
    _note_again(plan, was_whole=was_whole)
    return num


def _purge_working(output: str, tombstones: Tombstones) -> None:
    """Remove what a run that was killed had made of retracted pairs, and what it can find again."""
    folder = storage.join(output, WORKING)
    # `shares.json` goes before the folders that it speaks of.
    for path in sorted(storage.list_files(folder, ""), key=lambda path: not path.endswith(".json")):
        if path.rstrip("/").rpartition("/")[2] != "owned":
            storage.remove(path)
    for path in storage.list_files(storage.join(folder, "owned"), ".parquet"):
        if _rows(path, tombstones)[0].any():
            storage.remove(path)


class _Borrowed:
    """Finds the images of a part that an earlier one has, once there is a part that has such.

    Parts count as they are without what is retracted, whether that is taken out yet or not.

    Args:
        plan: of the vectors.
        tombstones: what is retracted.
        stack: at its end the folder goes in which keys are compared.
    """

    def __init__(self, plan: EmbeddedPlan, tombstones: Tombstones, stack: ExitStack) -> None:
        self._plan, self._tombstones, self._stack = plan, tombstones, stack
        self._there: list[int] = []
        self._found: Shared | None = None

    def keys(self, index: int) -> NDArray[np.uint64]:
        """Return the keys of the images that a part has borrowed."""
        if self._found is None:
            parts = range(len(self._plan.sources))
            self._there = [i for i in parts if storage.exists(self._plan.path(i))]
            folder = self._stack.enter_context(key_folder(storage.join(self._plan.folder, WORKING)))
            paths = [self._plan.path(i) for i in self._there]
            self._found = find_shared(paths, folder, self._image_keys, range(len(paths)))
        shares = self._found.of(self._there.index(index))
        keys: NDArray[np.uint64] = shares["high"][~shares["lends"]]
        return keys

    def _image_keys(self, file: pq.ParquetFile) -> Iterator[NDArray[np.void]]:
        for batch in file.iter_batches(1 << 16, columns=["pair_id", "image_id"]):
            gone = self._tombstones.hits_by_id(pa.Table.from_batches([batch]))
            yield string_keys(batch.column("image_id").filter(pa.array(~gone)).drop_null())


def _note_again(plan: EmbeddedPlan, *, was_whole: bool) -> None:
    """Note the parts as they are now, and that all are there, if they were before."""
    if was_whole:
        storage.remove(storage.join(plan.folder, WORKING))
    journal = journal_of(plan, len(plan.sources))
    journal.complete(lambda index: noted_figures(plan, index))
    if not was_whole or journal.missing():
        journal.flush()
        return
    total = PartFigures()
    for _, noted in journal.summaries():
        total += PartFigures.from_dict(noted)
    journal.close()
    write_summary(plan, total, count_repeated(plan, workers=1, quiet=True))


def _rows(path: str, tombstones: Tombstones) -> tuple[NDArray[np.bool_], pa.Array]:
    """Return which rows of a part are retracted, and the ids of the others."""
    table = artifacts.read_table(path, ["pair_id", "image_id"])
    gone = tombstones.hits_by_id(table)
    return gone, table.column("pair_id").combine_chunks().filter(pa.array(~gone))


def _ids_of(path: str) -> pa.Array:
    return artifacts.read_table(path, ["pair_id"]).column("pair_id").combine_chunks()


def _rewrite(
    path: str, gone: NDArray[np.bool_], source: Source, parameters: str, figures: PartFigures,
    borrowed: NDArray[np.uint64] | None,
) -> None:  # fmt: skip
    left = Counter[str]()
    with artifacts.open_parquet(path) as file:
        schema = file.schema_arrow.remove_metadata()
        images = set[str]()
        with artifacts.parquet_writer(path, schema) as writer:
            for batch in _left(file.iter_batches(1 << 13), gone):
                writer.write(batch)
                left["pairs"] += batch.num_rows
                if "width" in schema.names:
                    names = batch.column("image_id")
                    images.update(names.drop_null().to_pylist())
                    left["images"] += names.null_count
                for kind in ("image", "text"):
                    if kind in schema.names:
                        left[f"{kind}_vectors"] += len(batch) - batch.column(kind).null_count
                if "width" in schema.names and "image" not in schema.names:
                    left["unusable"] += batch.column("width").null_count
            if borrowed is not None:
                keys = string_keys(artifacts.strings(images))["high"]
                left[BORROWED] = int(np.isin(keys, borrowed).sum())
            _recount(figures, left, len(images) - left[BORROWED])
            writer.close(
                {"parameters": parameters, "source": source.as_dict(),
                 "summary": figures.as_dict()}, "",
            )  # fmt: skip


def _left(batches: Iterator[pa.RecordBatch], gone: NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    first = 0
    for batch in batches:
        yield batch.filter(pa.array(~gone[first : first + batch.num_rows]))
        first += batch.num_rows


def _recount(figures: PartFigures, left: Counter[str], images: int) -> None:
    """Have the figures be those of the rows that are left."""
    pairs = left["pairs"]
    for name in ("pairs", BORROWED, "image_vectors", "text_vectors"):
        if name in figures.counts:
            figures.counts[name] = left[name]
    figures.counts["images"] = left["images"] + images
    without = {"without_image": "image_vectors", "without_text": "text_vectors"}
    for name, vectors in without.items():
        reasons: Counter[str] = getattr(figures, name)
        now = pairs - left[vectors] if vectors in figures.counts else left["unusable"]
        if reasons.total() != now:
            there = [reason for reason, num in reasons.items() if num]
            reason = there[0] if len(there) == 1 else _NOT_KNOWN
            setattr(figures, name, Counter({reason: now} if now else {}))
