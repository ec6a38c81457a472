"""What a folder of clusters is made of: `plan.json`, `centres.parquet`, `pairs/NNNNN.parquet`.

Row i of part N is row i of part N of the vectors that it was made from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import damaged, suggest
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["CENTRES", "MOST_CLUSTERS", "PLAN", "SUMMARY", "Centres", "ClusteredPlan"]

PLAN, SUMMARY, CENTRES = "plan.json", "summary.json", "centres.parquet"
MOST_CLUSTERS = 1 << 15


@dataclass(frozen=True, slots=True)
class Centres:
    """Fine centres, and the cluster that each is part of.

    Attributes:
        centres: means of vectors of unit length; float32, shape (K, E).
        cluster: of each centre, 0 to C - 1; int64, shape (K,).
        num_clusters: C.
        model: that makes the vectors: its sha256, width and library.
    """

    centres: NDArray[np.float32]
    cluster: NDArray[np.int64]
    num_clusters: int
    model: dict[str, Any]

    @property
    def identity(self) -> str:
        """A hash of centres, clusters and model: equal where clusters mean the same."""
        found = sha256(f"{self.model['sha256']} {self.num_clusters}\n".encode())
        found.update(np.ascontiguousarray(self.centres, "<f4").tobytes())
        found.update(np.ascontiguousarray(self.cluster, "<i8").tobytes())
        return found.hexdigest()

    def write(self, folder: str, parameters: str) -> None:
        """Publish `centres.parquet`."""
        num, width = self.centres.shape
        table = pa.table({
            "fine": pa.array(np.arange(num), pa.uint32()),
            "cluster": pa.array(self.cluster, pa.uint16()),
            "centre": pa.FixedSizeListArray.from_arrays(
                pa.array(self.centres.reshape(-1), pa.float32()), width),
        })  # fmt: skip
        stamp = {"parameters": parameters, "model": self.model, "clusters": self.num_clusters}
        artifacts.write_table(storage.join(folder, CENTRES), table, stamp, "")

    @classmethod
    def read(cls, folder: str) -> "Centres":
        """Read the centres of a folder.

        Raises:
            ArtifactError: there are none, or they are damaged.
        """
        path = storage.join(folder, CENTRES)
        if not storage.exists(path):
            raise ArtifactError(
                f"{folder}: there are no centres of clusters in it. Run `{suggest('cluster')}` "
                "first, or name the folder that it wrote."
            )
        with of_ours(path):
            stamp = artifacts.read_stamp(path)
            model, num = dict(stamp["model"]), int(stamp["clusters"])
            str(model["sha256"])
        table = artifacts.read_table(path).combine_chunks()
        centre, cluster = table.column("centre"), table.column("cluster").to_numpy()
        values = centre.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if centre.type.list_size != int(model["width"]) or not np.isfinite(values).all():
            damaged(path, "its centres are of another width than their model's vectors, or no "
                          "numbers")  # fmt: skip
        if not len(cluster) or int(cluster.max()) >= num:
            damaged(path, "a centre is of a cluster that there is not")
        return cls(values.reshape(len(cluster), -1), cluster.astype(np.int64), num, model)


@dataclass(frozen=True, slots=True)
class ClusteredPlan:
    """The pairs of a folder of clusters.

    Attributes:
        folder: where it is.
        parameters: what decides it.
        summary: what came of it.
    """

    folder: str
    parameters: dict[str, Any]
    summary: dict[str, Any]

    @classmethod
    def read(cls, folder: str) -> "ClusteredPlan":
        """Read what clusters there are.

        Raises:
            ArtifactError: there are none, or not of all pairs yet.
        """
        path, done = storage.join(folder, PLAN), storage.join(folder, SUMMARY)
        if not storage.exists(path) or not storage.exists(done):
            raise ArtifactError(
                f"{folder}: no clusters, or not of all pairs yet. Run `{suggest('cluster')}`; it "
                "goes on where it was."
            )
        with of_ours(path):
            parameters: dict[str, Any] = artifacts.read_versioned(path)["parameters"]
        if "coarse" not in parameters:
            raise ArtifactError(f"{folder}: it holds no clusters; name a folder that "
                                "`curate cluster` wrote")  # fmt: skip
        summary = artifacts.read_json(done)
        if summary["plan"] != artifacts.digest(parameters):
            raise ArtifactError(f"{folder}: its summary is of other clusters than its plan. Run "
                                f"`{suggest('cluster', '--overwrite')}` again.")  # fmt: skip
        return cls(folder, parameters, dict(summary))

    @property
    def num_parts(self) -> int:
        """How many parts there are."""
        return int(self.summary["parts"])

    def sizes(self) -> list[int]:
        """Return the number of pairs of each cluster."""
        with of_ours(storage.join(self.folder, SUMMARY)):
            return [int(one["pairs"]) for one in self.summary["clusters"]]

    def batches(self, columns: Sequence[str], rows: int = 1 << 16) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all parts, some of their columns.

        Raises:
            ArtifactError: a part is missing, damaged, or of other clusters.
        """
        for index in range(self.num_parts):
            path = part_path(self.folder, index)
            found = artifacts.read_stamp(path).get("parameters")
            expected = artifacts.digest(self.parameters)
            remedy = f"Run the same `{suggest('cluster')}` again."
            artifacts.require_same(
                path, {"parameters": found}, {"parameters": expected}, remedy=remedy
            )
            with artifacts.open_parquet(path) as file:
                yield from file.iter_batches(rows, columns=list(columns))


def part_path(folder: str, index: int) -> str:
    """Return the path of a part."""
    return storage.join(folder, "pairs", part_name(index, "parquet"))
