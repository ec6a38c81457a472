"""Match one part of the input: what a worker of `curate match` does."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.compiled.arrow_buffers import string_buffers
from curate.curation.lid.identify import Languages
from curate.curation.matching.normalize import Normalization
from curate.curation.matching.reference import Matcher, match_by_language
from curate.errors import CurateError
from curate.files import storage
from curate.files.addresses import hide_secrets
from curate.files.disk_space import told_when_full
from curate.pipelines.caption_tables.instead import (
    TEXT_SOURCE,
    TEXT_SOURCE_TYPE,
    CaptionsInstead,
)
from curate.pipelines.executor.overlap import ahead
from curate.pipelines.inputs.filters import load_filters, with_usual_names
from curate.pipelines.inputs.ids import image_ids, pair_ids
from curate.pipelines.inputs.readers import read_part
from curate.pipelines.inputs.records import ColumnNames, Records, Reject, to_records
from curate.pipelines.inputs.rows import Part, Rows, Unreadable
from curate.pipelines.lid.languages import RecordLanguages
from curate.pipelines.lid.options import LidOptions
from curate.pipelines.match.records_together import RecordsTogether
from curate.pipelines.match.summary import PartSummary
from curate.pipelines.matched.facts import pair_facts
from curate.pipelines.matched.tombstones import RETRACTED, Tombstones
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore, combined_hash
from curate.pipelines.store.workspace import part_name

__all__ = ["MatchJob", "Worker", "match_part"]

# Language of records that were dropped before theirs was identified.
NO_LANGUAGE = ""

_MAY_BE_SPACE = np.array([b <= 0x20 or b in (0x7F, 0xC2, 0xE1, 0xE2, 0xE3) for b in range(256)])

_MATCHED_FIELDS = {
    "pair_id": pa.string(),
    "image_id": pa.string(),
    "lang": pa.dictionary(pa.int32(), pa.string()),
    "lang_score": pa.float32(),
    "entry_ids": pa.list_(pa.uint32()),
}
_REJECT_SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "row": pa.int64(),
        "num_rows": pa.int64(),
        "reason": pa.string(),
        "text": pa.string(),
        "detail": pa.string(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchJob:
    """What every worker of a run has to know; picklable."""

    output: str
    metadata: str
    hashes: dict[str, str]
    parameters: str
    normalization: Normalization
    lang: str | None
    lid_model: str
    columns: ColumnNames
    engine: str
    lid_engine: str
    lid: LidOptions
    threads: int
    filters: tuple[str, ...] = ()
    image_roots: tuple[str, ...] = ()
    captions: CaptionsInstead | None = None


class Worker:
    """What the parts of a worker share: the models and indices, each made when first needed."""

    def __init__(self, job: MatchJob) -> None:
        self.job = job
        self._store = MetadataStore(job.metadata, job.hashes)
        self._matchers: dict[str, Matcher] = {}
        self.languages = RecordLanguages(
            job.lang, job.hashes, job.lid_model, job.lid_engine, job.lid, job.threads
        )
        self._lock = threading.Lock()
        self.tombstones = Tombstones.read(job.output)
        self.filters = load_filters(job.filters)

    def matcher_of(self, lang: str) -> Matcher | None:
        """Return the matcher of a language, or None if there is no metadata for it."""
        if lang not in self.job.hashes:
            return None
        with self._lock:
            if lang not in self._matchers:
                self._matchers[lang] = self._store.matcher(
                    lang, self.job.normalization, self.job.engine, self.job.threads
                )
            return self._matchers[lang]


def match_part(worker: Worker, task: tuple[int, Part]) -> tuple[int, int, PartSummary]:
    """Match a part and publish its pairs, and before them its rejects if there are any.

    A part that is there already, because its worker was thought lost, is left as it is.

    Returns:
        Its number, the size of its file in bytes, and its counts, which also stand in the stamp
        of its file.

    Raises:
        CurateError: memory or the disk ran out, or Arrow cannot do what the columns ask for.
    """
    index, part = task
    path = _path(worker.job, "pairs", index)
    try:
        with told_when_full(worker.job.output):
            summary = _done_before(worker.job, path, part) or _match_part(worker, index, part)
        return index, storage.size_and_time(path)[0], summary
    except (pa.ArrowException, MemoryError, OSError) as error:
        raise CurateError(
            f"{part.name()}, from row {part.first_row} on: {type(error).__name__}: {error}. "
            "What is done is kept; run the same command again once this is mended."
        ) from error


def _made_from(job: MatchJob, part: Part) -> dict[str, Any]:
    return {"parameters": job.parameters, "part": part.as_dict()}


def _done_before(job: MatchJob, path: str, part: Part) -> PartSummary | None:
    if not storage.exists(path):
        return None
    stamp = artifacts.read_stamp(path)
    is_same = {name: stamp.get(name) for name in ("parameters", "part")} == _made_from(job, part)
    return PartSummary.from_dict(stamp["summary"]) if is_same else None


def _match_part(worker: Worker, index: int, part: Part) -> PartSummary:
    job = worker.job
    summary = PartSummary()
    metadata = combined_hash(job.hashes)
    made_from = _made_from(job, part)
    pairs = rejected = None
    # Left from the inside out: the rejects appear before the pairs, which say that all is there.
    with ExitStack() as pairs_stack, ExitStack() as rejects_stack:
        for item in ahead(_matched_batches(worker, part, summary)):
            if isinstance(item, pa.RecordBatch):
                pairs = pairs or pairs_stack.enter_context(
                    artifacts.parquet_writer(_path(job, "pairs", index), item.schema)
                )
                pairs.write(item)
            else:
                rejected = rejected or rejects_stack.enter_context(
                    artifacts.parquet_writer(_path(job, "rejected", index), _REJECT_SCHEMA)
                )
                rejected.write(_reject_batch(*item))
        pairs = pairs or pairs_stack.enter_context(
            artifacts.parquet_writer(_path(job, "pairs", index), _empty_schema(job))
        )
        if rejected is not None:
            rejected.close(made_from, metadata)
        pairs.close({**made_from, "summary": summary.as_dict()}, metadata)
    return summary


def _empty_schema(job: MatchJob) -> pa.Schema:
    more = {} if job.captions is None else {TEXT_SOURCE: TEXT_SOURCE_TYPE}
    return pa.schema({**_MATCHED_FIELDS, **more})


def _path(job: MatchJob, folder: str, index: int) -> str:
    return storage.join(job.output, folder, part_name(index, "parquet"))


def _reject_batch(path: str, rejects: list[Reject]) -> pa.RecordBatch:
    rows = [
        {
            "file": path,
            **{name: getattr(reject, name) for name in reject.__slots__},
            "detail": hide_secrets(reject.detail),
        }
        for reject in rejects
    ]
    return pa.RecordBatch.from_pylist(rows, _REJECT_SCHEMA)


def _matched_batches(
    worker: Worker, part: Part, summary: PartSummary
) -> Iterator[pa.RecordBatch | tuple[str, list[Reject]]]:
    """Yield the pairs of a part and its rejects, batch by batch; sum up on the way."""
    waiting = RecordsTogether()
    for path, found in _records(worker, part, summary):
        if not isinstance(found, Records):
            yield path, found
            continue
        if waiting.records and not waiting.takes(found):
            yield _match_records(worker, waiting.take_all(), summary, part)
        if part.more:  # rows of small files are matched together
            waiting.add(found)
        else:
            yield _match_records(worker, found, summary, part)
    if waiting.records:
        yield _match_records(worker, waiting.take_all(), summary, part)


def _records(
    worker: Worker, part: Part, summary: PartSummary
) -> Iterator[tuple[str, Records | list[Reject]]]:
    """Yield the usable records of a part's files and their rejects, with the path of the file."""
    lost = None
    for path, rows in ahead(_rows(worker, part)):
        if isinstance(rows, Unreadable):
            summary.add(NO_LANGUAGE, rows.reason, rows.num_rows)
            if rows.is_file and path != lost:
                lost = path
                summary.lost_files += 1
            yield path, [Reject(rows.row, rows.num_rows, rows.reason, None, rows.detail)]
            continue
        records, bad = to_records(rows, worker.job.columns, path)
        for reject in bad:
            summary.add(NO_LANGUAGE, reject.reason, 1)
        if bad:
            yield path, bad
        yield path, _filter_records(worker, records, summary)


def _rows(worker: Worker, part: Part) -> Iterator[tuple[str, Rows | Unreadable]]:
    for piece in part.pieces():
        for rows in read_part(piece, worker.job.image_roots):
            yield piece.path, rows


def _filter_records(worker: Worker, records: Records, summary: PartSummary) -> Records:
    if not worker.filters.filters:
        return records
    batch = with_usual_names(records.batch, records.texts, records.urls)
    keep, dropped = worker.filters.keep(batch)
    for reason, num in dropped.items():
        summary.add(NO_LANGUAGE, reason, num)
    return records.select(keep)


def _match_records(
    worker: Worker, records: Records, summary: PartSummary, part: Part
) -> pa.RecordBatch:
    if worker.job.captions is not None:
        records = worker.job.captions.texts_of(records)
    blank = _is_blank(records.texts)
    summary.add(NO_LANGUAGE, "empty_text", int(blank.sum()))
    records = records.select(~blank) if blank.any() else records
    langs, unknown, steps = worker.languages.of(records)
    summary.add_unknown_labels(unknown)
    summary.add_steps(steps)
    matches = match_by_language(records.texts, langs.lang, worker.matcher_of)
    has_entries = pc.list_value_length(matches.entry_ids).to_numpy() > 0
    mask = pa.array(has_entries)
    kept = records.select(has_entries)
    columns = {
        "pair_id": pair_ids(kept),
        "image_id": image_ids(kept),
        "lang": langs.lang.filter(mask),
        "lang_score": pa.array(langs.score, pa.float32(), from_pandas=True).filter(mask),
        "entry_ids": matches.entry_ids.filter(mask),
    }
    if worker.job.captions is not None:
        columns[TEXT_SOURCE] = kept.batch.column(TEXT_SOURCE)
    batch = _with_columns(kept.batch, columns)
    hits = worker.tombstones.hits(batch, part)
    what = np.where(has_entries, 0, np.where(matches.has_metadata, 1, 2))
    what[_without_language(langs)] = 3  # whose language, "", has no entries
    what[np.flatnonzero(has_entries)[hits]] = 4
    kinds = ("matched", "no_match", "no_metadata", "no_language", RETRACTED)
    counts = np.bincount(len(kinds) * langs.lang.indices.to_numpy() + what)
    for code, num in enumerate(counts.tolist()):
        lang, kind = divmod(code, len(kinds))
        summary.add(langs.lang.dictionary[lang].as_py(), kinds[kind], num)
    for kind in (1, 2, 3):  # dropped here; a retracted text is shown to nobody
        dropped = np.flatnonzero(what == kind)
        summary.add_examples(kinds[kind], dropped, records.rows, records.texts, langs.lang)
    batch = batch.filter(pa.array(~hits)) if hits.any() else batch
    summary.add_facts(pair_facts(batch, worker.job.columns))
    return batch


def _is_blank(texts: pa.StringArray) -> NDArray[np.bool_]:
    """Tell which texts are nothing but white space."""
    data, offsets = string_buffers(texts)
    blank: NDArray[np.bool_] = offsets[1:] == offsets[:-1]
    first = data[np.minimum(offsets[:-1], len(data) - 1)]
    # White space begins with a control character or a space, or with one of these bytes.
    open_ = np.flatnonzero(~blank & (_MAY_BE_SPACE[first]))
    if len(open_):
        trimmed = pc.utf8_trim_whitespace(texts.take(pa.array(open_)))
        blank[open_] = pc.equal(pc.binary_length(trimmed), 0).to_numpy(zero_copy_only=False)
    return blank


def _without_language(langs: Languages) -> NDArray[np.int64]:
    """Return the rows of the texts that are in no language."""
    names = langs.lang.dictionary.to_pylist()
    if NO_LANGUAGE not in names:
        return np.zeros(0, np.int64)
    return np.flatnonzero(langs.lang.indices.to_numpy() == names.index(NO_LANGUAGE))


def _with_columns(batch: pa.RecordBatch, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """Return the input's columns and ours after them; of the same name, ours."""
    names = [n for n in batch.schema.names if n not in columns]
    arrays = [batch.column(n) for n in names]
    schema = pa.schema(
        [batch.schema.field(n) for n in names]
        + [pa.field(n, _MATCHED_FIELDS.get(n, TEXT_SOURCE_TYPE)) for n in columns]
    )
    return pa.RecordBatch.from_arrays([*arrays, *columns.values()], schema=schema)
