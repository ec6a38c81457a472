"""What was retracted from `matched/`, and stays away whatever is matched again.

`retracted.parquet` lists ids of pairs and of images (the hashes of their URLs). It belongs to the
folder: `match --overwrite` keeps it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.files import storage
from curate.pipelines.inputs.ids import image_ids, pair_ids
from curate.pipelines.inputs.records import ColumnNames, to_records
from curate.pipelines.inputs.rows import Rows
from curate.pipelines.store import artifacts

__all__ = ["FILE", "RETRACTED", "Tombstones"]

RETRACTED = "retracted"  # the reason that records are dropped for
FILE = "retracted.parquet"


def _no_ids() -> pa.StringArray:
    return pa.array([], pa.string())


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Ids that are kept out.

    Attributes:
        pair_ids: ascending, unique.
        image_ids: likewise.
    """

    pair_ids: pa.StringArray = field(default_factory=_no_ids)
    image_ids: pa.StringArray = field(default_factory=_no_ids)

    @classmethod
    def read(cls, folder: str) -> "Tombstones":
        """Read those of a matched folder; none if there is no file."""
        path = storage.join(folder, FILE)
        if not storage.exists(path):
            return cls()
        table = artifacts.read_table(path)
        kind, ids = table.column("kind"), table.column("id")
        return cls(
            *(_sorted(ids.filter(pc.equal(kind, wanted)).to_pylist())
              for wanted in ("pair", "image"))
        )  # fmt: skip

    def write(self, folder: str) -> None:
        """Publish them."""
        kinds = ["pair"] * len(self.pair_ids) + ["image"] * len(self.image_ids)
        ids = pa.concat_arrays([self.pair_ids, self.image_ids])
        table = pa.table({"kind": pa.array(kinds, pa.string()), "id": ids})
        artifacts.write_table(storage.join(folder, FILE), table, {"digest": self.digest()}, "")

    def digest(self) -> str | None:
        """Return a hash of them, None if there are none."""
        if not len(self.pair_ids) and not len(self.image_ids):
            return None
        return artifacts.digest([self.pair_ids.to_pylist(), self.image_ids.to_pylist()])

    def __or__(self, other: "Tombstones") -> "Tombstones":
        """Return those of both."""
        return Tombstones(
            _sorted([*self.pair_ids.to_pylist(), *other.pair_ids.to_pylist()]),
            _sorted([*self.image_ids.to_pylist(), *other.image_ids.to_pylist()]),
        )

    def hits(self, batch: Any) -> NDArray[np.bool_]:
        """Tell which pairs of a batch or table are among them, by pair_id and image_id."""
        found = np.zeros(batch.num_rows, dtype=bool)
        for name, ids in (("pair_id", self.pair_ids), ("image_id", self.image_ids)):
            if len(ids):
                hit = pc.is_in(batch.column(name), value_set=ids)
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


def _sorted(ids: list[str]) -> pa.StringArray:
    return pa.array(sorted(set(ids)), pa.string())
