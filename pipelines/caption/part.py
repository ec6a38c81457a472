"""What a worker does with a part: samples → images → asks → answers → Parquet."""

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
from curate.pipelines.caption.plan import CaptionPart, CaptionPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.data.images import decode, resolve_decoder
from curate.training.data.sampler import Sample
from curate.training.data.samples import Pair, Reader
from curate.training.data.shard_cache import ShardCache
from curate.training.data.shards import OpenShards, ShardIndex, index_shard

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
    """

    plan: CaptionPlan
    captioner: CaptionerOptions
    model: str
    source: str
    lang: str | None
    cache: ShardCache


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
        self.files = OpenShards(job.cache.open)
        self.reader = Reader(self.files, resolve_decoder("auto"), needs_text=False)
        self._index: ShardIndex | None = None

    @cached_property
    def captioner(self) -> Captioner:
        """The model, or the way to it."""
        return open_captioner(self.job.captioner)

    def index(self, tar: str) -> ShardIndex:
        """Return where a shard's samples are; of the one that was asked for last, at once."""
        if self._index is None or self._index.path != tar:
            self._index = index_shard(tar, self.files.open_file)
        return self._index


def caption_part(worker: Worker, part: CaptionPart) -> tuple[int, int, dict[str, Any]]:
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
            answers = worker.captioner.answers(asks)
            for batch in [_batch(job, asks, answers, summary, failed)]:
                writer.write(batch)
        if summary.read != summary.captions + summary.skipped.total() + summary.failed.total():
            raise AssertionError(f"{part}: {summary} does not add up")
        writer.close({**job.plan.stamp(part.number), "summary": summary.as_dict()}, "")
    _write_failed(job.plan, part, failed)
    return part.number, storage.size_and_time(path)[0], summary.as_dict()


def _asks(
    worker: Worker, part: CaptionPart, summary: PartSummary, failed: list[tuple[str, str]]
) -> Iterator[Ask]:
    """Yield what can be asked; count what cannot."""
    index = worker.index(part.tar)
    stop = len(index.places) if part.stop is None else min(part.stop, len(index.places))
    if part.stop is not None and stop < part.stop:
        summary.read += part.stop - stop
        summary.skipped["missing_sample"] += part.stop - stop
    for number in range(part.first, stop):
        summary.read += 1
        sample = Sample(index, number, 0, index.places[number].tolist())
        found = _opened(worker, sample)
        if isinstance(found, str):
            summary.skipped[found] += 1
            failed.append((worker.files.key(index, number), found))
            continue
        pair, image = found
        lang = worker.job.lang or pair.lang
        yield Ask(pair.pair_id, image, " ".join(pair.text.split()), lang)


def _opened(worker: Worker, sample: Sample) -> tuple[Pair, Image.Image] | str:
    """Return a sample's pair and image; the reason where it cannot be asked for."""
    if sample.places[3] <= 0:
        return "no_image"
    found = worker.reader.fetch(sample)
    if isinstance(found, str):
        return found
    pair, encoded = found
    try:
        return pair, decode(encoded)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "image_too_large"
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError):
        return "corrupt_image"  # what Pillow is seen to raise over damaged files


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


def _write_failed(plan: CaptionPlan, part: CaptionPart, failed: list[tuple[str, str]]) -> None:
    """Write which pairs got no caption, and why; nothing where all did."""
    path = storage.join(plan.folder, "failed", part_name(part.number, "parquet"))
    if not failed:
        storage.remove(path)  # of an earlier try
        return
    ids, reasons = zip(*failed, strict=True)
    table = pa.table({"pair_id": list(ids), "reason": list(reasons)}, schema=_FAILED)
    artifacts.write_table(path, table, plan.stamp(part.number), "")
