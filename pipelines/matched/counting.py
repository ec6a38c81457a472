"""Counts out of matched pairs: how many pairs of each language match each entry.

Counts are derived from the pairs alone, one pass over two columns, so that they cannot disagree
with them, whatever was killed, added or taken away. Many parts are counted as a tree: groups of
parts become files of counts, groups of those become fewer, until few enough are left to add up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.kernels import add_counts
from curate.errors import ArtifactError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore
from curate.pipelines.views.progress import progress

__all__ = ["COUNTING", "count_parts", "split_by_language"]

COUNTING = "counting"
FAN_IN = 64

Counts = dict[str, NDArray[np.int64]]
Left = Callable[[pa.RecordBatch], pa.RecordBatch]

_SCHEMA = pa.schema(
    {"lang": pa.dictionary(pa.int32(), pa.string()), "entry_id": pa.uint32(), "count": pa.uint64()}
)


def split_by_language(batch: pa.RecordBatch) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each language of a batch of pairs and the positions of its pairs."""
    lang = batch.column("lang")
    codes = lang.indices.to_numpy()
    for code, name in enumerate(lang.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        if len(rows):
            yield name, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every task of counting has to know; `plan` is a hash of what is counted."""

    store: MetadataStore
    plan: str
    left: Left | None


@dataclass(frozen=True, slots=True)
class _Group:
    """Some of the files of a level, parts of pairs if it is the first, and the file they become."""

    sources: tuple[str, ...]
    is_first: bool
    target: str


def count_parts(
    paths: list[str],
    store: MetadataStore,
    *,
    folder: str,
    plan: str,
    left: Left | None = None,
    workers: int = 1,
    quiet: bool = True,
) -> Counts:
    """Count the pairs of each entry over all parts.

    Args:
        paths: of the parts.
        store: of the languages that are counted.
        folder: the folder of the parts; for files in between, which are removed.
        plan: a hash of what is counted; what an earlier run counted of the same is used.
        left: returns the pairs of a batch that count; None if all do.
        workers: as for `run_parts`.
        quiet: no progress.

    Returns:
        Per language of the metadata: the counts, shape (num_entries,), zeros included.
    """
    scratch = storage.join(folder, COUNTING)
    job = _Job(store=store, plan=plan, left=left)
    is_first, level = True, 0
    while len(paths) > FAN_IN:
        groups = [
            _Group(tuple(paths[at : at + FAN_IN]), is_first,
                   storage.join(scratch, f"{level}-{at // FAN_IN:05d}.parquet"))
            for at in range(0, len(paths), FAN_IN)
        ]  # fmt: skip
        results = run_parts(
            _count_group, groups, workers=workers, setup=lambda: job, arguments=(), threads=True,
            anywhere=True,
        )  # fmt: skip
        label = "count" if is_first else "add up counts"
        for _ in progress(results, total=len(groups), label=label, unit="group", quiet=quiet):
            pass
        paths, is_first, level = [group.target for group in groups], False, level + 1
    counts = {lang: np.zeros(store.num_entries(lang), np.int64) for lang in store.hashes}
    for path in progress(paths, total=len(paths), label="count", unit="file", quiet=quiet):
        _add_file(path, counts, store, is_pairs=is_first, left=left)
    storage.remove(scratch)
    return counts


def _count_group(job: _Job, group: _Group) -> str:
    """Count the files of a group and publish the counts that are not zero."""
    stamp = {"plan": job.plan, "sources": [path.rsplit("/", 1)[-1] for path in group.sources]}
    if storage.exists(group.target) and artifacts.read_stamp(group.target) == stamp:
        return group.target
    counts: Counts = {}
    for path in group.sources:
        _add_file(path, counts, job.store, is_pairs=group.is_first, left=job.left)
    with artifacts.parquet_writer(group.target, _SCHEMA) as writer:
        for lang, count in sorted(counts.items()):
            ids = np.flatnonzero(count)
            langs = pa.DictionaryArray.from_arrays(np.zeros(len(ids), np.int32), [lang])
            columns = [langs, ids.astype(np.uint32), count[ids].astype(np.uint64)]
            writer.write(pa.record_batch([pa.array(c) for c in columns], schema=_SCHEMA))
        writer.close(stamp, "")
    return group.target


def _add_file(
    path: str, counts: Counts, store: MetadataStore, *, is_pairs: bool, left: Left | None
) -> None:
    with artifacts.open_parquet(path) as file:
        columns = None
        if is_pairs:
            columns = [*(["pair_id"] if left else []), "lang", "entry_ids"]
        for batch in file.iter_batches(columns=columns):
            if is_pairs and left is not None:
                batch = left(batch)
            for lang, rows in split_by_language(batch):
                if lang not in counts:
                    counts[lang] = np.zeros(store.num_entries(lang), np.int64)
                if is_pairs:
                    _add_pairs(batch, lang, rows, counts[lang], path)
                else:
                    ids = batch.column("entry_id").to_numpy()[rows]  # each once in a file
                    counts[lang][ids] += batch.column("count").to_numpy()[rows].astype(np.int64)


def _add_pairs(
    batch: pa.RecordBatch,
    lang: str,
    rows: NDArray[np.int64],
    count: NDArray[np.int64],
    path: str,
) -> None:
    entry_ids = batch.column("entry_ids")
    offsets = entry_ids.offsets.to_numpy().astype(np.int64)
    values = entry_ids.values.to_numpy(zero_copy_only=False).astype(np.uint32, copy=False)
    if not add_counts(offsets, values, rows, count):
        raise ArtifactError(
            f"{path}: entry ids of {lang} go beyond its {len(count)} entries. "
            f"Run `{suggest('match')}` again with --overwrite."
        )
