"""The clusters of one part: its vectors' nearest centres, beside the entries of its pairs."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curate.curation.vectors.balanced import nearest_centre
from curate.errors import ArtifactError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.pipelines.cluster.fit import COLUMN, text_vectors
from curate.pipelines.clustered.plan import Centres, part_path
from curate.pipelines.embed import MatchedRows, ShardRows
from curate.pipelines.embedded.plan import EmbeddedPlan
from curate.pipelines.store import artifacts

__all__ = ["ClusterFigures", "ClusterJob", "cluster_part", "made_from"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJob:
    """What every worker has to know; picklable.

    Attributes:
        plan: of the vectors.
        output: folder.
        parameters: digest of what decides the clusters.
        centres: fine ones, and their clusters.
        rows: reads the pairs beside the vectors; None where nobody said where they are.
    """

    plan: EmbeddedPlan
    output: str
    parameters: str
    centres: Centres
    rows: MatchedRows | ShardRows | None


@dataclass(slots=True)
class ClusterFigures:
    """What came of a part; figures of parts add up.

    Attributes:
        pairs: rows.
        without_text: rows without a vector, which are in no cluster.
        clusters: pairs of each.
    """

    pairs: int = 0
    without_text: int = 0
    clusters: Counter[int] = field(default_factory=Counter)

    def __iadd__(self, other: "ClusterFigures") -> "ClusterFigures":
        self.pairs += other.pairs
        self.without_text += other.without_text
        self.clusters.update(other.clusters)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON-able values."""
        return {"pairs": self.pairs, "without_text": self.without_text,
                "clusters": {str(n): num for n, num in sorted(self.clusters.items())}}  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ClusterFigures":
        """Return the figures that `as_dict` gave the values of."""
        clusters = Counter({int(n): num for n, num in values["clusters"].items()})
        return cls(values["pairs"], values["without_text"], clusters)


def made_from(job: ClusterJob, index: int) -> dict[str, Any]:
    """Return what a part's stamp says it was made from."""
    return {"parameters": job.parameters, "centres": job.centres.identity,
            "source": job.plan.sources[index].as_dict()}  # fmt: skip


def cluster_part(job: ClusterJob, index: int) -> tuple[int, int, ClusterFigures]:
    """Write the clusters of a part, unless they are there.

    Returns:
        Its number, the size of its file in bytes, and its figures.
    """
    path, source = part_path(job.output, index), made_from(job, index)
    figures = None
    if storage.exists(path):
        stamp = artifacts.read_stamp(path)
        if {key: stamp.get(key) for key in source} == source:
            figures = ClusterFigures.from_dict(stamp["figures"])
    if figures is None:
        with told_when_full(job.output):
            figures = _write(job, index, path, source)
    return index, storage.size_and_time(path)[0], figures


def _schema(*, with_entries: bool) -> pa.Schema:
    entries = [("entry_ids", pa.list_(pa.uint32()))] if with_entries else []
    return pa.schema(
        [("pair_id", pa.string()), ("lang", pa.dictionary(pa.int32(), pa.string())), *entries,
         ("cluster", pa.uint16()), ("fine", pa.uint32()), ("distance", pa.float32())]
    )  # fmt: skip


def _write(job: ClusterJob, index: int, path: str, source: dict[str, Any]) -> ClusterFigures:
    figures, width = ClusterFigures(), job.centres.centres.shape[1]
    entries = None if job.rows is None else job.rows.entry_ids(index)
    schema = _schema(with_entries=entries is not None)
    with artifacts.parquet_writer(path, schema) as writer:
        for batch in job.plan.batches(index, ["pair_id", "lang", COLUMN]):
            vectors, is_there = text_vectors(job.plan, index, batch.column(COLUMN), width)
            fine, distance = nearest_centre(vectors, job.centres.centres)
            cluster = job.centres.cluster[fine]
            first, num = figures.pairs, batch.num_rows
            figures += ClusterFigures(
                num, int((~is_there).sum()), Counter(cluster[is_there].tolist())
            )
            columns: dict[str, Any] = {
                "pair_id": batch.column("pair_id"), "lang": batch.column("lang"),
                "cluster": pa.array(cluster, pa.uint16(), mask=~is_there),
                "fine": pa.array(fine, pa.uint32(), mask=~is_there),
                "distance": pa.array(distance, pa.float32(), mask=~is_there),
            }  # fmt: skip
            if entries is not None:
                columns["entry_ids"] = entries.slice(first, num)
            arrays = [columns[f.name].cast(f.type) for f in schema]
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        if entries is not None and len(entries) != figures.pairs:
            raise ArtifactError(f"{path}: {len(entries):,} pairs beside {figures.pairs:,} vectors")
        writer.close({**source, "figures": figures.as_dict()}, "")
    return figures
