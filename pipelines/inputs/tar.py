"""WebDataset tars: the members of one key are a sample.

Images stay where they are: a row says in which file, at which offset and how long, so that
`balance` can fetch the kept ones and nothing else is copied.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.columns.values import number_strings
from curate.pipelines.inputs.rows import (
    BATCH_BYTES,
    BATCH_ROWS,
    MAX_TEXT_BYTES,
    Part,
    Problem,
    Rows,
    Unreadable,
)
from curate.training.tars.captions import caption_of, json_object
from curate.training.tars.members import TarBytes, open_tar, scan
from curate.training.tars.names import IMAGE_SUFFIXES
from curate.training.tars.promised import promised_samples
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
        "image_more": pa.int32(),
    }
)
_JSON_URLS = ("url", "URL", "image_url")
# Those of shards, and those that shards convert; the first one is a sample's image.
_IMAGES = (*IMAGE_SUFFIXES, "gif", "bmp", "tif", "tiff", "avif")


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
            yield from _batches(source, samples, num_whole, part)
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


def _batches(source: TarBytes, samples: TarSamples, num: int, part: Part) -> Iterator[Rows]:
    first = size = 0
    rows: list[dict[str, Any]] = []
    problems: dict[int, Problem] = {}
    for number in range(num):
        row, problem = _sample(source, samples, number, part)
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
    source: TarBytes, samples: TarSamples, number: int, part: Part
) -> tuple[dict[str, Any], Problem | None]:
    """Return the row of a sample, and why it cannot be used if so."""
    raw_json, problem = _content(source, samples, int(samples.json[number]))
    text, too_long = _content(source, samples, int(samples.text[number]))
    value = json_object(raw_json) if raw_json else {}
    fields = {k: v for k, v in value.items() if not isinstance(v, str) or _encodable(v)}
    text = caption_of({} if text is None else {"txt": text}, fields)
    problem = too_long or problem
    if samples.is_unclear[number]:
        problem = Problem("unclear_sample", samples.problem(source, number))
    elif text is None and problem is None:
        problem = Problem("null_text", samples.problem(source, number))
    image, suffix, num_images = _image(source, samples, number)
    at, size = samples.place(image) if image >= 0 else (None, None)
    row = {
        "uid": json_id(fields.get("uid")) or sample_id(samples.key(source, number), part.id_prefix),
        "url": _first_string(fields, _JSON_URLS),
        "text": text,
        "lang": _first_string(fields, ("lang",)),
        "json": raw_json,
        "image_file": part.path if image >= 0 else None,
        "image_offset": at,
        "image_size": size,
        "image_ext": suffix,
        "image_more": max(0, num_images - 1),
    }
    return row, problem


def sample_id(key: str, prefix: str | None) -> str:
    """Return a sample's id: its whole key, behind the tar's name if there is one to tell it from.

    >>> sample_id("cats/0000", None), sample_id("./0000", "shard-3")
    ('cats/0000', 'shard-3/0000')
    """
    whole = key.removeprefix("./")
    return whole if prefix is None else f"{prefix}/{whole}"


def sample_images(suffixes: Iterable[str]) -> list[str]:
    """Return the suffixes of a sample's images, that of the image of the pair first.

    >>> sample_images(["2.jpg", "seg.png", "json", "webp"])
    ['webp', '2.jpg', 'seg.png']
    """
    found = [s for s in suffixes if s.rpartition(".")[2] in _IMAGES]
    return sorted(found, key=lambda s: _IMAGES.index(s) if s in _IMAGES else len(_IMAGES))


def json_id(value: object) -> str | None:
    """Return an id out of JSON as a string: a number too, without exponent; None if it is none.

    >>> json_id(7), json_id(7.0), json_id("a"), json_id(None), json_id(["a"])
    ('7', '7', 'a', None, None)
    """
    if isinstance(value, float):
        written: str | None = number_strings(pa.array([value]))[0].as_py()
        return written
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _image(source: TarBytes, samples: TarSamples, number: int) -> tuple[int, str | None, int]:
    """Return the member that is a sample's image, -1 without one, its suffix, and how many are."""
    if samples.is_unclear[number]:
        return -1, None, 0
    members = dict(samples.suffixes(source, number))
    images = sample_images(members)
    if not images:
        return -1, None, 0
    return members[images[0]], images[0].rpartition(".")[2], len(images)


def _first_string(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    found = (fields.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value), None)


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
