"""Two sets of pairs, each larger than memory: which pairs are in one, which in both.

The way through: pairs → spilled to disk in partitions by the hash of their ids, entries counted on
the way → partition by partition, both sides in memory, ids compared as strings → counts per
language. A pair is in the same partition on both sides, so the sum over partitions is exact.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws
from curate.curation.sampling.tally import EntryRanges, add_kept
from curate.errors import ArtifactError
from curate.files.disk_space import require_space, told_when_full
from curate.pipelines.diff.sides import Side, read_pairs
from curate.pipelines.views.progress import progress

__all__ = ["PairDiff", "compare_pairs"]

PAIRS_PER_PARTITION = 1_000_000  # of both sides; about 250 bytes each, while they are compared
MOST_PARTITIONS = 512  # files that are open at once
_PARTITION_SEED = 0x9E3779B9  # of its own: the draws of `balance` would put its pairs in a few
_BYTES_PER_PAIR = 80
_SPILLED = pa.schema({"pair_id": pa.string(), "lang": pa.int32(), "entries": pa.binary()})


@dataclass(slots=True)
class PairDiff:
    """What two sets of pairs have in common, per language; of an id that repeats, the first.

    Attributes:
        only_a: pairs that B does not have.
        only_b: pairs that A does not have.
        both: pairs in both, by their language in A.
        changed: of those, the ones with another language, or other entries of the same metadata.
        repeated: rows of A and of B whose id had occurred before.
        examples_a: ids of the first few pairs only in A.
        examples_b: likewise.
        counts_a: matches of each entry among A's pairs, per language.
        counts_b: likewise.
    """

    only_a: Counter[str] = field(default_factory=Counter)
    only_b: Counter[str] = field(default_factory=Counter)
    both: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    repeated: list[int] = field(default_factory=lambda: [0, 0])
    examples_a: list[str] = field(default_factory=list)
    examples_b: list[str] = field(default_factory=list)
    counts_a: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    counts_b: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def compare_pairs(
    a: Side, b: Side, comparable: set[str], *, num_examples: int, quiet: bool
) -> PairDiff:
    """Compare the pairs of two folders by their ids.

    Args:
        a: a side.
        b: the other.
        comparable: languages whose entries have the same ids on both sides.
        num_examples: ids to give.
        quiet: no progress.

    Raises:
        DiskSpaceError: the temporary folder has no room; TMPDIR names another one.
    """
    diff = PairDiff()
    num = min(MOST_PARTITIONS, -(-(a.num_pairs + b.num_pairs + 1) // PAIRS_PER_PARTITION))
    names: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="curate-diff-") as name:
        size = (a.num_pairs + b.num_pairs) * _BYTES_PER_PAIR
        require_space([(name, size)], "The environment variable TMPDIR names the folder.")
        folder = Path(name)
        with told_when_full(name):
            diff.counts_a = _spill(a, folder / "a", num, names, quiet)
            diff.counts_b = _spill(b, folder / "b", num, names, quiet)
        langs = list(names)
        is_comparable = np.array([lang in comparable for lang in langs] or [False])
        parts = progress(range(num), total=num, label="compare", unit="partition", quiet=quiet)
        for part in parts:
            _compare_partition(
                diff, _read(folder / "a" / str(part)), _read(folder / "b" / str(part)),
                langs, is_comparable, num_examples,
            )  # fmt: skip
    return diff


def _spill(
    side: Side, folder: Path, num: int, names: dict[str, int], quiet: bool
) -> dict[str, NDArray[np.int64]]:
    """Write a side's pairs to partitions; return the counts of its entries."""
    folder.mkdir()
    sizes = {lang: side.num_entries(lang) for lang in side.counted}
    ends = dict(zip(sizes, np.cumsum([*sizes.values()]).tolist(), strict=True))
    ranges_of = {lang: (ends[lang] - size, size) for lang, size in sizes.items()}
    counts = np.zeros(sum(sizes.values()), np.int64)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pa.ipc.new_file(folder / str(part), _SPILLED))
            for part in range(num)
        ]
        files = progress(side.files, total=len(side.files), label="read", unit="file", quiet=quiet)
        for path in files:
            for batch in read_pairs(path, side.drops):
                _count(batch, counts, ranges_of, path)
                for part, piece in _pieces(batch, num, names):
                    writers[part].write_batch(piece)
    found = {lang: counts[first : first + size] for lang, (first, size) in ranges_of.items()}
    return {lang: count for lang, count in found.items() if count.any()}


def _read(path: Path) -> pa.Table:
    with pa.ipc.open_file(path) as file:
        return file.read_all()


def _count(
    batch: pa.RecordBatch,
    counts: NDArray[np.int64],
    ranges_of: dict[str, tuple[int, int]],
    path: str,
) -> None:
    """Add a batch to the counts of its entries, those of all languages in one loop."""
    lang, entry_ids = batch.column("lang"), batch.column("entry_ids")
    langs = lang.indices.to_numpy()
    found = [ranges_of.get(name, (0, 0)) for name in lang.dictionary.to_pylist()]
    ranges = EntryRanges(*np.array(found, np.int64).reshape(-1, 2).T.copy())
    sizes = np.repeat(ranges.size[langs], np.diff(entry_ids.offsets.to_numpy()))
    if (entry_ids.flatten().to_numpy() >= sizes).any():
        raise ArtifactError(
            f"{path}: entry ids go beyond the entries of their language. Make the folder again "
            "with --overwrite."
        )
    add_kept(entry_ids, langs, ranges, np.ones(len(langs), bool), counts)


def _pieces(
    batch: pa.RecordBatch, num: int, names: dict[str, int]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut a batch into those of its pairs that belong to each partition."""
    ids, lang, entry_ids = (batch.column(n) for n in ("pair_id", "lang", "entry_ids"))
    codes = np.array([names.setdefault(n, len(names)) for n in lang.dictionary.to_pylist()])
    of_pair = pa.array(codes[lang.indices.to_numpy()].astype(np.int32))
    columns = [ids, of_pair, _as_bytes(entry_ids)]
    spilled = pa.RecordBatch.from_arrays(columns, schema=_SPILLED)
    if num == 1:
        yield 0, spilled
        return
    part = (hash_draws(ids, _PARTITION_SEED) * num).astype(np.int64)
    order = np.argsort(part, kind="stable")
    spilled = spilled.take(pa.array(order))
    bounds = np.searchsorted(part[order], np.arange(num + 1))
    for index in np.flatnonzero(np.diff(bounds)).tolist():
        yield index, spilled.slice(bounds[index], bounds[index + 1] - bounds[index])


def _as_bytes(entry_ids: pa.ListArray) -> pa.BinaryArray:
    """Return each list's ids as bytes, which can be compared at once."""
    values = np.ascontiguousarray(entry_ids.values.to_numpy(), dtype="<u4")
    offsets = entry_ids.offsets.to_numpy().astype(np.int32) * 4
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(entry_ids), buffers)


def _compare_partition(
    diff: PairDiff,
    a: pa.Table,
    b: pa.Table,
    langs: list[str],
    is_comparable: NDArray[np.bool_],
    num_examples: int,
) -> None:
    a, b = _first_of_each(a, diff, 0), _first_of_each(b, diff, 1)
    place = pc.index_in(a.column("pair_id"), value_set=b.column("pair_id").combine_chunks())
    shared = pc.is_valid(place).combine_chunks()
    at = place.drop_null().combine_chunks()
    is_new = np.ones(b.num_rows, dtype=bool)
    is_new[at.to_numpy()] = False
    only_a, only_b = a.filter(pc.invert(shared)), b.filter(pa.array(is_new))
    _add(diff.only_a, only_a, langs)
    _add(diff.only_b, only_b, langs)
    for examples, table in ((diff.examples_a, only_a), (diff.examples_b, only_b)):
        examples += table.slice(0, num_examples - len(examples)).column("pair_id").to_pylist()
    both, other = a.filter(shared), b.take(at)
    _add(diff.both, both, langs)
    lang, lang_b = (t.column("lang").to_numpy() for t in (both, other))
    entries_differ = pc.not_equal(both.column("entries"), other.column("entries"))
    differs = entries_differ.to_numpy() & is_comparable[lang] | (lang != lang_b)
    _add(diff.changed, both.filter(pa.array(differs)), langs)


def _first_of_each(table: pa.Table, diff: PairDiff, side: int) -> pa.Table:
    """Return the first row of each id."""
    ids = table.column("pair_id").combine_chunks()
    codes = ids.dictionary_encode()
    num = len(codes.dictionary)
    if num == len(ids):
        return table
    diff.repeated[side] += len(ids) - num
    first = np.empty(num, np.int64)
    first[codes.indices.to_numpy()[::-1]] = np.arange(len(ids))[::-1]
    return table.take(pa.array(first))


def _add(total: Counter[str], table: pa.Table, langs: list[str]) -> None:
    num: Any = np.bincount(table.column("lang").to_numpy(), minlength=len(langs))
    total.update({lang: n for lang, n in zip(langs, num.tolist(), strict=True) if n})
