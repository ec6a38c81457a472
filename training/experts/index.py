"""Pairs and their clusters in any order in; out files that answer which cluster a pair is in.

    keys.bin       uint64 a pair, ascending: xxh3_64 of its id
    clusters.bin   uint16 a pair: its cluster
    index.json     how many there are, and the checksum of each of these

They are mapped into memory, so that the processes of a machine share their pages. Numbers are in
the machine's own order of bytes: these files are a cache of this machine.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.errors import ArtifactError
from curate.files.sums import has_sums

__all__ = ["UNKNOWN", "ClusterIndex", "is_whole", "write_clusters"]

UNKNOWN = -1
KEYS, CLUSTERS, NOTE = "keys.bin", "clusters.bin", "index.json"
VERSION = 1
_PAIR = np.dtype([("key", "=u8"), ("cluster", "=u2")])
_PILE_PAIRS = 1 << 22
_MOST_PILES = 512
Pairs = tuple[pa.StringArray, NDArray[np.uint16]]


def write_clusters(folder: str, batches: Iterable[Pairs], *, num_pairs: int) -> None:
    """Write the clusters of pairs to a folder, which appears when it is whole.

    Args:
        folder: local; its name is to say which clusters they are.
        batches: ids of pairs, without nulls, and their clusters, in any order. An id that comes
            twice is in the smaller one of its clusters.
        num_pairs: about how many there are, for the number of piles that are sorted by themselves.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        num, sums = 0, {name: xxhash.xxh3_128() for name in (KEYS, CLUSTERS)}
        piles = _piles(work, batches, min(_MOST_PILES, max(1, num_pairs // _PILE_PAIRS)))
        with ExitStack() as stack:
            files = {name: stack.enter_context((work / name).open("wb")) for name in sums}
            for pile in piles:
                found = _sorted(np.fromfile(pile, _PAIR))
                num += len(found)
                for name, column in ((KEYS, "key"), (CLUSTERS, "cluster")):
                    data = found[column].tobytes()
                    files[name].write(data)
                    sums[name].update(data)
                pile.unlink()
        note = {"version": VERSION, "pairs": num,
                "sums": {name: one.hexdigest() for name, one in sums.items()}}  # fmt: skip
        (work / NOTE).write_text(json.dumps(note))
        if target.exists():  # damaged, or of another version
            shutil.rmtree(target)
        work.rename(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _piles(work: Path, batches: Iterable[Pairs], wanted: int) -> Sequence[Path]:
    """Share pairs out by the first bits of their hash; return the files, in order."""
    from curate.curation.hashing.ids import quick_hashes  # only here: it compiles

    bits = int(wanted - 1).bit_length()
    paths = [work / f"pile-{number:04d}" for number in range(1 << bits)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for pair_ids, clusters in batches:
            pairs = np.empty(len(clusters), _PAIR)
            pairs["key"], pairs["cluster"] = quick_hashes(pair_ids, 0), clusters
            pile = pairs["key"] >> np.uint64(64 - bits) if bits else np.zeros(len(pairs), np.uint64)
            for number in np.unique(pile).tolist():
                files[number].write(pairs[pile == number].tobytes())
    return paths


def _sorted(pairs: NDArray[np.void]) -> NDArray[np.void]:
    pairs = pairs[np.lexsort((pairs["cluster"], pairs["key"]))]
    is_first = np.ones(len(pairs), bool)
    is_first[1:] = pairs["key"][1:] != pairs["key"][:-1]
    return pairs[is_first]


def _note(folder: str) -> dict[str, Any] | None:
    try:
        note = json.loads((Path(folder) / NOTE).read_bytes())
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and note.get("version") == VERSION else None


def is_whole(folder: str) -> bool:
    """Tell whether the files of an index are those that were written."""
    note = _note(folder)
    return note is not None and has_sums(folder, note["sums"])


class ClusterIndex:
    """Tells the clusters of pairs; may be used from several threads.

    Args:
        folder: that `write_clusters` wrote.

    Raises:
        ArtifactError: there is none in it, or its files have other sizes.
    """

    def __init__(self, folder: str) -> None:
        note = _note(folder)
        if note is None:
            raise ArtifactError(f"{folder}: there are no clusters in it")
        num = int(note["pairs"])
        self._keys = _mapped(Path(folder) / KEYS, np.dtype(np.uint64), num)
        self._clusters = _mapped(Path(folder) / CLUSTERS, np.dtype(np.uint16), num)

    def __len__(self) -> int:
        return len(self._keys)

    def clusters_of(self, pair_ids: pa.StringArray) -> NDArray[np.int64]:
        """Return the cluster of each pair; UNKNOWN of those that are in none; shape (n,)."""
        from curate.curation.hashing.ids import quick_hashes

        keys = quick_hashes(pair_ids, 0)
        found = np.full(len(keys), UNKNOWN, np.int64)
        if len(self._keys):
            at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            is_there = self._keys[at] == keys
            found[is_there] = self._clusters[at[is_there]]
        return found


def _mapped(path: Path, kind: np.dtype[Any], num: int) -> NDArray[Any]:
    size = os.path.getsize(path) if path.exists() else -1
    if size != num * kind.itemsize:
        raise ArtifactError(
            f"{path}: has {size:,} bytes, expected {num * kind.itemsize:,}. Remove its folder; the "
            "next run makes it anew."
        )
    return np.memmap(path, kind, "r") if num else np.zeros(0, kind)
