"""Counts out of matched pairs: how many pairs of each language match each entry.

Counts are derived from the pairs alone, one pass over two columns, so that they cannot disagree
with them, whatever was killed, added or taken away.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.sampling_kernels import add_counts
from metadata.errors import ArtifactError
from pipelines import artifacts
from pipelines.metadata_store import MetadataStore
from pipelines.progress import progress

__all__ = ["count_parts", "split_by_language"]


def split_by_language(batch: pa.RecordBatch) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each language of a batch of pairs and the positions of its pairs."""
    lang = batch.column("lang")
    codes = lang.indices.to_numpy()
    for code, name in enumerate(lang.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        if len(rows):
            yield name, rows


def count_parts(
    paths: list[str], store: MetadataStore, *, quiet: bool = True
) -> dict[str, NDArray[np.int64]]:
    """Count the pairs of each entry over all parts.

    Returns:
        Per language of the metadata: the counts, shape (num_entries,), zeros included.
    """
    counts = {lang: np.zeros(store.num_entries(lang), np.int64) for lang in store.hashes}
    for path in progress(paths, total=len(paths), label="count", unit="part", quiet=quiet):
        with artifacts.open_parquet(path) as file:
            for batch in file.iter_batches(columns=["lang", "entry_ids"]):
                _add_batch(batch, counts, path)
    return counts


def _add_batch(batch: pa.RecordBatch, counts: dict[str, NDArray[np.int64]], path: str) -> None:
    entry_ids = batch.column("entry_ids")
    offsets = entry_ids.offsets.to_numpy().astype(np.int64)
    values = entry_ids.values.to_numpy(zero_copy_only=False).astype(np.uint32, copy=False)
    for lang, rows in split_by_language(batch):
        if not add_counts(offsets, values, rows, counts[lang]):
            raise ArtifactError(
                f"{path}: entry ids of {lang} go beyond its {len(counts[lang])} entries. "
                "Run `curate match` again with --overwrite."
            )
