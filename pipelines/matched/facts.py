"""Pairs in, what there is beside their matches out: images and URLs counted, contents noted.

Notes of kept pairs' texts and URLs stand with the pairs, in the footers of Parquet files and beside
shards, so that the card needs to read no text. Those of parts add up, and all of them together hold
about `SAMPLE` pairs.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.sampling.content import is_sampled, sampled_hashes, string_hashes
from curate.curation.sampling.sampling import hash_draws
from curate.pipelines.inputs.columns.images import num_images
from curate.pipelines.inputs.records import ColumnNames, find_column

__all__ = ["CONTENT", "FACTS", "ContentNote", "RowNote", "host_of", "pair_facts", "row_notes"]

FACTS = ("more_images", "with_image", "without_url")
CONTENT = "content"  # where a note stands
_STRINGS = ("texts", "urls")
_LONGEST_HOST = 100
_DRAW_SEED = 0x5EED  # of the pairs in the sample, another one than that of balancing

# Of a pair: the hashes of its text and URL, and of a sampled one characters and host; None where it
# is not sampled.
RowNote = tuple[int | None, int | None, int | None, str | None]


def pair_facts(batch: pa.RecordBatch, columns: ColumnNames) -> Counter[str]:
    """Count the pairs of a batch that have an image with them and those without a URL.

    Args:
        batch: matched pairs.
        columns: names that the user chose.

    Returns:
        with_image; more_images: images beyond the first of a pair, which are not taken;
        without_url.
    """
    images = num_images(batch, columns.image)
    name = find_column(batch.schema, "url", columns, "")
    with_url = 0
    if name is not None:
        lengths = pc.binary_length(pc.cast(batch.column(name), pa.string()))
        with_url = int(np.count_nonzero(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)))
    return Counter(
        with_image=int(np.count_nonzero(images)),
        more_images=int(np.maximum(images - 1, 0).sum()),
        without_url=batch.num_rows - with_url,
    )


def host_of(url: str) -> str:
    """Return the host of a URL as it is counted: in lower case, without `www.`; "" without one.

    >>> host_of("https://WWW.Example.org:80/a.jpg"), host_of("//a.b"), host_of("http://[")
    ('example.org', 'a.b', '')
    """
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.")[:_LONGEST_HOST]


class ContentNote:
    """What is known of the texts and URLs of pairs; notes add up.

    Args:
        share: of pairs, and of hashes of strings, that are looked at.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.pairs = self.with_url = self.sampled = 0
        self.hashes = {name: [np.zeros(0, np.uint64)] for name in _STRINGS}
        self.chars, self.hosts = Counter[str](), Counter[str]()

    def add(self, batch: pa.RecordBatch, columns: ColumnNames) -> None:
        """Add kept pairs: of their columns text, URL and `pair_id`."""
        self.pairs += batch.num_rows
        draws = hash_draws(batch.column("pair_id"), _DRAW_SEED)
        rows = pa.array(np.flatnonzero(draws < self.share))
        self.sampled += len(rows)
        for name, role in zip(_STRINGS, ("text", "url"), strict=True):
            column = find_column(batch.schema, role, columns, "")
            if column is None:
                continue
            strings = pc.fill_null(pc.cast(batch.column(column), pa.string()), "")
            self._join(name, sampled_hashes(strings, self.share))
            if role == "text":
                chars = pc.value_counts(pc.utf8_length(strings.take(rows)))
                self.chars.update({str(one["values"]): one["counts"] for one in chars.to_pylist()})
            else:
                self.with_url += int(np.count_nonzero(pc.binary_length(strings).to_numpy()))
                self.hosts.update(host_of(url) for url in strings.take(rows).to_pylist() if url)

    def add_row(self, note: RowNote, *, has_url: bool) -> None:
        """Add a pair, by what `row_notes` says of it."""
        text, url, chars, host = note
        self.pairs += 1
        self.with_url += has_url
        for name, found in zip(_STRINGS, (text, url), strict=True):
            if found is not None:
                self.hashes[name].append(np.array([found], np.uint64))
        if chars is not None:
            self.sampled += 1
            self.chars[str(chars)] += 1
            if has_url:
                self.hosts[host or ""] += 1

    def _join(self, name: str, hashes: Any) -> None:
        """Add hashes; put them together now and then, so that repeated ones take no memory."""
        found = self.hashes[name]
        found.append(hashes)
        if sum(map(len, found[1:])) > len(found[0]) + 4096:
            self.hashes[name] = [np.unique(np.concatenate(found))]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values, the same ones in whatever batches the pairs came."""
        return {
            "share": self.share,
            "pairs": self.pairs,
            "with_url": self.with_url,
            "sampled": self.sampled,
            **{name: _packed(found) for name, found in self.hashes.items()},
            "chars": dict(sorted(self.chars.items(), key=lambda one: int(one[0]))),
            "hosts": dict(sorted(self.hosts.items())),
        }

    @classmethod
    def sum(cls, notes: Iterable[Mapping[str, Any]]) -> "ContentNote | None":
        """Add up notes; None if there are none, or they are of other shares."""
        total: ContentNote | None = None
        for note in notes:
            if total is None:
                total = cls(note["share"])
            elif total.share != note["share"]:
                return None
            for name in ("pairs", "with_url", "sampled"):
                setattr(total, name, getattr(total, name) + note[name])
            for name in _STRINGS:
                total._join(name, _unpacked(note[name]))
            total.chars.update(note["chars"])
            total.hosts.update(note["hosts"])
        return total

    def num_distinct(self, name: str) -> int:
        """Return how many distinct texts or urls are in the sample."""
        return len(np.unique(np.concatenate(self.hashes[name])))


def row_notes(batch: pa.RecordBatch, columns: ColumnNames, share: float) -> list[RowNote]:
    """Return what is to be noted of each kept pair of a batch, where pairs go separate ways."""
    num = batch.num_rows
    drawn = hash_draws(batch.column("pair_id"), _DRAW_SEED) < share
    hashes: list[list[int | None]] = []
    values: list[Any] = []
    for role in ("text", "url"):
        column = find_column(batch.schema, role, columns, "")
        if column is None:
            hashes.append([None] * num)
            values.append([""] * num)
            continue
        strings = pc.fill_null(pc.cast(batch.column(column), pa.string()), "")
        found = string_hashes(strings)
        wanted = is_sampled(strings, found, share).tolist()
        hashes.append([h if w else None for h, w in zip(found.tolist(), wanted, strict=True)])
        values.append(strings.to_pylist())
    return [
        (text_hash, url_hash, len(text) if is_drawn else None, host_of(url) if is_drawn else None)
        for text_hash, url_hash, text, url, is_drawn in zip(
            *hashes, *values, drawn.tolist(), strict=True
        )
    ]


def _packed(found: list[Any]) -> str:
    hashes = np.unique(np.concatenate(found))
    return base64.b64encode(hashes.astype("<u8").tobytes()).decode()


def _unpacked(text: str) -> Any:
    return np.frombuffer(base64.b64decode(text), "<u8").astype(np.uint64)
