"""Extract the pairs of one crawl file: what a worker of `curate extract` does."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.curation.hashing.ids import short_hashes
from curate.errors import CurateError
from curate.files import storage
from curate.files.addresses import hide_secrets, without_secrets
from curate.pipelines.extract.page_watch import PageWatch
from curate.pipelines.extract.pages import BadPageError, PageOptions, PageRows
from curate.pipelines.extract.records import CrawlRecord, SkippedRecord, read_records
from curate.pipelines.extract.summary import BAD_REASONS, ExtractSummary
from curate.pipelines.inputs.filters import Filters, load_filters
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["PAIR_SCHEMA", "ExtractJob", "Worker", "extract_part"]

PAIR_SCHEMA = pa.schema(
    {
        "url": pa.string(),
        "image_id": pa.string(),
        "text": pa.string(),
        "text_key": pa.dictionary(pa.int32(), pa.string()),
        "page_url": pa.string(),
        "page_lang": pa.dictionary(pa.int32(), pa.string()),
        "crawl_file": pa.dictionary(pa.int32(), pa.string()),
        "crawl_offset": pa.int64(),
    }
)
_REJECT_SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "offset": pa.int64(),
        "reason": pa.string(),
        "page_url": pa.string(),
        "detail": pa.string(),
    }
)
_BATCH_ROWS = 1 << 13
_BATCH_CHARACTERS = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractJob:
    """What every worker of a run has to know; picklable.

    Attributes:
        parameters: digest of what decides the result.
        pairs: folder of the pairs.
        rejected: folder of the records that could not be used.
        options: which pairs a page gives.
        filters: as on the command line.
    """

    parameters: str
    pairs: str
    rejected: str
    options: PageOptions
    filters: tuple[str, ...]


class Worker:
    """What the files of a worker share: the filters, and the process for large pages."""

    def __init__(self, job: ExtractJob) -> None:
        self.job = job
        self.filters: Filters = load_filters(job.filters)
        self.watch = PageWatch(job.options)


def extract_part(worker: Worker, task: tuple[int, str, str]) -> tuple[int, ExtractSummary]:
    """Extract the pairs of a file and publish them, and before them its rejects if there are any.

    Args:
        worker: of this process.
        task: number of the file, where it is opened, and the digest that tells it from others.

    Raises:
        CurateError: memory or the disk ran out, or a filter failed.
    """
    index, path, part = task
    try:
        return index, _extract_part(worker, index, path, part)
    except (pa.ArrowException, MemoryError, OSError) as error:
        raise CurateError(
            f"{path}: {type(error).__name__}: {error}. What is done is kept; run the same command "
            "again once this is mended."
        ) from error
    finally:
        worker.watch.close()


def _extract_part(worker: Worker, index: int, path: str, part: str) -> ExtractSummary:
    job, summary, name = worker.job, ExtractSummary(), part_name(index, "parquet")
    stamp: dict[str, Any] = {"parameters": job.parameters, "part": part}
    rejected = None
    # Left from the inside out: the rejects appear before the pairs, which say that all is there.
    with ExitStack() as pairs_stack, ExitStack() as rejects_stack:
        pairs = pairs_stack.enter_context(
            artifacts.parquet_writer(storage.join(job.pairs, name), PAIR_SCHEMA)
        )
        for item in _items(worker, path, summary):
            if isinstance(item, pa.RecordBatch):
                pairs.write(item)
                continue
            rejected = rejected or rejects_stack.enter_context(
                artifacts.parquet_writer(storage.join(job.rejected, name), _REJECT_SCHEMA)
            )
            rejected.write(_reject_batch(path, item))
        if rejected is not None:
            rejected.close(stamp, "")
        pairs.close({**stamp, "summary": summary.as_dict()}, "")
    return summary


def _reject_batch(path: str, skipped: SkippedRecord) -> pa.RecordBatch:
    row = {"file": without_secrets(path), "offset": skipped.offset, "reason": skipped.reason,
           "page_url": skipped.page_url, "detail": hide_secrets(skipped.detail)}  # fmt: skip
    return pa.RecordBatch.from_pylist([row], _REJECT_SCHEMA)


def _items(
    worker: Worker, path: str, summary: ExtractSummary
) -> Iterator[pa.RecordBatch | SkippedRecord]:
    """Yield the pairs of a file in batches, and its bad records; sum up on the way."""
    rows = _Rows(without_secrets(path))
    for record in read_records(path, worker.job.options.max_page_bytes):
        if isinstance(record, CrawlRecord):
            try:
                with _without_collector():
                    page = worker.watch.rows(record)
            except BadPageError as error:
                record = SkippedRecord(
                    offset=record.offset, reason=str(error), page_url=record.page_url
                )
            else:
                summary.records["page"] += 1
                summary.pairs.update(page.dropped)
                summary.opt_outs.update(page.opt_outs)
                for batch in rows.add(page, record.offset):
                    yield _filtered(worker, batch, summary)
                continue
        summary.records[record.reason] += 1
        summary.lost_files |= record.is_file_lost
        if record.reason in BAD_REASONS:
            yield record
    yield _filtered(worker, rows.batch(), summary)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Spare the search for cycles, of which the nodes of a page have none: a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _filtered(worker: Worker, batch: pa.RecordBatch, summary: ExtractSummary) -> pa.RecordBatch:
    if worker.filters.filters and batch.num_rows:
        keep, dropped = worker.filters.keep(batch)
        summary.pairs.update(dropped)
        batch = batch.filter(pa.array(keep))
    summary.pairs["pairs"] += batch.num_rows
    return batch


class _Rows:
    """Rows that wait to become a batch."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._clear()

    def _clear(self) -> None:
        self._columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
        self._characters = 0

    def add(self, page: PageRows, offset: int) -> Iterator[pa.RecordBatch]:
        """Add the rows of a page; yield batches that are full."""
        for row in zip(page.urls, page.texts, page.text_keys, strict=True):
            for column, value in zip(
                self._columns, (*row, page.page_url, page.page_lang, offset), strict=True
            ):
                column.append(value)
            self._characters += len(row[0]) + len(row[1]) + len(page.page_url)
            if len(self._columns[0]) >= _BATCH_ROWS or self._characters >= _BATCH_CHARACTERS:
                yield self.batch()

    def batch(self) -> pa.RecordBatch:
        """Return the rows that wait, and wait for others."""
        urls, texts, keys, pages, langs, offsets = self._columns
        url_array = pa.array(urls, pa.string())
        files = pa.DictionaryArray.from_arrays(
            pa.array([0] * len(urls), pa.int32()), artifacts.strings([self._path])
        )
        self._clear()
        return pa.RecordBatch.from_arrays(
            [
                url_array,
                short_hashes(url_array),
                pa.array(texts, pa.string()),
                pa.array(keys, pa.string()).dictionary_encode(),
                pa.array(pages, pa.string()),
                pa.array(langs, pa.string()).dictionary_encode(),
                files,
                pa.array(offsets, pa.int64()),
            ],
            schema=PAIR_SCHEMA,
        )
