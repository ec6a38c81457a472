"""`curate judge-captions`: captions, shards → those that are good, figures of all, and a page.

One pass over the shards. What comes out is small beside them, so it is written at the end, whole.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
from PIL import Image

from curate.curation.lid.identify import FastTextIdentifier, default_lid_model
from curate.curation.matching.normalize import Normalization
from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.caption_tables.check import require_joined
from curate.pipelines.caption_tables.join import CaptionOptions, caption_identity, joined_captions
from curate.pipelines.executor.lease import driven
from curate.pipelines.judge_captions.entries import EntryTally
from curate.pipelines.judge_captions.page import Example, render_examples, thumbnail
from curate.pipelines.judge_captions.similarity import Similarity
from curate.pipelines.judge_captions.texts import repetition, units
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress
from curate.training.captions.lookup import CaptionIndex
from curate.training.data.images import decode, resolve_decoder
from curate.training.data.sampler import Sample
from curate.training.data.samples import Reader
from curate.training.data.shards import OpenShards, index_shard, list_shards, open_local

__all__ = ["SUMMARY", "JudgeOptions", "judge_captions"]

SUMMARY = "summary.json"
_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    {
        "pair_id": pa.string(), "source": _NAME, "text": pa.string(), "lang": _NAME,
        "reason": _NAME, "similarity_alt": pa.float32(), "similarity_caption": pa.float32(),
        "similarity_both": pa.float32(), "entries_kept": pa.float32(), "entries_gained":
        pa.int32(), "repetition": pa.float32(), "units": pa.int32(), "same_lang": pa.bool_(),
    }
)  # fmt: skip
_AT_ONCE, _EXAMPLES = 256, 24
_FIGURES = ("similarity_alt", "similarity_caption", "similarity_both", "entries_kept",
            "repetition", "units", "same_lang")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """What captions are judged by.

    Attributes:
        captions: tables, as `--captions` names them.
        model: of similarities; None: none.
        metadata: of entries; None: none.
        normalization: of entries and texts.
        max_repetition: share of repeated trigrams above which a caption is dropped.
        tail_below: pairs, in alt-texts, up to which an entry is of the tail.
        device: of the model.
    """

    captions: CaptionOptions
    model: str | None = None
    metadata: str | None = None
    normalization: Normalization = "standard"
    max_repetition: float = 0.3
    tail_below: int = 5
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if not self.captions.tables:
            raise UsageError("there is nothing to judge: name a table with --captions")
        if not 0 <= self.max_repetition <= 1:
            raise UsageError(f"--max-repetition is {self.max_repetition}; expected 0 to 1")


@dataclass(slots=True)
class _Row:
    """A caption, its pair, and what is found of both."""

    pair_id: str
    alt: str
    lang: str | None
    image: Image.Image
    source: str
    text: str


@driven("judge-captions")
def judge_captions(
    *, shards: str, output: str, options: JudgeOptions, overwrite: bool = False,
    dry_run: bool = False, quiet: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Judge captions beside the images and alt-texts of their pairs.

    Args:
        shards: folder of tars.
        output: folder for the result.
        options: by what.
        overwrite: replace what is there.
        dry_run: only count shards and captions.
        quiet: no progress.

    Returns:
        ``captions`` = ``kept`` + Σ ``dropped``; ``means``, ``entries``, ``unknown_pairs``.

    Raises:
        ArtifactError: the folder holds something else.
        InputError: no caption is of a pair of the shards.
    """
    tars = list_shards(shards)
    identity = caption_identity(options.captions) or {}
    index = joined_captions(options.captions, identity["tables"], quiet=quiet)
    assert index is not None
    if dry_run:
        return {"shards": len(tars), "captions": len(index)}
    refuse_foreign(output, SUMMARY, "captions.parquet", "dropped.parquet", "page.html")
    if storage.exists(storage.join(output, SUMMARY)) and not overwrite:
        raise ArtifactError(f"{output} is there already. Replace it with --overwrite.")
    require_joined(index, options.captions.tables, tars, open_local)
    judge = _Judge(options, index)
    paths = [storage.join(output, f"{name}.parquet") for name in ("captions", "dropped")]
    stamp = {"captions": identity["tables"], "max_repetition": options.max_repetition}
    with artifacts.parquet_writer(paths[0], SCHEMA) as kept:
        with artifacts.parquet_writer(paths[1], SCHEMA) as dropped:
            shown = progress(iter(tars), total=len(tars), label="judge", unit="shard", quiet=quiet)
            for tar in shown:
                rows = judge.rows(tar)
                while some := list(islice(rows, _AT_ONCE)):
                    good, bad = judge.of(some)
                    kept.write(good)
                    dropped.write(bad)
            dropped.close(stamp, "")
        kept.close(stamp, "")
    found = judge.summary()
    with storage.publish(storage.join(output, "page.html")) as file:
        file.write(judge.page(found).encode())
    artifacts.write_json(storage.join(output, SUMMARY), found)
    return {**found, "output": output}


class _Judge:
    """Judges captions batch by batch, and keeps count."""

    def __init__(self, options: JudgeOptions, index: CaptionIndex) -> None:
        self._options, self._index = options, index
        self._similarity = Similarity(options.model, options.device) if options.model else None
        self._tally = (
            EntryTally(options.metadata, options.normalization) if options.metadata else None
        )
        self._lid = FastTextIdentifier(default_lid_model())
        self._files = OpenShards()
        self._reader = Reader(self._files, resolve_decoder("auto"), needs_text=False)
        self._dropped: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._nums: Counter[str] = Counter()
        self._pairs = self._without = self._captions = 0
        self._best: list[tuple[float, int, Example]] = []
        self._worst: list[tuple[float, int, Example]] = []

    def rows(self, tar: str) -> Iterator[_Row]:
        """Yield the captions of a shard's pairs."""
        shard = index_shard(tar, self._files.open_file)
        for number in range(len(shard.places)):
            sample = Sample(shard, number, 0, shard.places[number].tolist())
            found = self._reader.fetch(sample) if sample.places[3] > 0 else "no_image"
            if isinstance(found, str):
                self._skipped[found] += 1
                continue
            pair, encoded = found
            places = self._index.places(pair.pair_id)
            if not places:
                self._without += 1
                continue
            self._pairs += 1
            try:
                image = decode(encoded)
            except (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError,
                    Image.DecompressionBombError, Image.DecompressionBombWarning):  # fmt: skip
                self._skipped["corrupt_image"] += 1
                continue
            for place in places:
                yield _Row(pair.pair_id, pair.text, pair.lang, image,
                           self._index.sources[place.source], self._index.read(place))  # fmt: skip

    def of(self, rows: Sequence[_Row]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Judge captions; return those that are kept, and the others, with their figures."""
        alts, texts = [row.alt for row in rows], [row.text for row in rows]
        said, meant = (self._langs(one) for one in (texts, alts))
        langs = [row.lang or lang for row, lang in zip(rows, meant, strict=True)]
        both = [f"{alt} {text}".strip() for alt, text in zip(alts, texts, strict=True)]
        images = [row.image for row in rows]
        near = self._similarity.of(images, alts, texts, both) if self._similarity else None
        entries = self._tally.add(alts, texts, langs) if self._tally else [None] * len(rows)
        table: list[dict[str, Any]] = []
        for i, row in enumerate(rows):
            values: dict[str, Any] = {
                "pair_id": row.pair_id, "source": row.source, "text": row.text, "lang": langs[i],
                "units": len(units(row.text)), "repetition": repetition(units(row.text)),
                "same_lang": said[i] == langs[i], "reason": None,
            }  # fmt: skip
            if near is not None:
                # Of a pair without alt-text there is nothing to compare with.
                values["similarity_caption"] = float(near[1][i])
                if row.alt:
                    values |= {"similarity_alt": float(near[0][i]),
                               "similarity_both": float(near[2][i])}  # fmt: skip
            if (matched := entries[i]) is not None:
                alt, caption = matched
                values["entries_gained"] = len(caption - alt)
                values["entries_kept"] = len(alt & caption) / len(alt) if alt else None
            values["reason"] = self._reason(values)
            self._count(row, values)
            table.append(values)
        columns = {f.name: [v.get(f.name) for v in table] for f in SCHEMA}
        whole = pa.table({f.name: _array(columns[f.name], f.type) for f in SCHEMA}, schema=SCHEMA)
        is_kept = pa.array([v["reason"] is None for v in table])
        is_bad = pa.array([v["reason"] is not None for v in table])
        return tuple(
            part.combine_chunks().to_batches()[0] if part.num_rows else _none()
            for part in (whole.filter(is_kept), whole.filter(is_bad))
        )

    def _langs(self, texts: Sequence[str]) -> list[str]:
        found: list[str] = self._lid.identify(pa.array(list(texts), pa.string())).lang.to_pylist()
        return found

    def _reason(self, values: dict[str, Any]) -> str | None:
        if values["repetition"] > self._options.max_repetition:
            return "repeats_itself"
        return "loses_all_entries" if values.get("entries_kept") == 0 else None

    def _count(self, row: _Row, values: dict[str, Any]) -> None:
        self._captions += 1
        if values["reason"]:
            self._dropped[values["reason"]] += 1
        for name in _FIGURES:
            if values.get(name) is not None:
                self._sums[name] += values[name]
                self._nums[name] += 1
        gain = values.get("similarity_caption", 0.0) - values.get("similarity_alt", 0.0)
        score = gain - values["repetition"] + 0.1 * (values.get("entries_kept") or 0.0)
        for heap, key in ((self._best, score), (self._worst, -score)):
            if len(heap) == _EXAMPLES and key <= heap[0][0]:
                continue
            words = ", ".join(f"{name} {values[name]:.2f}" for name in _FIGURES
                              if values.get(name) is not None)  # fmt: skip
            figures = words + (f", dropped: {values['reason']}" if values["reason"] else "")
            example = Example(score, row.pair_id, thumbnail(row.image), row.alt, row.text, figures)
            heapq.heappush(heap, (key, self._captions, example))
            if len(heap) > _EXAMPLES:
                heapq.heappop(heap)

    def summary(self) -> dict[str, Any]:
        """Return what was found of all captions."""
        note = self._index.note
        return {
            "schema_version": artifacts.SCHEMA_VERSION, "captions": self._captions,
            "kept": self._captions - self._dropped.total(),
            "dropped": dict(sorted(self._dropped.items())), "pairs": self._pairs,
            "pairs_without": self._without, "unknown_pairs": note["pairs"] - self._pairs,
            "skipped": dict(sorted(self._skipped.items())), "left_out": note["dropped"],
            "means": {n: round(self._sums[n] / self._nums[n], 6) for n in _FIGURES
                      if self._nums[n]},
            "entries": self._tally.summary(self._options.tail_below) if self._tally else {},
        }  # fmt: skip

    def page(self, found: dict[str, Any]) -> str:
        """Return the page of the best and the worst."""
        shown = {name: found[name] for name in ("captions", "kept", "dropped", "means")}
        best = [e for _, _, e in sorted(self._best, key=lambda one: (-one[0], one[1]))]
        worst = [e for _, _, e in sorted(self._worst, key=lambda one: (-one[0], one[1]))]
        return render_examples(shown, best, worst)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == _NAME:
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _none() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=SCHEMA)
