"""A kept pair as a sample of a shard: its key, and the content of its files."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.curation.hashing.ids import short_hash
from curate.pipelines.inputs.records import ColumnNames, find_column, text_column

__all__ = ["SampleColumns", "encode_json", "sample_key", "unique_key"]

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
    """Return values as a sample's JSON; what JSON has no word for is spelled out."""
    return json.dumps(values, ensure_ascii=False, default=str).encode()


@dataclass(frozen=True, slots=True)
class SampleColumns:
    """Names of the columns that a sample is made of."""

    text: str
    url: str | None

    @classmethod
    def of(cls, schema: pa.Schema, names: ColumnNames, path: str) -> "SampleColumns":
        """Find them in the schema of matched or balanced pairs."""
        return cls(text_column(schema, names, path), find_column(schema, "url", names, path))

    def pairs(self, batch: pa.RecordBatch) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
        """Yield the id of each pair, its text, and what its JSON says of it."""
        nothing = [None] * batch.num_rows
        urls = batch.column(self.url).to_pylist() if self.url else nothing
        columns = (batch.column(n).to_pylist() for n in ("lang", "entry_ids", "pair_id", self.text))
        for url, lang, entry_ids, pair_id, text in zip(urls, *columns, strict=True):
            yield pair_id, text.encode(), {"url": url, "lang": lang, "entry_ids": entry_ids}
