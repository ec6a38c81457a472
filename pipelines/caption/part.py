"""What a worker does with a part: samples, or rows of vectors → asks → answers → Parquet."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
from PIL import Image

from curate.files import storage
from curate.pipelines.caption.ask import Answer, Ask, Captioner
from curate.pipelines.caption.captioner import CaptionerOptions, open_captioner
from curate.pipelines.caption.plan import CaptionPlan
from curate.pipelines.caption.vectors import OpenVectors, VectorPart, Vectors
from curate.pipelines.shards.sample_parts import PartSamples, ReadSample, SamplePart
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.data.images import decode
from curate.training.data.shard_cache import ShardCache

__all__ = ["SCHEMA", "CaptionJob", "PartSummary", "Worker", "caption_part"]

_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    {"pair_id": pa.string(), "source": _NAME, "text": pa.string(), "lang": _NAME, "model": _NAME}
)
_FAILED = pa.schema({"pair_id": pa.string(), "reason": pa.string()})
_AT_ONCE = 256  # images in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionJob:
    """What all parts have in common.

    Attributes:
        plan: of the captions.
        captioner: that is asked.
        model: what the captioner is called in the table.
        source: of the captions.
        lang: of the captions; None: of each pair.
        cache: of remote shards.
        described: what the captioner is, which each worker compares with what it finds.
        vectors: that are read instead of images.
    """

    plan: CaptionPlan
    captioner: CaptionerOptions
    model: str
    source: str
    lang: str | None
    cache: ShardCache
    described: dict[str, Any]
    vectors: Vectors | None = None


@dataclass(slots=True)
class PartSummary:
    """What became of a part's pairs: read = captions + Σ skipped + Σ failed.

    Attributes:
        read: samples.
        captions: written.
        skipped: pairs that could not be asked for, by reason.
        failed: pairs that got no caption, by reason.
        counts: tokens, requests and the like.
    """

    read: int = 0
    captions: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON-able values."""
        return {
            "read": self.read, "captions": self.captions,
            **{name: dict(sorted((+getattr(self, name)).items()))
               for name in ("skipped", "failed", "counts")},
        }  # fmt: skip


class Worker:
    """What a process needs for all of its parts; the model is loaded when it is first asked."""

    def __init__(self, job: CaptionJob) -> None:
        self.job = job
        self.samples = PartSamples(job.cache)

    @cached_property
    def captioner(self) -> Captioner:
        """The model, or the way to it."""
        return open_captioner(self.job.captioner, self.job.described)

    @cached_property
    def vectors(self) -> OpenVectors:
        """The vectors that are read instead of images."""
        assert self.job.vectors is not None
        return OpenVectors(self.job.vectors, self.job.cache)


def caption_part(worker: Worker, part: SamplePart | VectorPart) -> tuple[int, int, dict[str, Any]]:
    """Caption a part.

    Returns:
        Its number, the size of its file in bytes, and its summary.

    Raises:
        CurateError: no captions can be had at all.
        InputError: the shard cannot be read.
    """
    job, summary = worker.job, PartSummary()
    path = job.plan.path(part.number)
    failed: list[tuple[str, str]] = []
    with artifacts.parquet_writer(path, SCHEMA) as writer:
        for asks in _in_hundreds(_asks(worker, part, summary, failed)):
            writer.write(_batch(job, asks, worker.captioner.answers(asks), summary, failed))
        if summary.read != summary.captions + summary.skipped.total() + summary.failed.total():
            raise AssertionError(f"{part}: {summary} does not add up")
        _write_failed(job.plan, part, failed)  # first: a part that is there has all it says
        writer.close({**job.plan.stamp(part.number), "summary": summary.as_dict()}, "")
    return part.number, storage.size_and_time(path)[0], summary.as_dict()


def _asks(
    worker: Worker, part: SamplePart | VectorPart, summary: PartSummary,
    failed: list[tuple[str, str]],
) -> Iterator[Ask]:  # fmt: skip
    """Yield what can be asked; count what cannot."""
    if isinstance(part, VectorPart):
        found = _of_vectors(worker, part)
    else:
        found = map(_of_sample, worker.samples.of(part))
    for name, ask in found:
        summary.read += 1
        if isinstance(ask, str):
            summary.skipped[ask] += 1
            if name:
                failed.append((name, ask))
            continue
        yield ask._replace(alt=" ".join(ask.alt.split()), lang=worker.job.lang or ask.lang)


def _of_sample(sample: ReadSample) -> tuple[str, Ask | str]:
    """Return a sample's name, and what is asked of it or why nothing can be."""
    pair = sample.pair
    if pair is None:
        return sample.name, sample.reason
    try:
        return sample.name, Ask(pair.pair_id, decode(sample.encoded), pair.text, pair.lang)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return sample.name, "image_too_large"
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError):
        return sample.name, "corrupt_image"  # what Pillow is seen to raise over damaged files


def _of_vectors(worker: Worker, part: VectorPart) -> Iterator[tuple[str, Ask | str]]:
    for row in worker.vectors.of(part):
        if row.vector is None:
            yield row.pair_id, "no_vector"
        else:
            yield row.pair_id, Ask(row.pair_id, row.vector, row.alt, row.lang)


def _in_hundreds(asks: Iterator[Ask]) -> Iterator[list[Ask]]:
    found: list[Ask] = []
    for ask in asks:
        found.append(ask)
        if len(found) == _AT_ONCE:
            yield found
            found = []
    if found:
        yield found


def _batch(
    job: CaptionJob,
    asks: list[Ask],
    answers: list[Answer],
    summary: PartSummary,
    failed: list[tuple[str, str]],
) -> pa.RecordBatch:
    """Return the captions among answers as rows; count them and the others."""
    rows: list[tuple[str, str, str, str | None, str]] = []
    for ask, answer in zip(asks, answers, strict=True):
        summary.counts.update(answer.counts)
        if answer.text is None:
            summary.failed[answer.reason] += 1
            failed.append((ask.pair_id, answer.reason))
            continue
        summary.captions += 1
        rows.append((ask.pair_id, job.source, answer.text, ask.lang, job.model))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in SCHEMA]
    arrays = [pa.array(column, pa.string()).cast(kind) if kind != _NAME
              else pa.array(column, pa.string()).dictionary_encode().cast(kind)
              for column, kind in zip(columns, SCHEMA.types, strict=True)]  # fmt: skip
    return pa.record_batch(arrays, schema=SCHEMA)


def _write_failed(
    plan: CaptionPlan, part: SamplePart | VectorPart, failed: list[tuple[str, str]]
) -> None:
    """Write which pairs got no caption, and why; nothing where all did."""
    path = storage.join(plan.folder, "failed", part_name(part.number, "parquet"))
    if not failed:
        storage.remove(path)  # of an earlier try
        return
    ids, reasons = zip(*failed, strict=True)
    table = pa.table({"pair_id": list(ids), "reason": list(reasons)}, schema=_FAILED)
    artifacts.write_table(path, table, plan.stamp(part.number), "")
