"""A folder of scores in, its columns out: what `score` wrote, for the stages that stand on it."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import suggest
from curate.pipelines.embedded.plan import EmbeddedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.workspace import part_name

__all__ = ["ScoredPlan"]

SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class ScoredPlan:
    """Scores of the pairs of a folder of vectors; row i of part N is row i of part N there.

    Attributes:
        folder: where they are.
        digest: of what they were made with.
        columns: the scores.
    """

    folder: str
    digest: str
    columns: tuple[str, ...]

    @classmethod
    def read(cls, folder: str, plan: EmbeddedPlan) -> "ScoredPlan":
        """Read what scores there are of vectors.

        Raises:
            ArtifactError: there are none, not all, or of other vectors.
        """
        path = storage.join(folder, PLAN)
        if not storage.exists(path) or not storage.exists(storage.join(folder, SUMMARY)):
            raise ArtifactError(
                f"{folder}: no scores, or not all of them. Run `{suggest('score')}` first."
            )
        with of_ours(path):
            parameters: dict[str, Any] = artifacts.read_json(path)["parameters"]
            columns = tuple(str(name) for name in parameters["columns"])
            embedded = parameters["embedded"]
        if embedded != plan.digest():
            raise ArtifactError(
                f"{folder}: its scores are of other vectors than {plan.folder} has now. Run "
                f"`{suggest('score', '--overwrite')}` again."
            )
        return cls(folder, artifacts.digest(parameters), columns)

    def require(self, name: str) -> None:
        """Refuse a score that is not there.

        Raises:
            UsageError: it is not.
        """
        if name not in self.columns:
            raise UsageError(
                f"there is no score {name!r} in {self.folder}; it has {', '.join(self.columns)}"
            )

    def part(self, index: int, columns: list[str]) -> pa.Table:
        """Return some columns of a part.

        Raises:
            ArtifactError: it is damaged, or of other scores.
        """
        path = storage.join(self.folder, "pairs", part_name(index, "parquet"))
        found = artifacts.read_stamp(path).get("parameters")
        artifacts.require_same(path, {"parameters": found}, {"parameters": self.digest})
        return artifacts.read_table(path, columns)
