"""Ids of images of all parts in; which parts share an image, and what each lends and borrows, out.

An image's owner is the first part that it stands in; that one looks at it, and lends what it found
to each later part. So a part follows from itself and from those before it. All this is in
`.working`, beside what is done, until the end:

- `ids/NNNNN.parquet`: ids of a shard's images, which stand in the JSON of its samples alone;
- `owned/NNNNN.parquet`: a part that borrows, without what it borrows;
- `shares.json`: which parts share images, and of which plan; its hash names the folder of the next
  two, so that what a worker of an earlier plan still writes is in nobody's way;
- `shares-NAME/parts.shares`: what each part lends and borrows;
- `shares-NAME/NNNNN.images`: what some neighbouring parts lend, borrower by borrower.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate.curation.hashing.duplicates import string_keys
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.duplicates.keys import key_folder
from curate.pipelines.duplicates.shared import SHARE, find_shared, image_keys
from curate.pipelines.embed.pieces import read_piece, write_pieces
from curate.pipelines.embed.rows import MatchedRows, ShardRows, matched_image_ids
from curate.pipelines.embedded.plan import WORKING, EmbeddedPlan, Source
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import progress

__all__ = ["NO_SHARES", "Keys", "Shares", "ids_path", "plan_shares", "working_path"]

_SIGN = "shares.json"
# Images that neighbouring parts lend together, so that a borrower opens few files.
_LENT_TOGETHER = 1 << 17


@dataclass(frozen=True, slots=True)
class Shares:
    """Which parts share images with others; picklable.

    Attributes:
        borrowers: parts with images that an earlier one has.
        groups: neighbouring parts that lend together, as first and stop; ascending.
        name: of the folder in `.working` with what they share.
    """

    borrowers: frozenset[int] = frozenset()
    groups: tuple[tuple[int, int], ...] = ()
    name: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Shares":
        """Return what `shares.json` says."""
        groups = tuple((int(first), int(stop)) for first, stop in values["groups"])
        name = f"shares-{artifacts.digest(values)[:12]}"
        return cls(frozenset(map(int, values["borrowers"])), groups, name)

    def path(self, output: str) -> str:
        """Return the path of what the parts lend and borrow."""
        return storage.join(output, WORKING, self.name, "parts.shares")

    def lent_path(self, output: str, group: int) -> str:
        """Return the path of what the parts of a group lend."""
        return working_path(output, self.name, group, "images")

    def of(self, output: str, index: int) -> NDArray[np.void]:
        """Return what a part lends and borrows, of type SHARE.

        Raises:
            ArtifactError: it is not what was written.
        """
        return read_piece(self.path(output), index, SHARE)

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
            shares = Shares.from_dict(values)
            if values["plan"] == made_from and set(values["todo"]) >= set(todo):
                if not shares.borrowers or storage.exists(shares.path(plan.folder)):
                    return shares
        storage.remove(sign)  # before what it speaks of
        storage.remove(storage.join(plan.folder, WORKING, shares.name))
    paths = _paths_with_ids(plan, rows, todo, workers=workers, quiet=quiet)
    with key_folder(storage.join(plan.folder, WORKING)) as folder:
        read_keys = _matched_keys if isinstance(rows, MatchedRows) else image_keys
        shared = find_shared(paths, folder, read_keys, todo, workers=workers, quiet=quiet)
        found = {
            "plan": made_from, "todo": list(todo),
            "borrowers": np.flatnonzero(shared.borrowed).tolist(),
            "groups": [list(group) for group in _groups(shared.lent.tolist())],
        }  # fmt: skip
        shares = Shares.from_dict(found)
        if shares.borrowers:
            write_pieces(shares.path(plan.folder), len(paths), shared.of)
    artifacts.write_json(sign, found)
    return shares


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


def _matched_keys(file: pq.ParquetFile) -> Iterator[NDArray[np.void]]:
    for ids in matched_image_ids(file):
        yield string_keys(ids.drop_null())


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
