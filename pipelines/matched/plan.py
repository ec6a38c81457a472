"""What `matched/` is made of: `plan.json`, which only ever grows, and where everything is."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import suggest
from curate.pipelines.inputs.own_inputs import are_own_inputs, seal_inputs
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.inputs.rows import Part
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import ADDING, NEXT
from curate.pipelines.store.workspace import part_name, require_codes

__all__ = ["PLAN", "REWRITTEN", "SUMMARY", "Completed", "MatchedPlan"]

PLAN = "plan.json"
SUMMARY = "summary.json"
_OF_INPUT = ("path", "sha256", "size_bytes", "modified")
REWRITTEN = "rewritten_sha256"  # of an input that pairs were taken out of after it was matched


class Completed(NamedTuple):
    """How many of a plan's inputs and parts, from the first on, the last whole run had."""

    inputs: int
    parts: int


@dataclass(slots=True)
class MatchedPlan:
    """What `matched/` is made of, in `plan.json`.

    `retracted` is a hash of its tombstones, `dropped` of the lists of pairs that do not count.

    Attributes:
        is_own: this user chose all of its inputs in this run or, sealed, in earlier ones; if so,
            that is noted where the plan is written.
        base: the plan of what is whole, which this one adds to in a folder of its own; parts that
            both have are those of `base`.
    """

    folder: str
    parameters: dict[str, Any]
    inputs: list[dict[str, Any]]
    parts: list[Part]
    retracted: str | None = None
    dropped: str | None = None
    is_own: bool = field(default=False, compare=False)
    base: "MatchedPlan | None" = field(default=None, compare=False)
    _digest: tuple[tuple[int, str | None, str | None], str] | None = field(
        default=None, compare=False
    )

    @classmethod
    def read(cls, folder: str) -> "MatchedPlan":
        """Read the plan of a folder.

        Raises:
            ArtifactError: there is none, or of another schema version.
        """
        path = storage.join(folder, PLAN)
        if not storage.exists(path):
            raise ArtifactError(
                f"{folder}: nothing is matched here. Run `{suggest('match', 'INPUTS')}` first."
            )
        values = artifacts.read_versioned(path)
        with of_ours(path):
            require_codes(values["parameters"]["metadata"], path)
            parts = [Part.from_dict(part) for part in values["parts"]]
            inputs = [{**one, **{key: one[key] for key in _OF_INPUT}} for one in values["inputs"]]
            parameters: dict[str, Any] = values["parameters"]
            ColumnNames(**parameters["columns"])
        return cls(
            folder, parameters, inputs, parts, values.get("retracted"), values.get("dropped")
        )

    def sources(self) -> list[str]:
        """Return the names of all files that the plan would have read, each once."""
        pieces = (piece for part in self.parts for piece in part.pieces())
        return sorted({*(one["path"] for one in self.inputs), *(piece.path for piece in pieces)})

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return {
            "schema_version": artifacts.SCHEMA_VERSION,
            "parameters": self.parameters,
            "inputs": self.inputs,
            "parts": [part.as_dict() for part in self.parts],
            **self._left_out(),
        }

    def _left_out(self) -> dict[str, str]:
        left_out = {"retracted": self.retracted, "dropped": self.dropped}
        return {name: digest for name, digest in left_out.items() if digest}

    def write(self) -> None:
        """Publish `plan.json`."""
        artifacts.write_json(storage.join(self.folder, PLAN), self.as_dict())
        if self.folder.rsplit("/", 1)[-1] not in (NEXT, ADDING):  # else what is there is sealed
            self.seal(self.folder)

    def seal(self, output: str) -> None:
        """Note of an output that this user chose the inputs, if so."""
        if self.is_own:
            seal_inputs(output, self.sources(), self.parameters.get("image_roots", []))

    def is_sealed(self) -> bool:
        """Tell whether this user chose the inputs, or whether the folder is somebody else's."""
        roots = self.parameters.get("image_roots", [])
        return are_own_inputs(self.folder, self.sources(), roots)

    def digest(self) -> str:
        """Return a hash of all that decides the content of `matched/`."""
        state = (len(self.parts), self.retracted, self.dropped)  # parts are only ever added
        if self._digest is None or self._digest[0] != state:
            parts = [part.as_dict() for part in self.parts]
            values = {"parameters": self.parameters, "parts": parts, **self._left_out()}
            self._digest = (state, artifacts.digest(values))
        return self._digest[1]

    def replace_part(self, index: int, part: Part) -> None:
        """Take another part for one that has to be matched again."""
        self.parts[index] = part
        self._digest = None

    def pairs_path(self, index: int) -> str:
        """Return the path of a part's pairs."""
        if self.base is not None and self.is_of_base(index):
            return self.base.pairs_path(index)
        return storage.join(self.folder, "pairs", part_name(index, "parquet"))

    def is_of_base(self, index: int) -> bool:
        """Tell whether a part is one of `base`, and as it is there."""
        base = self.base.parts if self.base is not None else []
        return index < len(base) and base[index] == self.parts[index]

    def counts_path(self, lang: str) -> str:
        """Return the path of a language's counts."""
        return storage.join(self.folder, "counts", f"{lang}.parquet")

    def completed(self) -> Completed:
        """Return how far matching has come to its end, in this run or an earlier one."""
        path = storage.join(self.folder, SUMMARY)
        if not storage.exists(path):
            return Completed(0, 0)
        found = artifacts.read_json(path)
        with of_ours(path):
            return Completed(int(found["inputs"]), int(found["parts"]))

    def require_all_parts(self) -> None:
        """Refuse matches that lack parts; those whose counts are being made anew are let pass.

        A command that changes what counts (`retract`, `dedup`, …) and was killed then goes on so.

        Raises:
            ArtifactError: a part is not matched yet.
        """
        if self.summary() is None and self.completed() != (len(self.inputs), len(self.parts)):
            raise ArtifactError(
                f"{self.folder}: matching has not come to its end. "
                f"Run the same `{suggest('match')}` again; it goes on where it was."
            )

    def require_unchanged(self) -> None:
        """Refuse to go on with matches that were changed since this plan was read.

        Raises:
            ArtifactError: pairs were added or taken out, or are being so now.
        """
        path = storage.join(self.folder, PLAN)
        now = MatchedPlan.read(self.folder) if storage.exists(path) else None
        if now is None or now.digest() != self.digest():
            raise self._changed()
        self.whole_summary()

    def whole_summary(self) -> dict[str, Any]:
        """Return the summary of matches that were whole when this plan was read.

        Raises:
            ArtifactError: they are not so any more.
        """
        summary = self.summary()
        if summary is None:
            raise self._changed()
        return summary

    def _changed(self) -> ArtifactError:
        return ArtifactError(
            f"{self.folder} was changed while it was read, by `curate match` or `curate retract`. "
            "Run the same command again when that is done."
        )

    def summary(self) -> dict[str, Any] | None:
        """Return the summary, or None if matching has not come to its end."""
        path = storage.join(self.folder, SUMMARY)
        summary = artifacts.read_json(path) if storage.exists(path) else None
        return summary if summary and summary["plan"] == self.digest() else None
