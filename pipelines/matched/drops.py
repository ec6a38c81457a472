"""Pairs that stay in `matched/` and no longer count: duplicates, low scores, what is evaluated on.

`drops/NAME.parquet` lists them by a hash of their ids, with a reason each. Nothing that is matched
is written anew: whoever counts, or decides over pairs, leaves them out, and the plan's digest says
that they are left out, as it does of what was retracted. Taking a list away brings its pairs back.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.hashing.ids import quick_hashes
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.matched.counting import split_by_language
from curate.pipelines.store import artifacts

__all__ = [
    "CONTAMINATED", "DROPS", "SAMPLE", "DropList", "Drops", "Found", "drop_keys",
    "is_sample_stale", "sampled_from",
]  # fmt: skip

DROPS = "drops"
SAMPLE = "sample"  # the list of what was not drawn of the pairs that the other lists leave
CONTAMINATED = "contaminated"  # the list of what evaluation sets hold; its sets are on the card
_HASH_SEED = 0
_PAIR = np.dtype([("key", "<u8"), ("code", "<i4")])
_MOST = 1 << 21  # pairs of a list in memory at once while it is written
_PILES = 256

Found = Iterable[tuple[pa.StringArray, pa.Array]]  # ids of pairs, and the reason of each


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
        keys, given, lists, about = [], [], {}, {}
        for path in storage.list_files(storage.join(folder, DROPS), ".parquet"):
            if _name(path) == without:
                continue
            table = artifacts.read_table(path).combine_chunks()
            keys.append(table.column("key").to_numpy())
            reasons = table.column("reason").combine_chunks()
            given.append((reasons.dictionary.to_pylist(), reasons.indices.to_numpy()))
            stamp = artifacts.read_stamp(path)
            lists[_name(path)], about[_name(path)] = str(stamp["digest"]), stamp["about"]
        if not lists:
            return cls()
        names = sorted({name for of_list, _ in given for name in of_list})
        places = [np.array([names.index(name) for name in of_list], np.int32)[codes]
                  for of_list, codes in given if len(codes)]  # fmt: skip
        # Of a pair on two lists, the first list's reason counts.
        unique, first = np.unique(np.concatenate(keys), return_index=True)
        codes = np.concatenate([*places, np.zeros(0, np.int32)])[first]
        return cls(unique, codes, tuple(names), lists, about)

    @staticmethod
    def listed(folder: str) -> str | None:
        """Return what `digest` does of the lists of a matched folder, which are not read for it."""
        lists = _lists(folder)
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


def sampled_from(folder: str) -> dict[str, str] | None:
    """Return the digests of the lists that a sample was drawn beside; None where none is known."""
    path = storage.join(folder, DROPS, f"{SAMPLE}.parquet")
    if not storage.exists(path):
        return None
    with of_ours(path):
        others = artifacts.read_stamp(path)["about"].get("others")
        return None if others is None else dict(others)


def is_sample_stale(folder: str) -> bool:
    """Tell whether a sample was drawn while other pairs of a matched folder counted than now."""
    others = sampled_from(folder)
    now = {name: digest for name, digest in _lists(folder).items() if name != SAMPLE}
    return others is not None and others != now


def _lists(folder: str) -> dict[str, str]:
    """Return the digest of each list, by its name."""
    paths = storage.list_files(storage.join(folder, DROPS), ".parquet")
    return {_name(path): str(artifacts.read_stamp(path)["digest"]) for path in paths}


def _name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")


class DropList:
    """A list of pairs that do not count, in the making; a context.

    Pairs may come in any number and order: they are sorted some millions at a time, in a file
    without a name, and written pile by pile, so that memory does not grow with the list.

    Args:
        folder: of matches.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._codes: dict[str, int] = {}
        self._pending: list[NDArray[np.void]] = []
        self._num = 0
        self._file: IO[bytes] | None = None
        self._runs: list[NDArray[np.int64]] = []  # where each pile of a run begins, and its end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._file is not None:
            self._file.close()

    def add(self, pair_ids: pa.StringArray, reasons: pa.Array) -> None:
        """Add pairs, which may repeat: of several reasons of one the first counts.

        Args:
            pair_ids: strings, shape (N,).
            reasons: of each, strings; shape (N,).
        """
        given = reasons if pa.types.is_dictionary(reasons.type) else reasons.dictionary_encode()
        codes = [self._codes.setdefault(name, len(self._codes))
                 for name in given.dictionary.to_pylist()]  # fmt: skip
        pairs = np.empty(len(pair_ids), _PAIR)
        pairs["key"] = drop_keys(pair_ids)
        pairs["code"] = np.array(codes, np.int32)[given.indices.to_numpy()] if len(pairs) else 0
        self._pending.append(pairs)
        self._num += len(pairs)
        if self._num >= _MOST:
            self._end_run()

    def write(self, name: str, about: Any) -> None:
        """Publish the list.

        Args:
            name: of it.
            about: what it was made from, JSON-able, for its stamp.
        """
        names = sorted(self._codes)
        places = np.array([names.index(one) for one in self._codes], np.int32)
        kind = pa.schema({"key": pa.uint64(), "reason": pa.dictionary(pa.int32(), pa.string())})
        digest = sha256(artifacts.digest(names).encode())
        path = storage.join(self._folder, DROPS, f"{name}.parquet")
        with artifacts.parquet_writer(path, kind) as writer:
            for pairs in self._piles():
                if len(pairs):
                    pairs["code"] = places[pairs["code"]]
                digest.update(pairs.tobytes())
                reasons = pa.DictionaryArray.from_arrays(pairs["code"], artifacts.strings(names))
                columns = [pa.array(pairs["key"]), reasons]
                writer.write(pa.RecordBatch.from_arrays(columns, schema=kind))
            writer.close({"digest": digest.hexdigest(), "about": about}, "")

    def _end_run(self) -> None:
        """Write what is pending to the file, sorted."""
        run = _sorted(self._pending)
        if self._file is None:
            is_local = storage.is_local(self._folder)
            near = storage.local_path(self._folder) if is_local else None
            self._file = tempfile.TemporaryFile(dir=near)
        begin = self._runs[-1][-1] if self._runs else 0
        bounds = np.arange(1, _PILES, dtype=np.uint64) << np.uint64(56)
        self._runs.append(begin + np.array([0, *np.searchsorted(run["key"], bounds), len(run)]))
        self._file.write(run.tobytes())
        self._pending, self._num = [], 0

    def _piles(self) -> Iterator[NDArray[np.void]]:
        """Yield all pairs, each once, by key."""
        if self._file is None:
            yield _sorted(self._pending)
            return
        self._end_run()
        for pile in range(_PILES):
            found = []
            for starts in self._runs:
                self._file.seek(int(starts[pile]) * _PAIR.itemsize)
                content = self._file.read(int(starts[pile + 1] - starts[pile]) * _PAIR.itemsize)
                found.append(np.frombuffer(content, _PAIR))
            yield _sorted(found)


def _sorted(pieces: list[NDArray[np.void]]) -> NDArray[np.void]:
    """Return pairs by key, of each the first one."""
    pairs = np.concatenate([*pieces, np.empty(0, _PAIR)])
    _, first = np.unique(pairs["key"], return_index=True)
    return pairs[first]
