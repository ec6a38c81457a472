"""What `pairs/` is made of: a plan that only ever grows, and the files that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.pipelines.extract.part import ExtractSummary
from curate.pipelines.inputs.own_inputs import are_own_inputs
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["OURS", "PLAN", "ExtractPlan", "plan_inputs"]

OURS = "_extract"
PLAN = f"{OURS}/plan.json"


@dataclass(slots=True)
class ExtractPlan:
    """What `pairs/` is made of; it only ever grows.

    Attributes:
        folder: `pairs/`.
        parameters: what decides the pairs of an input.
        inputs: name, size, time and hash of each.
        is_own: this user chose all of its inputs, in this run or, sealed, in earlier ones.
    """

    folder: str
    parameters: dict[str, Any]
    inputs: list[dict[str, Any]]
    is_own: bool = False
    _chain: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """Return what the inputs are known by."""
        return [one["path"] for one in self.inputs]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return {
            "schema_version": artifacts.SCHEMA_VERSION,
            "parameters": self.parameters,
            "inputs": self.inputs,
        }

    def digest(self) -> str:
        """Return a hash of all that decides the content of `pairs/`."""
        return artifacts.digest(self.as_dict())

    def part(self, index: int) -> str:
        """Return the digest of what a file of pairs depends on: its input and those before it."""
        if self.parameters["dedup"] == "none":
            return artifacts.digest(self.inputs[index])
        for one in self.inputs[len(self._chain) : index + 1]:
            self._chain.append(artifacts.digest([self._chain[-1:], one]))
        return self._chain[index]

    def pairs_path(self, index: int) -> str:
        """Return the path of an input's pairs."""
        return storage.join(self.folder, part_name(index, "parquet"))

    def found_path(self, index: int) -> str:
        """Return the path of an input's pairs before duplicates are taken out."""
        return storage.join(self.folder, OURS, "found", part_name(index, "parquet"))

    def stamp(self, index: int) -> dict[str, Any]:
        """Return what an input's files have in their stamps."""
        return {"parameters": artifacts.digest(self.parameters), "part": self.part(index)}

    def summary_of(self, path: str, index: int) -> ExtractSummary | None:
        """Return the summary in the stamp of a file that is there, or None.

        Raises:
            ArtifactError: the file was made from something else.
        """
        if not storage.exists(path):
            return None
        stamp = artifacts.read_stamp(path)
        found = {name: stamp.get(name) for name in ("parameters", "part")}
        artifacts.require_same(path, found, self.stamp(index))
        return ExtractSummary.from_dict(stamp["summary"])


def plan_inputs(
    addresses: Mapping[str, str], output: str, parameters: dict[str, Any], *, anew: bool
) -> ExtractPlan:
    """Return the plan of a folder with the inputs added that it does not have yet.

    Args:
        addresses: where each input is opened, by the name that it is known by.
        output: the folder `pairs/`.
        parameters: of this run.
        anew: leave out what the folder holds.

    Raises:
        ArtifactError: the folder holds the pairs of something else.
    """
    plan = ExtractPlan(output, parameters, [], is_own=True)
    path = storage.join(output, PLAN)
    if storage.exists(path) and not anew:
        values = storage.read_json(path)
        artifacts.require_same(
            output,
            {"schema_version": values["schema_version"], **values["parameters"]},
            {"schema_version": artifacts.SCHEMA_VERSION, **parameters},
        )
        plan.inputs = values["inputs"]
        names = plan.names()
        plan.is_own = are_own_inputs(output, names) or set(names) <= set(addresses)
    known = {i["path"]: i for i in plan.inputs}
    for name, address in addresses.items():
        size, modified = storage.size_and_time(address)
        before = known.get(name)
        if before and (before["size_bytes"], before["modified"]) == (size, modified):
            continue
        # A remote file is not read twice only to know its sum.
        sha256 = storage.file_sha256(address) if storage.is_local(name) else None
        if before is None:
            plan.inputs.append(
                {"path": name, "size_bytes": size, "modified": modified, "sha256": sha256}
            )
        elif sha256 is None or sha256 != before["sha256"]:
            raise ArtifactError(
                f"{output} holds pairs of {name}, which has changed since. Choose another "
                "--output, or replace it with --overwrite."
            )
    return plan
