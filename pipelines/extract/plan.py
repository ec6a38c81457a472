"""What `pairs/` is made of: a plan that only ever grows, and the files that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.extract.summary import ExtractSummary
from curate.pipelines.inputs.own_inputs import are_own_inputs
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["OURS", "PLAN", "SUMMARY", "ExtractPlan", "plan_inputs"]

_OF_INPUT = ("path", "size_bytes", "modified", "sha256")
OURS = "_extract"
PLAN, SUMMARY = f"{OURS}/plan.json", f"{OURS}/summary.json"


@dataclass(slots=True)
class ExtractPlan:
    """What `pairs/` is made of; it only ever grows, but for files that were bad.

    Attributes:
        folder: `pairs/`.
        parameters: what decides the pairs of an input.
        inputs: name, size, time and hash of each.
        replaced: numbers of inputs that were bad, and are others now.
        is_own: this user chose all of its inputs, in this run or, sealed, in earlier ones.
    """

    folder: str
    parameters: dict[str, Any]
    inputs: list[dict[str, Any]]
    is_own: bool = False
    replaced: list[int] = field(default_factory=list)
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
            return self.own(index)
        for one in self.inputs[len(self._chain) : index + 1]:
            self._chain.append(artifacts.digest([self._chain[-1:], one]))
        return self._chain[index]

    def pairs_path(self, index: int) -> str:
        """Return the path of an input's pairs."""
        return storage.join(self.folder, part_name(index, "parquet"))

    def found_path(self, index: int) -> str:
        """Return the path of an input's pairs before duplicates are taken out."""
        return storage.join(self.folder, OURS, "found", part_name(index, "parquet"))

    def rejected_path(self, index: int) -> str:
        """Return where the bad records of an input are told, if it has any."""
        return storage.join(self.folder, OURS, "rejected", part_name(index, "parquet"))

    def own(self, index: int) -> str:
        """Return the digest of an input, which alone decides what is found in it."""
        return artifacts.digest(self.inputs[index])

    def stamp(self, part: str) -> dict[str, Any]:
        """Return what a file says that it was made from."""
        return {"parameters": artifacts.digest(self.parameters), "part": part}

    def done(self, index: int) -> ExtractSummary | None:
        """Return the summary of a file of pairs; None if it is not there. Raises as `found`."""
        return self._summary(self.pairs_path(index), self.part(index))

    def found(self, index: int) -> ExtractSummary | None:
        """Return the summary of what is found in an input; None if it is not there.

        Raises:
            ArtifactError: the file was made from something else.
        """
        return self._summary(self.found_path(index), self.own(index))

    def _summary(self, path: str, part: str) -> ExtractSummary | None:
        if not storage.exists(path):
            return None
        stamp = artifacts.read_stamp(path)
        found = {name: stamp.get(name) for name in ("parameters", "part")}
        artifacts.require_same(path, found, self.stamp(part))
        return ExtractSummary.from_dict(stamp["summary"])

    def may_replace(self, index: int) -> bool:
        """Tell whether a changed input may be read anew: it was bad, and nothing stands on it."""
        if self.parameters["dedup"] == "none":
            path = storage.join(self.folder, SUMMARY)
            if storage.exists(path) and artifacts.read_json(path)["plan"] == self.digest():
                return False
            summary = self.done(index)
        elif any(storage.exists(self.pairs_path(i)) for i in range(index, len(self.inputs))):
            return False
        else:
            summary = self.found(index)
        return summary is None or summary.is_bad

    def replace(self, index: int, value: dict[str, Any]) -> None:
        """Take an input for another one."""
        self.inputs[index] = value
        self._chain.clear()
        self.replaced.append(index)

    def remove_replaced(self) -> None:
        """Remove what was made from inputs that are others now."""
        for index in self.replaced:
            storage.remove(self.found_path(index))
            storage.remove(self.pairs_path(index))
            storage.remove(self.rejected_path(index))


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
        values = artifacts.read_json(path)
        artifacts.require_same(
            output,
            {"schema_version": values["schema_version"], **values["parameters"]},
            {"schema_version": artifacts.SCHEMA_VERSION, **parameters},
        )
        with of_ours(path):
            plan.inputs = [{**one, **{key: one[key] for key in _OF_INPUT}}
                           for one in values["inputs"]]  # fmt: skip
        names = plan.names()
        plan.is_own = are_own_inputs(output, names) or set(names) <= set(addresses)
    known = {one["path"]: i for i, one in enumerate(plan.inputs)}
    for name, address in addresses.items():
        size, modified = storage.size_and_time(address)
        index = known.get(name)
        before = None if index is None else plan.inputs[index]
        if before and (before["size_bytes"], before["modified"]) == (size, modified):
            continue
        # A remote file is not read twice only to know its sum.
        sha256 = storage.file_sha256(address) if storage.is_local(name) else None
        value = {"path": name, "size_bytes": size, "modified": modified, "sha256": sha256}
        if index is None or before is None:
            plan.inputs.append(value)
        elif sha256 is not None and sha256 == before["sha256"]:
            continue
        elif plan.may_replace(index):
            plan.replace(index, value)
        else:
            raise ArtifactError(
                f"{output} holds pairs of {name}, which has changed since. Choose another "
                "--output, or replace it with --overwrite."
            )
    return plan
