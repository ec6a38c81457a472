"""Pairs that stay in `matched/` and no longer count: duplicates, low scores, what is evaluated on.

`drops/NAME.parquet` lists them by a hash of their ids, with a reason each. Nothing that is matched
is written anew: whoever counts, or decides over pairs, leaves them out, and the plan's digest says
that they are left out, as it does of what was retracted. Taking a list away brings its pairs back.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.hashing.ids import quick_hashes
from curate.files import storage
from curate.pipelines.matched.counting import split_by_language
from curate.pipelines.store import artifacts

__all__ = ["CONTAMINATED", "DROPS", "Drops", "drop_keys", "write_drops"]

DROPS = "drops"
CONTAMINATED = "contaminated"  # the list of what evaluation sets hold; its sets are on the card
_HASH_SEED = 0


def drop_keys(pair_ids: pa.StringArray) -> NDArray[np.uint64]:
    """Return what pairs are listed by: xxh3_64 of their ids; shape (num_pairs,)."""
    return quick_hashes(pair_ids, _HASH_SEED)


@dataclass(frozen=True, slots=True)
class Drops:
    """Pairs that do not count.

    Attributes:
        keys: of their ids, ascending, unique; uint64, shape (num_dropped,).
        codes: the reason of each, a place in `reasons`.
        reasons: in the order of their names.
        lists: digest of each list, by its name.
        about: what each list was made from, by its name.
    """

    keys: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    codes: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    reasons: tuple[str, ...] = ()
    lists: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str, without: str | None = None) -> "Drops":
        """Read the lists of a matched folder, all but one; none if there are none."""
        keys, reasons, lists, about = [], [], {}, {}
        for path in storage.list_files(storage.join(folder, DROPS), ".parquet"):
            if _name(path) == without:
                continue
            table = artifacts.read_table(path)
            keys.append(table.column("key").to_numpy())
            reasons.append(table.column("reason").cast(pa.string()).combine_chunks())
            stamp = artifacts.read_stamp(path)
            lists[_name(path)], about[_name(path)] = str(stamp["digest"]), stamp["about"]
        if not lists:
            return cls()
        given = pa.chunked_array(reasons, pa.string()).combine_chunks().dictionary_encode()
        names = sorted(given.dictionary.to_pylist())
        places = np.array([names.index(one) for one in given.dictionary.to_pylist()], np.int32)
        # Of a pair on two lists, the first list's reason counts.
        unique, first = np.unique(np.concatenate(keys), return_index=True)
        codes = places[given.indices.to_numpy()[first]] if len(places) else first.astype(np.int32)
        return cls(unique, codes, tuple(names), lists, about)

    @staticmethod
    def listed(folder: str) -> str | None:
        """Return what `digest` does of the lists of a matched folder, which are not read for it."""
        paths = storage.list_files(storage.join(folder, DROPS), ".parquet")
        lists = {_name(path): str(artifacts.read_stamp(path)["digest"]) for path in paths}
        return artifacts.digest(lists) if lists else None

    def digest(self) -> str | None:
        """Return a hash of the lists, None if there are none."""
        return artifacts.digest(self.lists) if self.lists else None

    def found(self, pair_ids: pa.StringArray) -> NDArray[np.int32]:
        """Return the reason of each pair by its place in `reasons`, -1 of those that count."""
        if not len(self.keys):
            return np.full(len(pair_ids), -1, np.int32)
        wanted = drop_keys(pair_ids)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, self.codes[at], np.int32(-1))

    def counting(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Tell which pairs of a batch count; shape (num_pairs,)."""
        if not len(self.keys):
            return np.ones(batch.num_rows, dtype=bool)
        return np.asarray(self.found(batch.column("pair_id")) < 0)

    def left(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the pairs of a batch that count."""
        counts = self.counting(batch)
        return batch if counts.all() else batch.filter(pa.array(counts))

    def numbers(self, batch: pa.RecordBatch) -> Counter[tuple[str, str]]:
        """Count the pairs of a batch that do not count, by language and reason."""
        numbers: Counter[tuple[str, str]] = Counter()
        codes = self.found(batch.column("pair_id"))
        for lang, rows in split_by_language(batch):
            per_code = np.bincount(codes[rows][codes[rows] >= 0], minlength=len(self.reasons))
            for code in np.flatnonzero(per_code).tolist():
                numbers[lang, self.reasons[code]] += int(per_code[code])
        return numbers


def _name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")


def write_drops(
    folder: str, name: str, pair_ids: pa.StringArray, reasons: Iterable[str], about: Any
) -> None:
    """Publish a list of pairs that do not count.

    Args:
        folder: of matches.
        name: of the list.
        pair_ids: may repeat.
        reasons: of each.
        about: what the list was made from, JSON-able, for its stamp.
    """
    keys, first = np.unique(drop_keys(pair_ids), return_index=True)
    given = pa.array(reasons, pa.string()).take(pa.array(first))
    table = pa.table({"key": pa.array(keys), "reason": given.dictionary_encode()})
    digest = artifacts.digest([pa.array(keys).to_pylist(), given.to_pylist()])
    path = storage.join(folder, DROPS, f"{name}.parquet")
    artifacts.write_table(path, table, {"digest": digest, "about": about}, "")
