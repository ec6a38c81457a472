"""Figures of parts of vectors in; the summary that all are there, and their notes, out."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.embedded.plan import EMBEDDING_COLUMNS, SUMMARY, EmbeddedPlan, vectors_of
from curate.pipelines.executor.journal import Journal
from curate.pipelines.matched.repeated_ids import count_repeats
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log

__all__ = [
    "BORROWED", "PartFigures", "count_repeated", "journal_of", "noted_figures", "write_summary",
]  # fmt: skip

BORROWED = "images_of_earlier_parts"
_ROWS = 1 << 12


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


def count_repeated(plan: EmbeddedPlan, *, workers: int, quiet: bool) -> dict[str, int]:
    """Count the rows of all parts whose id has stood before, and say so.

    Args:
        plan: all parts of which are there.
        workers: threads.
        quiet: no messages.

    Returns:
        copies: of the same image and vectors; others. {} where no id repeats, and of matched
        pairs, of which `match` has said it.
    """
    if plan.parameters["source"] == "matched":
        return {}
    parts = range(len(plan.sources))
    found = count_repeats(
        plan.folder, list(map(plan.path, parts)), [one.name for one in plan.sources], _contents_of,
        workers=workers, quiet=quiet,
    )  # fmt: skip
    if found.others:
        shown = ", ".join(f"{one!r} in {name}" for one, name in found.examples)
        log(
            f"{plan.folder}: {found.others:,} pairs have an id that a pair before them has which "
            f"is another ({shown}). What goes by ids takes them for one: they are dropped, sampled "
            f"and clustered together, and taught by one's vectors. `{suggest('match')}` tells tars "
            "of the same keys apart: match the tars, and embed what is matched.",
            quiet=quiet,
        )
    return found.as_dict()


def _contents_of(file: pq.ParquetFile) -> Iterator[pa.StringArray]:
    """Yield ids and what they name: an image's id and checksum, and the vectors, by a hash."""
    given = ("pair_id", "image_id", "image_xxh3", *EMBEDDING_COLUMNS)
    names = [name for name in given if name in file.schema_arrow.names]
    for batch in file.iter_batches(_ROWS, columns=names):
        columns = [_plain(batch.column(name)) for name in names]
        rows = zip(*columns, strict=True)
        yield pa.array([xxhash.xxh3_128_hexdigest(repr(row).encode()) for row in rows])


def _plain(column: pa.Array) -> list[Any]:
    """Return values as Python's; of vectors their bytes, for that is quicker."""
    if not pa.types.is_fixed_size_list(column.type):
        values: list[Any] = column.to_pylist()
        return values
    vectors, is_there = vectors_of(column, "")
    return [one.tobytes() if there else None for one, there in zip(vectors, is_there, strict=True)]


def write_summary(
    plan: EmbeddedPlan, total: PartFigures, repeated: Mapping[str, int]
) -> dict[str, Any]:
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
        **({"repeated_ids": dict(repeated)} if repeated else {}),
    }
    artifacts.write_json(storage.join(plan.folder, SUMMARY), summary)
    return summary
