"""What was retracted from `matched/`, and stays away whatever is matched again.

`retracted.parquet` lists ids of pairs and of images (the hashes of their URLs). It belongs to the
folder: `match --overwrite` keeps it.

The key of a tar's sample names a pair of that tar alone: another tar may have it for another one.
So it is noted together with what it is the key *of*: the tar's sha256, and, should the tar be
written anew, the hash of the pair's URL, or of its text where it has none.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.hashing.ids import short_hash
from curate.files import storage
from curate.pipelines.inputs.ids import image_ids, pair_ids
from curate.pipelines.inputs.records import ColumnNames, to_records
from curate.pipelines.inputs.rows import Part, Rows
from curate.pipelines.store import artifacts

__all__ = ["FILE", "RETRACTED", "Tombstones", "owners", "plain_key"]

RETRACTED = "retracted"  # the reason that records are dropped for
FILE = "retracted.parquet"
_KINDS = ("pair", "image", "key", "name")


def _no_ids() -> pa.StringArray:
    return pa.array([], pa.string())


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Ids that are kept out.

    Attributes:
        pair_ids: ascending, unique.
        image_ids: likewise.
        keys: of samples of tars, each with what it is of; these are no ids of other tars.
        names: ids that such pairs had when they were retracted.
    """

    pair_ids: pa.StringArray = field(default_factory=_no_ids)
    image_ids: pa.StringArray = field(default_factory=_no_ids)
    keys: frozenset[tuple[str, str]] = frozenset()
    names: frozenset[str] = frozenset()

    @classmethod
    def read(cls, folder: str) -> "Tombstones":
        """Read those of a matched folder; none if there is no file."""
        path = storage.join(folder, FILE)
        if not storage.exists(path):
            return cls()
        table = artifacts.read_table(path)
        kinds, ids = table.column("kind"), table.column("id")
        of_kind = {kind: ids.filter(pc.equal(kinds, kind)).to_pylist() for kind in _KINDS}
        keys = frozenset[tuple[str, str]]()
        if of_kind["key"]:
            of = table.column("of").filter(pc.equal(kinds, "key")).to_pylist()
            keys = frozenset(zip(of_kind["key"], of, strict=True))
        return cls(
            _sorted(of_kind["pair"]), _sorted(of_kind["image"]), keys, frozenset(of_kind["name"])
        )

    def write(self, folder: str) -> None:
        """Publish them."""
        rows: list[tuple[str, str, str | None]] = [
            *(("pair", one, None) for one in self.pair_ids.to_pylist()),
            *(("image", one, None) for one in self.image_ids.to_pylist()),
            *(("key", key, of) for key, of in sorted(self.keys)),
            *(("name", one, None) for one in sorted(self.names)),
        ]
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        names = ("kind", "id", "of") if self.keys else ("kind", "id")
        arrays = [pa.array(values, pa.string()) for values in columns]
        table = pa.table(dict(zip(names, arrays, strict=False)))
        artifacts.write_table(storage.join(folder, FILE), table, {"digest": self.digest()}, "")

    def digest(self) -> str | None:
        """Return a hash of them, None if there are none."""
        if not len(self.pair_ids) and not len(self.image_ids) and not self.keys:
            return None
        keys = [[*map(list, sorted(self.keys))], sorted(self.names)] if self.keys else []
        return artifacts.digest([self.pair_ids.to_pylist(), self.image_ids.to_pylist(), *keys])

    def __or__(self, other: "Tombstones") -> "Tombstones":
        """Return those of both."""
        return Tombstones(
            _sorted([*self.pair_ids.to_pylist(), *other.pair_ids.to_pylist()]),
            _sorted([*self.image_ids.to_pylist(), *other.image_ids.to_pylist()]),
            self.keys | other.keys,
            self.names | other.names,
        )

    def known_ids(self) -> set[str]:
        """Return the ids that pairs had when they were retracted."""
        return {*self.pair_ids.to_pylist(), *self.names}

    def hits(self, batch: Any, part: Part | None = None) -> NDArray[np.bool_]:
        """Tell which pairs of a batch or table are among them, by pair_id and image_id.

        Args:
            batch: with these columns; of a tar's pairs also `text`.
            part: whose pairs they are; None where that is not known.
        """
        found = np.zeros(batch.num_rows, dtype=bool)
        for name, ids in (("pair_id", self.pair_ids), ("image_id", self.image_ids)):
            if len(ids):
                hit = pc.is_in(batch.column(name), value_set=ids)
                found |= np.asarray(hit.to_numpy(zero_copy_only=False), dtype=bool)
        if self.keys and (part is None or part.kind == "tar"):
            self._add_hits_of_keys(batch, part, found)
        return found

    def _add_hits_of_keys(self, batch: Any, part: Part | None, found: NDArray[np.bool_]) -> None:
        keys = {key for key, _ in self.keys}
        ids = [plain_key(one, part) for one in batch.column("pair_id").to_pylist()]
        if part is None:  # ids as they were, with the names of tars
            ids = [one if one in keys else one.partition("/")[2] for one in ids]
        for row in (row for row, one in enumerate(ids) if one in keys):
            found[row] |= any((ids[row], of) in self.keys for of in owners(batch, row, part))

    def hits_by_id(self, batch: Any) -> NDArray[np.bool_]:
        """Tell which rows of what was made of pairs are of some that are or were among them.

        Args:
            batch: or table, with pair_id, image_id or both.
        """
        found = np.zeros(batch.num_rows, dtype=bool)
        ids = _sorted([*self.pair_ids.to_pylist(), *self.names])
        for name, values in (("pair_id", ids), ("image_id", self.image_ids)):
            if len(values) and name in batch.schema.names:
                hit = pc.is_in(batch.column(name).cast(pa.string()), value_set=values)
                found |= np.asarray(hit.to_numpy(zero_copy_only=False), dtype=bool)
        return found

    def hits_in_rows(self, batch: pa.RecordBatch, path: str) -> NDArray[np.bool_]:
        """Tell which rows of a file of pairs that are not matched yet are among them."""
        pairs, images = set(self.pair_ids.to_pylist()), set(self.image_ids.to_pylist())
        ids = self.ids_of_rows(batch, path)
        return np.array([p in pairs or i in images for p, i in ids], dtype=bool)

    def ids_of_rows(self, batch: pa.RecordBatch, path: str) -> list[tuple[str | None, str | None]]:
        """Return the ids of pair and image that rows would have once they are matched.

        Args:
            batch: of pairs of URL and text.
            path: of their file.

        Returns:
            None where a row cannot be used.
        """
        records, rejects = to_records(Rows(0, batch), ColumnNames(), path)
        found: list[tuple[str | None, str | None]] = [(None, None)] * batch.num_rows
        ids = zip(
            records.rows.tolist(), pair_ids(records).to_pylist(),
            image_ids(records).to_pylist(), strict=True,
        )  # fmt: skip
        for row, pair, image in ids:
            found[row] = (pair, image)
        return found


def plain_key(pair_id: str, part: Part | None) -> str:
    """Return the key of a tar's sample without the tar's name before it."""
    has_name = part is not None and part.id_prefix is not None
    return pair_id.removeprefix(f"{part.id_prefix}/") if part and has_name else pair_id


def owners(batch: Any, row: int, part: Part | None) -> set[str]:
    """Return what a key in a row is the key of: its tar, its URL or else its text, as hashes."""
    found = {part.sha256} if part is not None else set()
    image_id = batch.column("image_id")[row].as_py()
    if image_id is None and "text" in batch.schema.names:
        text = batch.column("text")[row].as_py()
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        image_id = None if text is None else f"text:{short_hash(text)}"
    return found if image_id is None else {*found, image_id}


def _sorted(ids: list[str]) -> pa.StringArray:
    return pa.array(sorted(set(ids)), pa.string())
