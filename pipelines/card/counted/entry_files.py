"""Counts and kept pairs of all entries in, `entries.parquet` and `entries.csv` out."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from curate.curation.sampling.sampling import sampling_probability
from curate.files import storage
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import combined_hash

__all__ = ["ENTRY_FILES", "write_entries"]

ENTRY_FILES = ("entries.parquet", "entries.csv")
_ROWS = 1 << 18
_SCHEMA = pa.schema([
    ("lang", pa.string()), ("entry_id", pa.uint32()), ("entry", pa.string()),
    ("count", pa.uint64()), ("slots", pa.uint64()), ("probability", pa.float64()),
    ("kept", pa.uint64()),
])  # fmt: skip


def write_entries(
    plan: MatchedPlan,
    t_of: Mapping[str, int | None],
    kept_count: Mapping[str, NDArray[np.int64]],
    balanced: str,
    output: str,
) -> None:
    """Write every entry with its pairs before and after balancing, language by language.

    The columns are lang, entry_id, entry, count (pairs matched), slots (min(count, t)),
    probability, and kept (kept pairs that match). In the CSV strings stand in quotes as they are.

    Args:
        plan: of `matched/`.
        t_of: threshold per language.
        kept_count: kept pairs of each entry; per language, shape (num_entries,).
        balanced: hash of the parameters that the set was balanced with.
        output: folder.
    """
    table_path, csv_path = (storage.join(output, name) for name in ENTRY_FILES)
    with (
        artifacts.parquet_writer(table_path, _SCHEMA) as writer,
        storage.publish(csv_path) as file,
        pa_csv.CSVWriter(pa.PythonFile(file, mode="w"), _SCHEMA) as lines,
    ):
        for batch in _batches(plan, t_of, kept_count):
            writer.write(batch)
            lines.write_batch(batch)
        writer.close({"parameters": balanced}, combined_hash(plan.parameters["metadata"]))


def _batches(
    plan: MatchedPlan,
    t_of: Mapping[str, int | None],
    kept_count: Mapping[str, NDArray[np.int64]],
) -> Iterator[pa.RecordBatch]:
    for lang, kept in kept_count.items():
        t, first = t_of[lang], 0
        with artifacts.open_parquet(plan.counts_path(lang)) as file:
            for batch in file.iter_batches(_ROWS, columns=["entry_id", "entry", "count"]):
                count = batch.column("count").to_numpy().astype(np.int64)
                num = batch.num_rows
                columns: list[Any] = [
                    pa.repeat(lang, num), batch.column("entry_id"), batch.column("entry"),
                    batch.column("count"), np.minimum(count, t or 0).astype(np.uint64),
                    sampling_probability(count, t) if t else np.ones(num),
                    kept[first : first + num].astype(np.uint64),
                ]  # fmt: skip
                first += num
                arrays = [pa.array(c) if isinstance(c, np.ndarray) else c for c in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)
