"""Matched pairs in, files out that answer what is asked of them without reading them all again.

Of each pair: its language, the smallest t that keeps it, and what became of it. Of each entry: the
numbers of its pairs, and how many are kept. Of each language: how many pairs every t keeps.

Three columns are read, once. Matches go to files by buckets of entries (`postings`), each of which
is put into order by itself, so that memory holds one bucket and the counts of all entries.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.sampling.critical import critical_thresholds
from curate.curation.sampling.postings import Buckets, order_bucket, split_matches
from curate.curation.sampling.sampling import hash_draws
from curate.curation.sampling.tally import EntryRanges
from curate.errors import ArtifactError
from curate.pipelines.browse.indexed.columns import Column, append_to, smallest_kind
from curate.pipelines.browse.indexed.entry_index import BLOCK
from curate.pipelines.matched.decisions import BATCH_ROWS, DECISION_COLUMNS, BalanceWorker
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts

__all__ = ["KEPT", "NOT_SAMPLED", "FILTERED", "DROPPED", "write_pairs_index"]

KEPT, NOT_SAMPLED, FILTERED, DROPPED = 0, 1, 2, 3
_BUCKET = 1 << 21  # matches that are put into order at a time
_PIECE = 1 << 20  # counts that are summed at a time
_STEPS = 1 << 20  # critical thresholds that are counted together


def write_pairs_index(
    folder: Path,
    plan: MatchedPlan,
    languages: list[dict[str, Any]],
    seed: int,
    balance: BalanceWorker | None,
    t_of: dict[str, int | None],
    progressed: Callable[[int], None],
) -> dict[str, Any]:
    """Write the files of all matched pairs.

    Args:
        folder: that they come into; the entries' files are there.
        plan: of `matched/`.
        languages: as `write_entries` gave them, in the order of the entries.
        seed: of the draws.
        balance: decides over pairs where t alone does not: with filters, or a cut; else None.
        t_of: t per language of the balanced set; {} without one.
        progressed: is told how many pairs are done.

    Returns:
        What has to be known to read them.

    Raises:
        ArtifactError: a part is missing, or does not fit the counts.
    """
    count_kind = np.dtype(smallest_kind(int(plan.whole_summary()["matched"])))
    count = np.fromfile(folder / "counts_by_id", count_kind)
    sizes = np.array([one["size"] for one in languages], np.int64)
    ranges = EntryRanges(np.cumsum(sizes) - sizes, sizes)
    starts, buckets = _cut(count)
    one_pass = _Pass(ranges, buckets, count, [one["lang"] for one in languages], t_of, seed)
    with _Spool(folder, len(buckets.edges) - 1) as spool:
        num = one_pass.run(folder, plan, balance, spool, progressed)
        if num >= 1 << 32:
            raise ArtifactError(f"{plan.folder}: {num:,} pairs; `browse` can number up to 2^32")
        _write_postings(folder, spool, buckets, count, num)
    starts.tofile(folder / "posting_blocks")
    _reorder_kept(folder, languages)
    one_pass.steps.write(folder)
    return {"pairs": num, "kept_of": one_pass.kept_of.tolist(), "has_fate": bool(t_of)}


class _Pass:
    """One reading of all pairs: what is written of each goes by, the rest is counted."""

    def __init__(
        self,
        ranges: EntryRanges,
        buckets: Buckets,
        count: NDArray[Any],
        langs: list[str],
        t_of: dict[str, int | None],
        seed: int,
    ) -> None:
        self._ranges, self._buckets, self._count, self._seed = ranges, buckets, count, seed
        self._index_of = {lang: at for at, lang in enumerate(langs)}
        self._thresholds = np.array([t_of.get(lang) or 0 for lang in langs], np.int64)
        self.steps = _Steps(len(langs))
        self.kept_of = np.zeros(len(langs), np.int64)

    def run(
        self,
        folder: Path,
        plan: MatchedPlan,
        balance: BalanceWorker | None,
        spool: "_Spool",
        progressed: Callable[[int], None],
    ) -> int:
        """Read all parts; return the number of pairs."""
        num, drops = 0, Drops.read(plan.folder)
        columns = balance.columns if balance else DECISION_COLUMNS
        with (
            append_to(folder / "pair_lang") as langs_file,
            append_to(folder / "pair_t") as t_file,
            append_to(folder / "pair_fate") as fate_file,
        ):
            for part in range(len(plan.parts)):
                with artifacts.open_parquet(plan.pairs_path(part)) as file:
                    for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                        counts = drops.counting(batch)
                        langs, critical, matches = self._batch(batch, counts, num)
                        fate = (
                            np.where(critical <= self._thresholds[langs], KEPT, NOT_SAMPLED)
                            if balance is None else _decided(balance, batch)
                        )  # fmt: skip
                        fate = np.where(counts, fate, DROPPED)
                        spool.add(*matches)
                        langs_file.add(langs.astype(np.uint16))
                        t_file.add(critical.view(np.uint64))
                        fate_file.add(fate.astype(np.uint8))
                        self.steps.add(langs[counts], critical[counts])
                        self.kept_of += np.bincount(
                            langs[fate == KEPT], minlength=len(self.kept_of)
                        )
                        num += batch.num_rows
                        progressed(num)
        return num

    def _batch(
        self, batch: pa.RecordBatch, counts: NDArray[np.bool_], first: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], Any]:
        """Return languages, critical thresholds, and matches by buckets, of a batch of pairs.

        Pairs that do not count are as pairs without entries: no t keeps them.
        """
        column = batch.column("lang")
        names = column.dictionary.to_pylist()
        codes = np.array([self._index_of[n] for n in names] or [0], np.int32)
        langs = codes[column.indices.to_numpy()]
        draws = hash_draws(batch.column("pair_id"), self._seed)
        ids = batch.column("entry_ids")
        if not counts.all():
            ids = pc.if_else(pa.array(counts), ids, pa.scalar([], ids.type))
        critical = critical_thresholds(ids, langs, self._ranges, draws, self._count)
        return langs, critical, split_matches(ids, langs, self._ranges, self._buckets, first)


def _decided(balance: BalanceWorker, batch: pa.RecordBatch) -> NDArray[np.int64]:
    _, drawn = balance.draw(batch)
    keep, _ = balance.filter(batch, drawn)
    return np.where(keep, KEPT, np.where(drawn, FILTERED, NOT_SAMPLED))


def _cut(count: NDArray[Any]) -> tuple[NDArray[np.int64], Buckets]:
    """Return where the pairs of each block of entries begin, and buckets of about as many matches.

    Returns:
        Shape (num_blocks + 1,), the last one is the number of matches; and the buckets.
    """
    sums = [np.zeros(0, np.int64)]
    for at in range(0, len(count), _PIECE):
        piece = count[at : at + _PIECE].astype(np.int64)
        sums.append(np.add.reduceat(piece, np.arange(0, len(piece), BLOCK)))
    starts = np.r_[0, np.cumsum(np.concatenate(sums))].astype(np.int64)
    of_block, edges, begin = [], [0], 0
    for block, start in enumerate(starts[:-1].tolist()):
        if start - begin >= _BUCKET:
            edges.append(block * BLOCK)
            begin = start
        of_block.append(len(edges) - 1)
    edges.append(len(count))
    return starts, Buckets(np.array(edges), np.array(of_block or [0], np.int32), BLOCK)


class _Spool:
    """Matches in a file for each bucket, gone at the end."""

    def __init__(self, folder: Path, num: int) -> None:
        self._paths = [folder / f"spool-{i}" for i in range(num)]
        self._files: list[Any] = []
        self._sizes = [0] * num
        self._room: NDArray[np.uint32] | None = None

    def __enter__(self) -> "_Spool":
        self._files = [path.open("w+b") for path in self._paths]
        return self

    def __exit__(self, *_: object) -> None:
        for file, path in zip(self._files, self._paths, strict=True):
            file.close()
            path.unlink(missing_ok=True)

    def add(
        self, entries: NDArray[np.uint32], pairs: NDArray[np.uint32], starts: NDArray[np.int64]
    ) -> None:
        for at, file in enumerate(self._files):
            start, stop = int(starts[at]), int(starts[at + 1])
            if stop > start:
                file.write(np.int64(stop - start).tobytes())
                file.write(entries[start:stop].data)
                file.write(pairs[start:stop].data)
                self._sizes[at] += stop - start

    def read(self, bucket: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        file = self._files[bucket]
        file.flush()
        if self._room is None:  # for the largest one; the next one is read into the same place
            self._room = np.empty((2, max(self._sizes)), np.uint32)
        entries, pairs = self._room[:, : self._sizes[bucket]]
        at = 0
        file.seek(0)
        while header := file.read(8):
            stop = at + int(np.frombuffer(header, np.int64)[0])
            file.readinto(entries[at:stop].data)
            file.readinto(pairs[at:stop].data)
            at = stop
        return entries, pairs


def _write_postings(
    folder: Path, spool: _Spool, buckets: Buckets, count: NDArray[Any], num: int
) -> None:
    fate = np.fromfile(folder / "pair_fate", np.uint8)
    assert len(fate) == num
    is_kept = fate == KEPT
    with (
        append_to(folder / "postings") as pairs_file,
        append_to(folder / "kept_by_id") as kept_file,
    ):
        for bucket in range(len(buckets.edges) - 1):
            first, stop = buckets.edges[bucket : bucket + 2].tolist()
            entries, pairs = spool.read(bucket)
            of_entry = count[first:stop]
            if len(pairs) != (expected := int(of_entry.sum(dtype=np.int64))):
                raise ArtifactError(f"{folder}: {len(pairs)} matches, the counts say {expected}")
            ordered, kept = order_bucket(entries, pairs, of_entry, is_kept)
            pairs_file.add(ordered)
            kept_file.add(kept)


def _reorder_kept(folder: Path, languages: list[dict[str, Any]]) -> None:
    """Write the kept pairs of each entry in the order of the entries' lines."""
    kept, order = Column(folder / "kept_by_id", np.uint32), Column(folder / "order", np.uint32)
    with append_to(folder / "kept") as file:
        for one in languages:
            rows = (one["first"], one["first"] + one["size"])
            file.add(kept.read(*rows)[order.read(*rows)])
    kept.close()
    order.close()
    os.unlink(folder / "kept_by_id")


def _starts(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return where runs of equal values begin."""
    is_new = np.r_[np.ones(min(1, len(values)), bool), values[1:] != values[:-1]]
    return np.flatnonzero(is_new).astype(np.int64)


class _Steps:
    """How many pairs of each language have each critical threshold."""

    def __init__(self, num_languages: int) -> None:
        self._num_languages = num_languages
        self._waiting: list[NDArray[np.uint64]] = []
        self._num = 0
        self._keys = np.zeros(0, np.uint64)
        self._counts = np.zeros(0, np.int64)

    def add(self, langs: NDArray[np.int32], critical: NDArray[np.int64]) -> None:
        self._waiting.append(
            (langs.astype(np.uint64) << np.uint64(54)) | critical.astype(np.uint64)
        )
        self._num += len(langs)
        if self._num >= _STEPS:
            self._merge()

    def _merge(self) -> None:
        keys = np.concatenate([*self._waiting, np.zeros(0, np.uint64)])
        keys.sort()
        first = _starts(keys)
        counts = np.diff(np.r_[first, len(keys)]).astype(np.int64)
        both = np.concatenate([self._keys, keys[first]] if len(keys) else [self._keys])
        numbers = np.concatenate([self._counts, counts] if len(keys) else [self._counts])
        order = np.argsort(both, kind="stable")
        both, numbers = both[order], numbers[order]
        starts = _starts(both)
        self._keys = both[starts] if len(both) else both
        self._counts = np.add.reduceat(numbers, starts) if len(both) else numbers
        self._waiting, self._num = [], 0

    def write(self, folder: Path) -> None:
        """Write the thresholds of each language and the pairs that each of them keeps."""
        self._merge()
        langs = (self._keys >> np.uint64(54)).astype(np.int64)
        edges = np.searchsorted(langs, np.arange(self._num_languages + 1))
        kept = np.cumsum(self._counts)
        before = np.r_[0, kept][edges[:-1]]
        kept = kept - np.repeat(before, np.diff(edges))
        (self._keys & np.uint64((1 << 54) - 1)).tofile(folder / "step_t")
        kept.astype(np.uint64).tofile(folder / "step_kept")
        edges.astype(np.int64).tofile(folder / "step_edges")
