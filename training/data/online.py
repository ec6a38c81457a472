"""Balancing while loading: the same decision as `curate balance`, fresh in every epoch.

What is asked of a shard's JSON (language, entries, ids) is read with its headers, all at once, by
Arrow. A pair is kept iff draw(pair_id, seed + epoch) < its probability, in epoch 0 therefore
exactly the pairs that `curate balance --seed` keeps.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws, pair_probability
from curate.training.data.shards import OpenShards, ShardIndex, gather_strings

__all__ = ["Online", "SampleRows", "read_rows"]

_SCHEMA = pa.schema(
    {
        "pair_id": pa.string(),
        "image_id": pa.string(),
        "url": pa.string(),
        "lang": pa.string(),
        "entry_ids": pa.list_(pa.uint32()),
    }
)


@dataclass(frozen=True, slots=True)
class SampleRows:
    """What is known of a shard's samples before they are decoded.

    Attributes:
        pair_ids: string, shape (num_samples,).
        lang: string, null where it is not said; shape (num_samples,).
        entry_ids: list<uint32>, shape (num_samples,).
        image: a number for each image; equal where image_id, or else the URL, is.
    """

    pair_ids: pa.StringArray
    lang: pa.StringArray
    entry_ids: pa.ListArray
    image: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Online:
    """Balancing that is done while loading.

    Attributes:
        probability: of each entry, by language: the sampling probability, float64, shape
            (num_entries,).
    """

    probability: Mapping[str, NDArray[np.float64]]

    def digest(self) -> str:
        """Return a hash of the probabilities, for the record of a run."""
        found = sha256()
        for lang in sorted(self.probability):
            found.update(f"{lang}\t{len(self.probability[lang])}\n".encode())
            found.update(np.ascontiguousarray(self.probability[lang], dtype="<f8").tobytes())
        return found.hexdigest()

    def decide(
        self, rows: SampleRows, number: NDArray[np.int64], seed: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Decide over samples of a shard.

        Args:
            rows: of the shard.
            number: of the samples asked for.
            seed: of the draws: the run's seed + epoch.

        Returns:
            Whether a sample has entries of a language that there are probabilities for, and
            whether it is kept; each of shape (len(number),).

        Raises:
            ArtifactError: an entry id is beyond the entries of its language.
        """
        probability = np.zeros(len(rows.pair_ids))
        is_known = np.zeros(len(rows.pair_ids), bool)
        codes = pc.dictionary_encode(rows.lang)
        of_sample = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for code, lang in enumerate(codes.dictionary.to_pylist()):
            if lang in self.probability:
                of_lang = np.flatnonzero(of_sample == code)
                is_known[of_lang] = True
                probability[of_lang] = pair_probability(
                    rows.entry_ids, self.probability[lang], of_lang
                )
        draws = hash_draws(rows.pair_ids.take(pa.array(number)), seed)
        return (is_known & (probability > 0))[number], draws < probability[number]


def read_rows(index: ShardIndex, files: OpenShards) -> SampleRows:
    """Read what the JSON of a shard's samples says; one that is missing or none says nothing.

    Raises:
        InputError: the shard cannot be read.
    """
    table = _parse(gather_strings(index.path, index.json, b"{}", files.open_file))
    keys = _keys(index, files)
    # A pair without image_id and URL is an image of its own.
    of_key = pc.binary_join_element_wise(keys, "", ":")
    images = pc.coalesce(table["image_id"], table["url"], of_key)
    return SampleRows(
        pair_ids=pc.coalesce(table["pair_id"], keys),
        lang=table["lang"],
        entry_ids=table["entry_ids"],
        image=pc.dictionary_encode(images).indices.to_numpy().astype(np.int32),
    )


def _keys(index: ShardIndex, files: OpenShards) -> pa.StringArray:
    if (index.places[:, 1] >= 0).all():
        found = gather_strings(index.path, index.places[:, :2], b"", files.open_file)
        try:
            return found.cast(pa.string())
        except pa.ArrowInvalid:  # not UTF-8: read as OpenShards.key does
            return pa.array([key.decode("utf-8", "replace") for key in found.to_pylist()])
    return pa.array([files.key(index, i) for i in range(len(index.places))], pa.string())


def _parse(texts: pa.BinaryArray) -> dict[str, Any]:
    """Parse JSON objects; shape (len(texts),) in every column."""
    options = pyarrow.json.ParseOptions(
        explicit_schema=_SCHEMA, unexpected_field_behavior="ignore", newlines_in_values=True
    )
    table = None
    if len(texts):
        # One block, since an object must not be cut at the end of one.
        whole = pyarrow.json.ReadOptions(use_threads=False, block_size=max(1, texts.nbytes))
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(texts.buffers()[2]), read_options=whole, parse_options=options
            )
        except pa.ArrowInvalid:  # one of them is no JSON or of other types: see to each by itself
            table = None
    if table is None or table.num_rows != len(texts):
        table = pa.Table.from_pylist([_fields(text) for text in texts.to_pylist()], _SCHEMA)
    return {name: table.column(name).combine_chunks() for name in _SCHEMA.names}


def _fields(text: bytes) -> dict[str, Any]:
    """Return the fields of one JSON that are of the expected types."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    for field in _SCHEMA:
        try:
            found[field.name] = pa.scalar(value.get(field.name), field.type).as_py()
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            found[field.name] = None
    return found
