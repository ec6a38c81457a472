"""Decide over the pairs of one part: what a worker of `curate balance` does."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.files import storage
from curate.pipelines.executor.overlap import ahead
from curate.pipelines.matched.decisions import (
    BATCH_ROWS,
    BalanceJob,
    BalanceWorker,
    KeptSummary,
    decide_and_count,
)
from curate.pipelines.matched.facts import CONTENT, ContentNote, pair_facts
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import combined_hash
from curate.pipelines.store.workspace import part_name

__all__ = ["balance_part"]


def balance_part(worker: BalanceWorker, index: int) -> tuple[int, KeptSummary]:
    """Decide over a part; write its kept pairs unless they go to shards.

    A part whose file is there already is only summed up again.
    """
    job = worker.job
    source = storage.join(job.matched, "pairs", part_name(index, "parquet"))
    target = storage.join(job.output, "pairs", part_name(index, "parquet"))
    if not job.write_pairs or _is_done(target, job, index):
        summary = KeptSummary()
        with artifacts.open_parquet(source) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=worker.columns):
                decide_and_count(worker, batch, summary)
        return index, summary
    return index, _write_kept(worker, index, source, target)


def _is_done(path: str, job: BalanceJob, index: int) -> bool:
    if not storage.exists(path):
        return False
    stamp = artifacts.read_stamp(path)
    expected = _stamp(job, index)
    artifacts.require_same(path, {name: stamp.get(name) for name in expected}, expected)
    return True


def _stamp(job: BalanceJob, index: int) -> dict[str, Any]:
    return {"parameters": job.parameters, "part": index}


def _write_kept(worker: BalanceWorker, index: int, source: str, target: str) -> KeptSummary:
    summary, facts = KeptSummary(), Counter[str]()
    content = ContentNote(worker.job.content_share)
    with artifacts.open_parquet(source) as file:
        schema = _with_probability(file.schema_arrow)
        with artifacts.parquet_writer(target, schema) as writer:
            for batch in ahead(_kept_batches(worker, file, summary)):
                facts.update(pair_facts(batch, worker.job.columns))
                content.add(batch, worker.job.columns)
                writer.write(batch)
            there = {name: num for name, num in sorted(facts.items()) if num}
            stamp = {**_stamp(worker.job, index), **({"kept": there} if there else {})}
            if content.pairs:
                stamp[CONTENT] = content.as_dict()
            writer.close(stamp, combined_hash(worker.job.metadata))
    return summary


def _with_probability(schema: pa.Schema) -> pa.Schema:
    """Return a schema with our column at its end; one of that name in the input gives way."""
    others = [field for field in schema if field.name != "probability"]
    return pa.schema([*others, pa.field("probability", pa.float32())])


def _kept_batches(
    worker: BalanceWorker, file: pq.ParquetFile, summary: KeptSummary
) -> Iterator[pa.RecordBatch]:
    """Yield the kept pairs of a part with their probability; add to the summary on the way."""
    for group in range(file.num_row_groups):
        meta = file.metadata.row_group(group)
        rows = max(1, min(BATCH_ROWS, (32 << 20) // max(1, meta.total_byte_size // meta.num_rows)))
        for batch in file.iter_batches(rows, row_groups=[group]):
            probability, keep = decide_and_count(worker, batch, summary)
            schema = _with_probability(batch.schema)
            columns = [batch.column(name) for name in schema.names[:-1]]
            columns.append(pa.array(probability.astype(np.float32)))
            yield pa.RecordBatch.from_arrays(columns, schema=schema).filter(pa.array(keep))
