"""What a worker does with a part: samples → captions of their pairs → figures → Parquet."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.lid.identify import FastTextIdentifier, default_lid_model
from curate.curation.matching.normalize import Normalization
from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.caption_tables.join import CaptionOptions, joined_captions
from curate.pipelines.judge_captions.entries import EntryMatcher
from curate.pipelines.judge_captions.examples import Extremes
from curate.pipelines.judge_captions.page import Example
from curate.pipelines.judge_captions.similarity import Similarity, load_similarity
from curate.pipelines.judge_captions.texts import repetition, units
from curate.pipelines.shards.sample_parts import PartSamples, SamplePart
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.captions.lookup import CaptionIndex
from curate.training.data.images import (
    UnusableImageError,
    decode_pixels,
    fit_into,
    resolve_decoder,
)
from curate.training.data.shard_cache import ShardCache

__all__ = ["FIGURES", "SCHEMA", "JudgeJob", "JudgeOptions", "PartFigures", "Worker", "judge_part"]

_NAME = pa.dictionary(pa.int32(), pa.string())
_IDS = pa.list_(pa.uint32())
SCHEMA = pa.schema(
    {
        "pair_id": pa.string(), "source": _NAME, "text": pa.string(), "lang": _NAME,
        "reason": _NAME, "similarity_alt": pa.float32(), "similarity_caption": pa.float32(),
        "similarity_both": pa.float32(), "entries_kept": pa.float32(), "entries_gained":
        pa.int32(), "repetition": pa.float32(), "units": pa.int32(), "same_lang": pa.bool_(),
        "pair_lang": _NAME, "alt_entry_ids": _IDS, "entry_ids": _IDS,
    }
)  # fmt: skip
FIGURES = ("similarity_alt", "similarity_caption", "similarity_both", "entries_kept",
           "repetition", "units", "same_lang")  # fmt: skip
_AT_ONCE = 256  # captions; as many images in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """What captions are judged by.

    Attributes:
        captions: tables, as `--captions` names them.
        model: of similarities; None: none.
        precision: that it computes in.
        metadata: of entries; None: none.
        normalization: of entries and texts.
        max_repetition: share of repeated trigrams above which a caption is dropped.
        tail_below: pairs, in alt-texts, below which an entry is of the tail.
        device: of the model; None for a GPU if there is one.
    """

    captions: CaptionOptions
    model: str | None = None
    precision: str = "auto"
    metadata: str | None = None
    normalization: Normalization = "standard"
    max_repetition: float = 0.3
    tail_below: int = 5
    device: str | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if not self.captions.tables:
            raise UsageError("there is nothing to judge: name a table with --captions")
        if not 0 <= self.max_repetition <= 1:
            raise UsageError(f"--max-repetition is {self.max_repetition}; expected 0 to 1")
        if self.tail_below < 0:
            raise UsageError(f"--tail-below is {self.tail_below}; expected 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeJob:
    """What all parts have in common; picklable.

    Attributes:
        folder: of the result.
        parameters: hash of what decides it.
        options: by what captions are judged.
        digest: of the tables of captions.
        model_sha256: of the model's tensors and tokenizer; None without one.
        hashes: of the languages that there are entries of; None without any.
        cache: of remote shards.
    """

    folder: str
    parameters: str
    options: JudgeOptions
    digest: str
    model_sha256: list[str] | None
    hashes: dict[str, str] | None
    cache: ShardCache

    def path(self, kind: str, number: int) -> str:
        """Return the file of a part: of `pairs`, `dropped` or `examples`."""
        return storage.join(self.folder, kind, part_name(number, "parquet"))

    def stamp(self, part: SamplePart) -> dict[str, Any]:
        """Return what a part says that it was made from."""
        return {"parameters": self.parameters, "part": artifacts.digest(part.made_from)}


@dataclass(slots=True)
class PartFigures:
    """What was found of a part's samples and captions; figures of parts add up.

    Attributes:
        counts: samples = pairs (that have captions) + without (any) + unread; captions.
        dropped: captions, by reason.
        skipped: samples that cannot be judged, by reason.
        sums: of each figure over the captions that have it.
        nums: how many captions these are.
    """

    counts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    nums: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return them as JSON-able values."""
        return {n: dict(sorted(getattr(self, n).items())) for n in self.__slots__}

    def add(self, values: dict[str, Any]) -> None:
        """Add what `as_dict` gave of a part."""
        for name in self.__slots__:
            getattr(self, name).update(values[name])


class _Row(NamedTuple):
    """A caption, its pair, and its image."""

    pair_id: str
    alt: str
    lang: str | None
    source: str
    text: str
    said_lang: str | None
    encoded: bytes
    pixels: NDArray[np.uint8]


class Worker:
    """What a process needs for all of its parts; each is made when it is first asked."""

    def __init__(self, job: JudgeJob) -> None:
        self.job = job
        self.samples = PartSamples(job.cache)
        self.decoder = resolve_decoder("auto")
        self.lid = FastTextIdentifier(default_lid_model())
        options = job.options
        self.entries = (
            EntryMatcher(options.metadata, options.normalization, job.hashes)
            if options.metadata
            else None
        )

    @cached_property
    def index(self) -> CaptionIndex:
        """The captions."""
        found = joined_captions(self.job.options.captions, self.job.digest, quiet=True)
        assert found is not None
        return found

    @cached_property
    def similarity(self) -> Similarity | None:
        """The model."""
        options = self.job.options
        if options.model is None:
            return None
        found = load_similarity(options.model, str(options.device), options.precision)
        if found.sha256 != self.job.model_sha256:
            raise ArtifactError(
                f"{options.model} is another model on this machine, or was replaced since the "
                "captions were begun to be judged. Put the same one everywhere, and run the "
                "command again."
            )
        return found

    def langs(self, texts: Sequence[str]) -> list[str]:
        """Return the language of each text, as fastText tells it."""
        found: list[str] = self.lid.identify(pa.array(list(texts), pa.string())).lang.to_pylist()
        return found


def judge_part(worker: Worker, part: SamplePart) -> tuple[int, int, dict[str, Any]]:
    """Judge the captions of a part's pairs, and publish them.

    Returns:
        Its number, the size of its file in bytes, and its figures.

    Raises:
        InputError: the shard or the captions cannot be read.
    """
    job, figures, extremes = worker.job, PartFigures(), Extremes()
    stamp = job.stamp(part)
    path, dropped_path = job.path("pairs", part.number), job.path("dropped", part.number)
    with artifacts.parquet_writer(path, SCHEMA) as kept:
        with artifacts.parquet_writer(dropped_path, SCHEMA) as dropped:
            rows = _rows(worker, part, figures)
            while some := list(islice(rows, _AT_ONCE)):
                table = _judged(worker, some, figures, extremes)
                is_kept = pa.compute.is_null(table.column("reason"))
                for writer, which in ((kept, is_kept), (dropped, pa.compute.invert(is_kept))):
                    for batch in table.filter(which).combine_chunks().to_batches():
                        writer.write(batch)
            dropped.close(stamp, "")
        extremes.write(job.path("examples", part.number), stamp)
        kept.close({**stamp, "summary": figures.as_dict()}, "")  # last: it says that all is there
    return part.number, storage.size_and_time(path)[0], figures.as_dict()


def _rows(worker: Worker, part: SamplePart, figures: PartFigures) -> Iterator[_Row]:
    """Yield the captions of a part's pairs; count the samples."""
    index, counts = worker.index, figures.counts
    size = worker.similarity.image_size if worker.similarity is not None else 1
    for sample in worker.samples.of(part, needs_image=False):
        counts["samples"] += 1
        pair = sample.pair
        if pair is None:
            figures.skipped[sample.reason] += 1
            counts["unread"] += 1
            continue
        places = index.places(pair.pair_id)
        counts["pairs" if places else "without"] += 1
        if not places:
            continue
        pixels = np.empty((3, size, size), np.uint8)
        try:
            if not sample.encoded:
                raise UnusableImageError("no_image", "")
            fit_into(pixels, decode_pixels(sample.encoded, size, worker.decoder)[0])
        except UnusableImageError as error:
            figures.skipped[error.reason] += 1
            continue
        for place in places:
            yield _Row(pair.pair_id, pair.text, pair.lang, index.sources[place.source],
                       index.read(place), index.lang_of(place), sample.encoded, pixels)  # fmt: skip


def _judged(
    worker: Worker, rows: Sequence[_Row], figures: PartFigures, extremes: Extremes
) -> pa.Table:
    """Return captions with their figures; count them."""
    alts, texts = [row.alt for row in rows], [row.text for row in rows]
    said, meant = (worker.langs(one) for one in (texts, alts))
    langs = [row.lang or lang for row, lang in zip(rows, meant, strict=True)]
    near = None
    if worker.similarity is not None:
        both = [f"{alt} {text}".strip() for alt, text in zip(alts, texts, strict=True)]
        near = worker.similarity.of([row.pixels for row in rows], alts, texts, both)
    entries = worker.entries.match(alts, texts, langs) if worker.entries else [None] * len(rows)
    table: list[dict[str, Any]] = []
    for i, row in enumerate(rows):
        words = units(row.text)
        values: dict[str, Any] = {
            "pair_id": row.pair_id, "source": row.source, "text": row.text,
            "lang": row.said_lang or said[i], "pair_lang": langs[i], "units": len(words),
            "repetition": repetition(words), "same_lang": said[i] == langs[i],
        }  # fmt: skip
        if near is not None:
            # Of a pair without alt-text there is nothing to compare with.
            values["similarity_caption"] = float(near[1][i])
            if row.alt:
                values |= {"similarity_alt": float(near[0][i]),
                           "similarity_both": float(near[2][i])}  # fmt: skip
        if (matched := entries[i]) is not None:
            alt, caption = matched
            values |= {"alt_entry_ids": alt, "entry_ids": caption,
                       "entries_gained": len({*caption} - {*alt})}  # fmt: skip
            values["entries_kept"] = len({*alt} & {*caption}) / len(alt) if alt else None
        values["reason"] = _reason(values, worker.job.options.max_repetition)
        _count(row, values, figures, extremes)
        table.append(values)
    return pa.table(
        {one.name: _array([row.get(one.name) for row in table], one.type) for one in SCHEMA},
        schema=SCHEMA,
    )


def _reason(values: dict[str, Any], max_repetition: float) -> str | None:
    if values["repetition"] > max_repetition:
        return "repeats_itself"
    return "loses_all_entries" if values.get("entries_kept") == 0 else None


def _count(row: _Row, values: dict[str, Any], figures: PartFigures, extremes: Extremes) -> None:
    figures.counts["captions"] += 1
    if values["reason"]:
        figures.dropped[values["reason"]] += 1
    shown = []
    for name in FIGURES:
        if values.get(name) is not None:
            figures.sums[name] += values[name]
            figures.nums[name] += 1
            shown.append(f"{name} {values[name]:.2f}")
    shown += [f"dropped: {values['reason']}"] if values["reason"] else []
    gain = values.get("similarity_caption", 0.0) - values.get("similarity_alt", 0.0)
    score = gain - values["repetition"] + 0.1 * (values.get("entries_kept") or 0.0)
    example = Example(score, row.pair_id, b"", row.alt, row.text, ", ".join(shown))
    extremes.add(example, row.encoded)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == _NAME:
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)
