"""What is captioned, by what, and the files of its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.files import storage
from curate.pipelines.caption.vectors import VectorPart
from curate.pipelines.shards.sample_parts import SamplePart
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["CaptionPlan"]


@dataclass(frozen=True, slots=True)
class CaptionPlan:
    """What is captioned, by what.

    Attributes:
        folder: of the captions.
        parts: in order.
        parameters: what decides the captions.
    """

    folder: str
    parts: Sequence[SamplePart | VectorPart]
    parameters: dict[str, Any]

    def path(self, number: int) -> str:
        """Return the file of a part."""
        return storage.join(self.folder, "pairs", part_name(number, "parquet"))

    def stamp(self, number: int) -> dict[str, Any]:
        """Return what a part says that it was made from."""
        return {"parameters": artifacts.digest(self.parameters),
                "part": artifacts.digest(self.parts[number].made_from)}  # fmt: skip

    def read_summary(self, number: int) -> dict[str, Any]:
        """Return the summary in a part's stamp.

        Raises:
            ArtifactError: the part was made from something else.
        """
        path = self.path(number)
        stamp = artifacts.read_stamp(path)
        found = {name: stamp.get(name) for name in ("parameters", "part")}
        artifacts.require_same(path, found, self.stamp(number))
        summary: dict[str, Any] = stamp["summary"]
        return summary
