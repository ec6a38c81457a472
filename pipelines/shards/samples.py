"""A kept pair as a sample of a shard: its key, and the content of its files."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.curation.hashing.ids import short_hash
from curate.pipelines.inputs.columns.images import FILE_COLUMNS, image_column
from curate.pipelines.inputs.records import ColumnNames, find_column, text_column

__all__ = ["SampleColumns", "encode_json", "sample_fields", "sample_key", "unique_key"]

# What a sample's JSON does not get from the input: our own columns, which say more than the
# input's, and what loaders take for a caption or an id instead of the sample's own.
_OURS = FILE_COLUMNS | {"pair_id", "image_id", "lang", "lang_score", "entry_ids", "probability",
                        "json", "texts"}  # fmt: skip
_SAFE_KEY = re.compile(r"[0-9A-Za-z_-]{1,200}")


def sample_key(pair_id: str) -> str:
    """Return a pair's key in a tar: its id, or a hash of one that would not come back whole.

    WebDataset ends a key at the first point and takes a slash for a folder.

    >>> sample_key("0a1b"), sample_key("img.001")
    ('0a1b', '046e775769004ba9f8026c54')
    """
    return pair_id if _SAFE_KEY.fullmatch(pair_id) else short_hash(pair_id)


def unique_key(pair_id: str, seen: set[str]) -> str:
    """Return a pair's key, another one where the input's ids repeat; a reader would lose those."""
    key = sample_key(pair_id)
    if key in seen:
        key = short_hash(f"{key}\t{len(seen)}")
    seen.add(key)
    return key


def encode_json(values: dict[str, Any]) -> bytes:
    """Return values as a sample's JSON; what JSON has no word for is spelled out, NaN is null."""
    try:
        text = json.dumps(values, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(values), ensure_ascii=False, default=str)
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sample_fields(raw: bytes | None) -> dict[str, Any]:
    """Return the fields of a tar's own JSON that go on with its sample; {} where it is none.

    >>> sample_fields(b'{"similarity": 0.3, "pair_id": "a", "note": null}'), sample_fields(b"[")
    ({'similarity': 0.3}, {})
    """
    try:
        fields = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    return {k: v for k, v in fields.items() if k not in _OURS and v is not None}


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """Names of the columns that a sample is made of.

    Attributes:
        text: alt-texts.
        url: None without one.
        others: columns of the input that go on into the JSON; those of bytes do not.
        json: whether there is the JSON of a tar, whose fields go on too.
    """

    text: str
    url: str | None
    others: tuple[str, ...] = ()
    json: bool = False

    @classmethod
    def of(cls, schema: pa.Schema, names: ColumnNames, path: str) -> "SampleColumns":
        """Find them in the schema of matched or balanced pairs."""
        text, url = text_column(schema, names, path), find_column(schema, "url", names, path)
        image = image_column(schema, names.image, path)
        others = tuple(
            field.name for field in schema
            if field.name not in _OURS | {text, url, image} and not _holds_bytes(field.type)
        )  # fmt: skip
        is_tar = "json" in schema.names and pa.types.is_binary(schema.field("json").type)
        return cls(text, url, others, is_tar)

    def pairs(self, batch: pa.RecordBatch) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
        """Yield the id of each pair, its text, and what its JSON says of it.

        The JSON has the pair's URL, language and entries, then what the input says beside: fields
        of a tar's JSON and other columns, without nulls.
        """
        nothing = [None] * batch.num_rows
        urls = batch.column(self.url).to_pylist() if self.url else nothing
        columns = (batch.column(n).to_pylist() for n in ("lang", "entry_ids", "pair_id", self.text))
        rows = batch.select(self.others).to_pylist() if self.others else [{}] * batch.num_rows
        raws = batch.column("json").to_pylist() if self.json else nothing
        for url, lang, entry_ids, pair_id, text, row, raw in zip(
            urls, *columns, rows, raws, strict=True
        ):
            about = {"url": url, "lang": lang, "entry_ids": entry_ids}
            beside = {**sample_fields(raw), **{k: v for k, v in row.items() if v is not None}}
            yield pair_id, text.encode(), {**beside, **about}


def _holds_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_struct(kind):
        return any(_holds_bytes(field.type) for field in kind)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_bytes(kind.storage_type)
    checks = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary,
              types.is_binary_view)  # fmt: skip
    return any(check(kind) for check in checks)
