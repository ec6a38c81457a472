"""WebDataset tars: the members of one key are a sample.

Images stay where they are: a row says in which file, at which offset and how long, so that
`balance` can fetch the kept ones and nothing else is copied.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.rows import (
    BATCH_BYTES,
    BATCH_ROWS,
    MAX_TEXT_BYTES,
    Part,
    Problem,
    Rows,
    Unreadable,
)
from curate.training.data.captions import caption_of, json_object
from curate.training.data.promised import promised_samples
from curate.training.tars.kernels import COMPOUND, RANK
from curate.training.tars.members import TarBytes, open_tar, scan
from curate.training.tars.names import IMAGE_SUFFIXES
from curate.training.tars.samples import TarSamples, find_samples

__all__ = ["IMAGE_SUFFIXES", "read_tar"]

SCHEMA = pa.schema(
    {
        "uid": pa.string(),
        "url": pa.string(),
        "text": pa.binary(),
        "lang": pa.string(),
        "json": pa.binary(),
        "image_file": pa.string(),
        "image_offset": pa.int64(),
        "image_size": pa.int64(),
        "image_ext": pa.string(),
    }
)


def read_tar(part: Part) -> Iterator[Rows | Unreadable]:
    """Yield the samples of a WebDataset tar as rows of `SCHEMA`.

    A tar that is damaged or cut off gives the samples before that, and says that a file is lost;
    so does one that has fewer samples than the index or the statistics beside it promise.
    """
    with open_tar(part.source) as source:
        try:
            members = scan(source)
            samples = find_samples(members)
            # The last sample before damage may have had more members: it is lost with the rest.
            num_whole = len(samples) - (members.problem is not None and len(samples) > 0)
            yield from _batches(source, samples, num_whole, part.path)
        except OSError as error:
            if is_transient(error):
                raise
            yield Unreadable(None, 1, "unreadable_file", str(error), is_file=True)
            return
        missing = max(0, (promised_samples(part.source) or 0) - num_whole)
        if members.problem is not None:
            lost = max(1, missing)
            detail = str(members.problem)
            yield Unreadable(num_whole, lost, "unreadable_file", detail, is_file=True)
        elif missing:
            detail = f"{len(samples)} samples; {len(samples) + missing} are promised beside it"
            yield Unreadable(len(samples), missing, "missing_sample", detail, is_file=True)


def _batches(source: TarBytes, samples: TarSamples, num: int, path: str) -> Iterator[Rows]:
    first = size = 0
    rows: list[dict[str, Any]] = []
    problems: dict[int, Problem] = {}
    for number in range(num):
        row, problem = _sample(source, samples, number, path)
        if problem is not None:
            problems[len(rows)] = problem
        rows.append(row)
        size += len(row["text"] or b"") + len(row["json"] or b"")
        if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield Rows(first, pa.RecordBatch.from_pylist(rows, SCHEMA), problems)
            first, size, rows, problems = number + 1, 0, [], {}
    if rows:
        yield Rows(first, pa.RecordBatch.from_pylist(rows, SCHEMA), problems)


def _sample(
    source: TarBytes, samples: TarSamples, number: int, path: str
) -> tuple[dict[str, Any], Problem | None]:
    """Return the row of a sample, and why it cannot be used if so."""
    raw_json, problem = _content(source, samples, int(samples.json[number]))
    text, too_long = _content(source, samples, int(samples.text[number]))
    value = json_object(raw_json) if raw_json else {}
    fields = {k: v for k, v in value.items() if isinstance(v, str) and _encodable(v)}
    text = caption_of({} if text is None else {"txt": text}, fields)
    problem = too_long or problem
    if samples.is_unclear[number]:
        problem = Problem("unclear_sample", samples.problem(source, number))
    elif text is None and problem is None:
        problem = Problem("null_text", samples.problem(source, number))
    image = int(samples.image[number])
    at, size = samples.place(image) if image >= 0 else (None, None)
    rank = int(samples.members.table[image, RANK]) if image >= 0 else 0
    row = {
        "uid": fields.get("uid", samples.key(source, number)),
        "url": fields.get("url"),
        "text": text,
        "lang": fields.get("lang"),
        "json": raw_json,
        "image_file": path if image >= 0 else None,
        "image_offset": at,
        "image_size": size,
        "image_ext": IMAGE_SUFFIXES[rank % COMPOUND] if image >= 0 else None,
    }
    return row, problem


def _content(
    source: TarBytes, samples: TarSamples, member: int
) -> tuple[bytes | None, Problem | None]:
    """Return the content of a text, which must not be too long to be one."""
    if member < 0:
        return None, None
    at, size = samples.place(member)
    if size > MAX_TEXT_BYTES:
        return None, Problem("text_too_long", f"{size} bytes; expected at most {MAX_TEXT_BYTES}")
    return source.read(at, size), None


def _encodable(value: str) -> bool:
    """Tell whether a string has no lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
