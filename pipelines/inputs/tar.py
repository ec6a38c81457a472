"""WebDataset tars: neighbouring members of one key are a sample.

Images stay where they are: a row says in which file, at which offset and how long, so that
`balance` can fetch the kept ones and nothing else is copied.
"""

import json
import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa

from curate.files import storage
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.rows import BATCH_BYTES, BATCH_ROWS, Part, Rows, Unreadable
from curate.training.data.captions import TEXT_SUFFIXES, caption_of
from curate.training.eval.files import IMAGE_SUFFIXES, whole_members

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
    """Yield the samples of a WebDataset tar as rows of `SCHEMA`."""
    size_bytes, _ = storage.size_and_time(part.source)
    with storage.open_read(part.source) as file:
        row = first = size = 0
        rows: list[dict[str, Any]] = []
        problem: Unreadable | None = None
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for row, sample in enumerate(_samples(tar, size_bytes, part.path)):
                    rows.append(sample)
                    size += len(sample["text"] or b"") + len(sample["json"] or b"")
                    if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
                        yield Rows(first, pa.RecordBatch.from_pylist(rows, SCHEMA))
                        first, size, rows = row + 1, 0, []
        except (tarfile.TarError, OSError, EOFError) as error:
            if is_transient(error):
                raise
            problem = Unreadable(first + len(rows), 1, "unreadable_file", str(error), is_file=True)
        if rows:
            yield Rows(first, pa.RecordBatch.from_pylist(rows, SCHEMA))
        if problem:
            yield problem


def _key_and_suffix(name: str) -> tuple[str, str]:
    """Split as WebDataset does: at the first point of the file name.

    >>> _key_and_suffix("a.b/000.seg.PNG")
    ('a.b/000', 'seg.png')
    """
    folder, _, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), suffix.lower()


def _samples(tar: tarfile.TarFile, tar_size: int, path: str) -> Iterator[dict[str, Any]]:
    members = (member for member in whole_members(tar, tar_size) if member.isfile())
    for key, group in groupby(members, lambda member: _key_and_suffix(member.name)[0]):
        yield _sample(tar, path, key, list(group))


def _sample(
    tar: tarfile.TarFile, path: str, key: str, members: list[tarfile.TarInfo]
) -> dict[str, Any]:
    by_suffix = {_key_and_suffix(m.name)[1]: m for m in members}
    raw_json = _content(tar, by_suffix.get("json"))
    fields = _json_object(raw_json)
    texts = {s: _content(tar, by_suffix[s]) or b"" for s in TEXT_SUFFIXES if s in by_suffix}
    text = caption_of(texts, fields)
    image = next((by_suffix[s] for s in IMAGE_SUFFIXES if s in by_suffix), None)
    return {
        "uid": fields.get("uid", _printable(key.rpartition("/")[2])),
        "url": fields.get("url"),
        "text": text,
        "lang": fields.get("lang"),
        "json": raw_json,
        "image_file": path if image else None,
        "image_offset": image.offset_data if image else None,
        "image_size": image.size if image else None,
        "image_ext": _key_and_suffix(image.name)[1] if image else None,
    }


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes | None:
    file = tar.extractfile(member) if member else None
    return file.read() if file else None


def _json_object(raw: bytes | None) -> dict[str, str]:
    """Return the string values of a sample's JSON; {} where it is none, the text may still do."""
    try:
        value = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    strings = {k: v for k, v in value.items() if isinstance(v, str)}
    return {k: v for k, v in strings.items() if _encodable(v)}


def _printable(name: str) -> str:
    r"""Return a member's name with bytes that are no UTF-8 spelled out, each in its own way.

    >>> _printable("a\udcff")
    'a\\xff'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _encodable(value: str) -> bool:
    """Tell whether a string has no lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
