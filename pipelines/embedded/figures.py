"""Figures of parts of vectors in; the summary that all are there, and their notes, out."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from curate.files import storage
from curate.pipelines.embedded.plan import SUMMARY, EmbeddedPlan
from curate.pipelines.executor.journal import Journal
from curate.pipelines.store import artifacts

__all__ = ["BORROWED", "PartFigures", "journal_of", "noted_figures", "write_summary"]

BORROWED = "images_of_earlier_parts"


@dataclass(slots=True)
class PartFigures:
    """What came of the rows of a part; figures of parts add up.

    Attributes:
        counts: pairs; images: looked at, each once; images_of_earlier_parts: that were looked at
            there, if any; image_vectors, text_vectors.
        without_image: rows whose image cannot be used, by reason.
        without_text: rows whose text has no vector, by reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    without_image: Counter[str] = field(default_factory=Counter)
    without_text: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: "PartFigures") -> "PartFigures":
        for name in ("counts", "without_image", "without_text"):
            getattr(self, name).update(getattr(other, name))
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON-able values."""
        return {
            **dict(sorted(self.counts.items())),
            "without_image": dict(sorted(self.without_image.items())),
            "without_text": dict(sorted(self.without_text.items())),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PartFigures":
        """Return the figures that `as_dict` gave the values of."""
        counts = {name: num for name, num in values.items() if isinstance(num, int)}
        return cls(Counter(counts), Counter(values["without_image"]),
                   Counter(values["without_text"]))  # fmt: skip

    def log_figures(self) -> dict[str, Any]:
        """Return what a worker's log says of a part."""
        return dict(self.counts)


def journal_of(plan: EmbeddedPlan, num_parts: int) -> Journal:
    """Return the notes of a folder of vectors."""
    return Journal(plan.folder, num_parts, {"parameters": artifacts.digest(plan.parameters)})


def noted_figures(plan: EmbeddedPlan, index: int) -> dict[str, Any]:
    """Return a part's figures from its stamp, checked to be of this plan's part.

    Raises:
        ArtifactError: it was made from something else.
    """
    path = plan.path(index)
    stamp = artifacts.read_stamp(path)
    expected = {
        "parameters": artifacts.digest(plan.parameters), "source": plan.sources[index].as_dict(),
    }  # fmt: skip
    artifacts.require_same(path, {key: stamp.get(key) for key in expected}, expected)
    figures: dict[str, Any] = stamp["summary"]
    return figures


def write_summary(plan: EmbeddedPlan, total: PartFigures) -> dict[str, Any]:
    """Publish the summary, after checking that each pair has a vector or a reason."""
    for kind, without in (("image", total.without_image), ("text", total.without_text)):
        with_vector, pairs = total.counts[f"{kind}_vectors"], total.counts["pairs"]
        if kind in plan.parameters["columns"] and with_vector + without.total() != pairs:
            raise AssertionError(f"{pairs} pairs are not {with_vector} with {kind} and {without}")
        if kind in plan.parameters["columns"]:
            total.counts[f"{kind}_vectors"] += 0  # also where there is no pair
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": plan.digest(),
        "columns": plan.parameters["columns"],
        "parts": len(plan.sources),
        "pairs": 0,
        **total.as_dict(),
    }
    artifacts.write_json(storage.join(plan.folder, SUMMARY), summary)
    return summary
