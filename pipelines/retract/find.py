"""Matches and names in; which names are ids there, of pairs, of images or of samples of a tar."""

import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.pipelines.inputs.rows import Part
from curate.pipelines.inputs.tar import json_id
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.tombstones import Tombstones, owners, plain_key
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["IdsThere", "find_ids"]

_COLUMNS = ("pair_id", "image_id", "text", "json")


@dataclass(slots=True)
class IdsThere:
    """What of some names is in matches.

    Attributes:
        pairs: ids that name a pair wherever it is.
        images: hashes of URLs.
        keys: of samples of tars, each with what it is of, as in `Tombstones`.
        names: the ids that these samples have.
        ids: of all pairs that are named, by whatever.
        num_pairs: pairs that are named.
    """

    pairs: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    keys: set[tuple[str, str]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    num_pairs: int = 0


def find_ids(plan: MatchedPlan, wanted: Tombstones, *, quiet: bool) -> IdsThere:
    """Look for names in all parts, each as an id and as a URL."""
    there = IdsThere()
    has_keys = plan.parameters["columns"].get("uid") in (None, "uid")
    shown = progress(
        plan.parts, total=len(plan.parts), label="find", unit="part", quiet=quiet
    )  # fmt: skip
    for index, part in enumerate(shown):
        with artifacts.open_parquet(plan.pairs_path(index)) as file:
            is_tar = has_keys and part.kind == "tar"
            names = [n for n in _COLUMNS[: None if is_tar else 2] if n in file.schema_arrow.names]
            for batch in file.iter_batches(columns=names):
                _add(there, batch, wanted, part if is_tar else None)
    return there


def _add(there: IdsThere, batch: pa.RecordBatch, wanted: Tombstones, tar: Part | None) -> None:
    hits = wanted.hits(batch)
    there.num_pairs += int(hits.sum())
    there.ids.update(batch.column("pair_id").filter(pa.array(hits)).to_pylist())
    is_image = pc.is_in(batch.column("image_id"), value_set=wanted.image_ids)
    there.images.update(batch.column("image_id").filter(is_image).to_pylist())
    named = batch.filter(pc.is_in(batch.column("pair_id"), value_set=wanted.pair_ids))
    ids = named.column("pair_id").to_pylist()
    for row, pair_id in enumerate(ids):
        if tar is None or _has_uid(named, row):
            there.pairs.add(pair_id)
        else:
            key = plain_key(pair_id, tar)
            there.keys |= {(key, of) for of in owners(named, row, tar)}
            there.names.add(pair_id)


def _has_uid(batch: pa.RecordBatch, row: int) -> bool:
    """Tell whether a sample's id is what its JSON says, and not its key."""
    raw: Any = batch.column("json")[row].as_py() if "json" in batch.schema.names else None
    about = json.loads(raw) if raw else {}
    return json_id(about.get("uid")) is not None
