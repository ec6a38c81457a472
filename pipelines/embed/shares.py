"""Ids of images of all parts in; which parts share an image, and what each lends and borrows, out.

An image's owner is the first part that it stands in; that one looks at it, and lends what it found
to each later part. So a part follows from itself and from those before it. All this is in
`.working`, beside what is done, until the end:

- `ids/NNNNN.parquet`: ids of a shard's images, which stand in the JSON of its samples alone;
- `shares/NNNNN.parquet`: what a part lends and borrows; `shares.json`: that all of these are there;
- `owned/NNNNN.parquet`: a part that borrows, without what it borrows;
- `lent/NNNNN.images`: what some neighbouring parts lend, borrower by borrower.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import string_keys
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.duplicates.keys import key_folder
from curate.pipelines.duplicates.shared import SHARE, Shared, find_shared, image_keys
from curate.pipelines.embed.rows import MatchedRows, ShardRows
from curate.pipelines.embedded.plan import WORKING, EmbeddedPlan, Source
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import progress

__all__ = ["NO_SHARES", "Keys", "Shares", "ids_path", "plan_shares", "read_shares", "working_path"]

_SIGN = "shares.json"
# Images that neighbouring parts lend together, so that a borrower opens few files.
_LENT_TOGETHER = 1 << 17
_COLUMNS = ("other", "high", "low", "lends")


@dataclass(frozen=True, slots=True)
class Shares:
    """Which parts share images with others; picklable.

    Attributes:
        borrowers: parts with images that an earlier one has.
        groups: neighbouring parts that lend together, as first and stop; ascending.
    """

    borrowers: frozenset[int] = frozenset()
    groups: tuple[tuple[int, int], ...] = ()

    def groups_of(self, owners: NDArray[np.integer]) -> list[int]:
        """Return the numbers of the groups that some parts are in, ascending."""
        firsts = [first for first, _ in self.groups]
        return [int(at) for at in np.unique(np.searchsorted(firsts, owners, side="right") - 1)]


NO_SHARES = Shares()


class Keys:
    """Finds ids of images by their keys.

    Args:
        rows: with fields high and low; of equal ones, one is found.
    """

    def __init__(self, rows: NDArray[np.void]) -> None:
        order = np.lexsort((rows["low"], rows["high"]))
        high, low = rows["high"][order], rows["low"][order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        self._high, self._low = high[is_first], low[is_first]
        # Of each of the rows, the place of its key among all.
        self.places = np.empty(len(rows), np.int64)
        self.places[order] = np.cumsum(is_first) - 1

    def __len__(self) -> int:
        return len(self._high)

    def find(self, ids: pa.Array) -> NDArray[np.int64]:
        """Return the place of each id among the keys, -1 for one that is null or not there."""
        found = np.full(len(ids), -1, np.int64)
        if len(self):
            keys = string_keys(ids.drop_null())
            at = np.minimum(np.searchsorted(self._high, keys["high"]), len(self) - 1)
            is_there = (self._high[at] == keys["high"]) & (self._low[at] == keys["low"])
            valid = ids.is_valid().to_numpy(zero_copy_only=False)
            found[valid] = np.where(is_there, at, -1)
        return found


def working_path(output: str, kind: str, index: int, suffix: str = "parquet") -> str:
    """Return the path of a file that is there while a run is under way."""
    return storage.join(output, WORKING, kind, part_name(index, suffix))


def ids_path(output: str, index: int) -> str:
    """Return the path of the ids of the images of a shard."""
    return working_path(output, "ids", index)


def read_shares(output: str, index: int) -> NDArray[np.void]:
    """Return what a part lends and borrows, of type SHARE."""
    table = artifacts.read_table(working_path(output, "shares", index), list(_COLUMNS))
    shares = np.empty(table.num_rows, SHARE)
    shares["file"] = index
    for name in _COLUMNS:
        shares[name] = table.column(name).to_numpy()
    return shares


def plan_shares(
    plan: EmbeddedPlan, rows: MatchedRows | ShardRows, todo: Sequence[int], *, workers: int,
    quiet: bool,
) -> Shares:  # fmt: skip
    """Find out which parts share images, unless that is known.

    Args:
        plan: of the vectors.
        rows: of its parts.
        todo: parts that are not done.
        workers: threads, or jobs where a cluster does the work.
        quiet: no progress.

    Raises:
        DiskSpaceError: keys of all images do not fit on the disk.
    """
    sign = storage.join(plan.folder, WORKING, _SIGN)
    made_from = plan.digest()
    if storage.exists(sign):
        values = artifacts.read_json(sign)
        with of_ours(sign):
            if values["plan"] == made_from and set(values["todo"]) >= set(todo):
                groups = tuple((int(first), int(stop)) for first, stop in values["groups"])
                return Shares(frozenset(map(int, values["borrowers"])), groups)
    for name in (_SIGN, "lent", "shares"):
        storage.remove(storage.join(plan.folder, WORKING, name))
    paths = _paths_with_ids(plan, rows, todo, workers=workers, quiet=quiet)
    with key_folder(storage.join(plan.folder, WORKING)) as folder:
        shared = find_shared(paths, folder, image_keys, todo, workers=workers, quiet=quiet)
        for index in np.flatnonzero(shared.lent + shared.borrowed).tolist():
            _write_shares(plan.folder, shared, index, made_from)
    shares = Shares(
        frozenset(np.flatnonzero(shared.borrowed).tolist()), tuple(_groups(shared.lent.tolist()))
    )
    artifacts.write_json(sign, {
        "plan": made_from, "todo": list(todo), "borrowers": sorted(shares.borrowers),
        "groups": shares.groups,
    })  # fmt: skip
    return shares


def _write_shares(output: str, shared: Shared, index: int, made_from: str) -> None:
    found = shared.of(index)
    table = pa.table({name: found[name] for name in _COLUMNS})
    artifacts.write_table(working_path(output, "shares", index), table, {"plan": made_from}, "")


def _groups(lent: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield neighbouring parts that lend about `_LENT_TOGETHER` images, or one part that does.

    >>> list(_groups([0, 3, 0, 1 << 17, 5]))
    [(1, 4), (4, 5)]
    """
    first, num = 0, 0
    for index, more in enumerate(lent):
        first = index if not num else first
        num += more
        if num >= _LENT_TOGETHER:
            yield first, index + 1
            num = 0
    if num:
        yield first, len(lent)


def _paths_with_ids(
    plan: EmbeddedPlan, rows: MatchedRows | ShardRows, todo: Sequence[int], *, workers: int,
    quiet: bool,
) -> list[str]:  # fmt: skip
    """Return of each part a Parquet file with the ids of its images."""
    parts = range(len(plan.sources))
    if isinstance(rows, MatchedRows):
        return [rows.path(index) for index in parts]
    tasks = [(index, plan.sources[index]) for index in todo]
    results = run_parts(
        _list_ids, tasks, workers=workers, setup=_same, arguments=(plan.folder, rows),
        threads=True, anywhere=True,
    )  # fmt: skip
    for _ in progress(results, total=len(tasks), label="ids", unit="part", quiet=quiet):
        pass
    is_listed = set(todo)
    return [ids_path(plan.folder, i) if i in is_listed else plan.path(i) for i in parts]


def _same(output: str, rows: ShardRows) -> tuple[str, ShardRows]:
    return output, rows


def _list_ids(job: tuple[str, ShardRows], task: tuple[int, Source]) -> int:
    """Write the ids of the images of a shard, unless they are there; return its number."""
    (output, rows), (index, source) = job, task
    path, made_from = ids_path(output, index), {"source": source.as_dict()}
    if storage.exists(path) and artifacts.read_stamp(path) == made_from:
        return index
    schema = pa.schema([("image_id", pa.string())])
    with artifacts.parquet_writer(path, schema) as writer:
        for ids in rows.image_ids(index):
            writer.write(pa.record_batch([ids], schema=schema))
        writer.close(made_from, "")
    return index
