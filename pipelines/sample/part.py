"""Put the pairs of one part into the clusters of the tree's leaves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.vectors.nearest import nearest_centres
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.pipelines.embedded.plan import EmbeddedPlan, vectors_of
from curate.pipelines.sample.tree_file import read_tree
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["SampleJob", "SampleWorker", "assign_part"]

_SCHEMA = pa.schema(
    {"pair_id": pa.string(), "image_id": pa.string(), "cluster": pa.uint32(), "cosine":
     pa.float32()}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleJob:
    """What every worker has to know; picklable."""

    plan: EmbeddedPlan
    output: str
    kind: str
    tree: str
    stamp: dict[str, str]

    def path(self, part: int) -> str:
        """Return the path of a part."""
        return storage.join(self.output, "pairs", part_name(part, "parquet"))


class SampleWorker:
    """What the parts of a worker share: the centres."""

    def __init__(self, job: SampleJob) -> None:
        self.job = job
        self.centres: NDArray[np.float32] = read_tree(job.tree)[0].centres


def assign_part(worker: SampleWorker, part: int) -> int:
    """Write the cluster of each pair of a part, unless it is there; return the part."""
    job = worker.job
    made_from: dict[str, Any] = {**job.stamp, "source": job.plan.sources[part].as_dict()}
    path = job.path(part)
    if storage.exists(path) and artifacts.read_stamp(path) == made_from:
        return part
    with told_when_full(job.output), artifacts.parquet_writer(path, _SCHEMA) as writer:
        for batch in job.plan.batches(part, ["pair_id", "image_id", job.kind]):
            vectors, there = vectors_of(batch.column(job.kind), job.plan.path(part))
            numbers, cosines = nearest_centres(vectors[there], worker.centres, 1)
            cluster = np.zeros(len(there), np.uint32)
            cosine = np.zeros(len(there), np.float32)
            cluster[there], cosine[there] = numbers[:, 0], cosines[:, 0]
            columns = [
                batch.column("pair_id"), batch.column("image_id"),
                pa.array(cluster, mask=~there), pa.array(cosine, mask=~there),
            ]  # fmt: skip
            writer.write(pa.RecordBatch.from_arrays(columns, schema=_SCHEMA))
        writer.close(made_from, "")
    return part
