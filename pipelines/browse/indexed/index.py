"""What browsing keeps beside a workspace, made once: the index of its entries and of its pairs.

It lies in `.curate/matched/browse/` beside `matched/` and is no part of it: no text, no address and
no id of a pair stands in it, so that a retraction holds without it, and it can be removed at any
time. What it was made from is its name; one of other matches, or of another balanced set, is made
anew.
"""

import fcntl
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import ArtifactError
from curate.files import storage
from curate.pipelines.browse.indexed.columns import Column
from curate.pipelines.browse.indexed.entries import EntryIndex
from curate.pipelines.browse.indexed.entry_index import BLOCK, SOURCES, EntryList, write_entries
from curate.pipelines.browse.indexed.pair_index import write_pairs_index
from curate.pipelines.browse.indexed.thresholds import Steps
from curate.pipelines.browse.indexed.whole import forget, is_whole, read_about, write_about
from curate.pipelines.executor.lease import beside
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.matched.decisions import BalanceJob, BalanceWorker
from curate.pipelines.matched.exact import ExactCut
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import each_count
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log

__all__ = ["Balanced", "WorkspaceIndex", "open_index"]

_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Balanced:
    """A balanced set of the matches.

    Attributes:
        folder: of it.
        parameters: that it was made with.
        filters: of it, as `--filter` takes them, as far as they can be asked again.
    """

    folder: str
    parameters: dict[str, Any]
    filters: tuple[str, ...] = ()

    @property
    def t_of(self) -> dict[str, int | None]:
        """T per language."""
        found: dict[str, int | None] = self.parameters["t_of_language"]
        return found


class WorkspaceIndex:
    """The index of a matched folder.

    Args:
        folder: of it.
        about: what has to be known to read it.
        temporary: folder that goes with it; None where it is kept.

    Attributes:
        entries: of all languages.
        steps: pairs that every t keeps.
        pair_lang: position of each pair's language in `entries.languages`.
        pair_t: smallest t that keeps each pair; `NEVER` of those that do not count.
        pair_fate: what became of each pair.
        has_fate: whether there is a balanced set.
        kept_of: kept pairs of each language.
    """

    def __init__(self, folder: Path, about: dict[str, Any], temporary: Path | None = None) -> None:
        self._remove = (
            None if temporary is None else weakref.finalize(self, shutil.rmtree, temporary, True)
        )
        self._folder, self._about = folder, about
        self.has_fate = bool(about["has_fate"])
        self.num_pairs = int(about["pairs"])
        self.kept_of: list[int] = about["kept_of"]
        self.entries = EntryIndex(folder, about, has_kept=self.has_fate)
        self.pair_lang = Column(folder / "pair_lang", np.uint16)
        self.pair_t = Column(folder / "pair_t", np.uint64)
        self.pair_fate = Column(folder / "pair_fate", np.uint8)
        self._postings = Column(folder / "postings", np.uint32)
        self._posting_blocks = np.fromfile(folder / "posting_blocks", np.int64)
        self.steps = Steps(folder, [one["lang"] for one in self.entries.languages])

    def close(self) -> None:
        """Close the files, and take them away where they cannot stay."""
        for one in (self.pair_lang, self.pair_t, self.pair_fate, self._postings):
            one.close()
        self.entries.close()
        self.steps.close()
        if self._remove is not None:
            self._remove()

    def is_whole(self) -> bool:
        """Tell whether its files hold what was written; it reads them all."""
        return is_whole(self._folder, self._about)

    def forget(self) -> None:
        """Have it made anew when it is opened next."""
        forget(self._folder)

    def postings(self, lang: str, entry_id: int) -> "Postings":
        """Return where the numbers of an entry's pairs stand.

        Raises:
            UsageError: there is no such entry.
        """
        row = self.entries.row_of(lang, entry_id)
        first = row // BLOCK * BLOCK
        counts = self.entries.counts_by_id.read(first, row + 1).astype(np.int64)
        stop = int(self._posting_blocks[row // BLOCK] + counts.sum())
        return Postings(self._postings, stop - int(counts[-1]), stop)


@dataclass(frozen=True, slots=True)
class Postings:
    """Pairs of an entry, ascending, in a file."""

    column: Column
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def between(self, first: int, stop: int, most: int) -> NDArray[np.int64]:
        """Return the first pairs, at most so many, whose numbers are in a range."""
        at = self._place_of(first)
        found = self.column.read(at, min(self.stop, at + most)).astype(np.int64)
        return found[found < stop]

    def _place_of(self, pair: int) -> int:
        low, high = self.start, self.stop
        while low < high:
            middle = (low + high) // 2
            if self.column.at(middle) < pair:
                low = middle + 1
            else:
                high = middle
        return low


def open_index(
    plan: MatchedPlan,
    balanced: Balanced | None,
    metadata: str | None,
    progressed: Callable[[str, float], None],
) -> tuple[WorkspaceIndex, str]:
    """Open the index of a matched folder, and make it first if there is none.

    Args:
        plan: of `matched/`.
        balanced: set of these matches; None without one.
        metadata: folder with the sources of entries; None if it is not there.
        progressed: is told what is made and how much of it is done, 0 to 1.

    Returns:
        The index, and its name.

    Raises:
        ArtifactError: matching is not complete.
    """
    made_from = {
        "version": _VERSION, "plan": plan.digest(), "metadata": metadata is not None,
        "balanced": balanced and {"parameters": balanced.parameters,
                                  "filters": list(balanced.filters)},
    }  # fmt: skip
    name = artifacts.digest(made_from)[:24]
    with _place(plan.folder, lambda: progressed("another `curate browse` makes it", 0.0)) as place:
        folder, temporary = place
        target = folder / name
        about = read_about(target)
        if about is None:
            if target.exists():
                log(f"{target}: the index for browsing is damaged; it is made anew")
            _make(folder, target, plan, balanced, metadata, progressed)
            about = read_about(target)
        if about is None:
            raise ArtifactError(f"{target}: the index for browsing is not what was written there")
        return WorkspaceIndex(target, about, temporary), name


@contextmanager
def _place(matched: str, waits: Callable[[], None]) -> Iterator[tuple[Path, Path | None]]:
    """Give the folder where indices are kept, to this process alone: beside the matches.

    Where that cannot be, a temporary one; it is given twice then, and gone if nobody takes it.
    """
    kept = _kept_folder(matched, waits)
    if kept is not None:
        folder, lock = kept
        try:
            yield folder, None
        finally:
            os.close(lock)
        return
    temporary = Path(tempfile.mkdtemp(prefix="curate-browse-"))
    try:
        yield temporary, temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _kept_folder(matched: str, waits: Callable[[], None]) -> tuple[Path, int] | None:
    """Return the folder beside the matches, locked; None if it cannot be written or locked."""
    if not storage.is_local(matched):
        return None
    folder = Path(storage.local_path(storage.join(beside(matched), "browse")))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".tmp-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return None  # somebody else's workspace, or one that is only read
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waits()
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        os.close(lock)
        return None
    return folder, lock


def _make(
    folder: Path,
    target: Path,
    plan: MatchedPlan,
    balanced: Balanced | None,
    metadata: str | None,
    progressed: Callable[[str, float], None],
) -> None:
    for left in folder.iterdir():  # of other matches, or of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    making = folder / f".tmp-{uuid.uuid4().hex}"
    making.mkdir()
    try:
        summary = plan.whole_summary()
        num_pairs = int(summary["matched"])
        num_langs = max(1, len(plan.parameters["metadata"]))
        about = write_entries(
            making,
            _lists(plan, metadata, lambda n: progressed("entries", n / num_langs)),
            num_pairs,
        )
        seed = int(balanced.parameters["seed"]) if balanced else 0
        worker = _worker(plan, balanced) if balanced else None
        about |= write_pairs_index(
            making, plan, about["languages"], seed, worker, balanced.t_of if balanced else {},
            lambda n: progressed("pairs", min(1.0, n / max(1, num_pairs))),
        )  # fmt: skip
        plan.require_unchanged()
        write_about(making, about)
        making.rename(target)
        pa.default_memory_pool().release_unused()  # what was read goes back to the system
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _worker(plan: MatchedPlan, balanced: Balanced) -> BalanceWorker | None:
    """Return what decides over pairs where their t does not: with filters or an exact number."""
    exact = ExactCut.from_parameters(balanced.parameters)
    if exact is None and not balanced.filters:
        return None
    return BalanceWorker(
        BalanceJob(
            matched=plan.folder, output=balanced.folder, parameters="",
            metadata=plan.parameters["metadata"], columns=ColumnNames(**plan.parameters["columns"]),
            seed=balanced.parameters["seed"], write_pairs=False, filters=balanced.filters,
            exact=exact,
        )
    )  # fmt: skip


def _lists(
    plan: MatchedPlan, metadata: str | None, progressed: Callable[[int], None]
) -> Iterator[EntryList]:
    for number, (lang, count) in enumerate(each_count(plan)):
        read = partial(_read_entries, plan.counts_path(lang), metadata, lang, len(count))
        yield EntryList(lang=lang, count=count, read=read)
        progressed(number + 1)


def _read_entries(
    path: str, metadata: str | None, lang: str, num: int
) -> tuple[pa.StringArray, NDArray[np.uint8]]:
    entries = artifacts.read_table(path, ["entry"]).column("entry")
    if entries.num_chunks == 1:
        return entries.chunk(0), _sources(metadata, lang, num)
    whole = entries.cast(pa.large_string()).combine_chunks()  # of more than 2 GB perhaps
    return whole, _sources(metadata, lang, num)


def _sources(metadata: str | None, lang: str, num: int) -> NDArray[np.uint8]:
    """Return the code of each entry's source; 0 where the metadata are not there or are others."""
    path = storage.join(metadata, f"{lang}.parquet") if metadata else None
    if path is None or not storage.exists(path):
        return np.zeros(num, np.uint8)
    column = artifacts.read_table(path, ["source"]).column("source").combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.string())
    if len(column) != num:
        return np.zeros(num, np.uint8)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names: Sequence[str] = column.dictionary.to_pylist()
    codes = np.array([SOURCES.index(n) if n in SOURCES else 0 for n in names] or [0], np.uint8)
    found: NDArray[np.uint8] = codes[column.indices.to_numpy(zero_copy_only=False)]
    return found
