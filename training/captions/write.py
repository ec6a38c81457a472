"""Captions in any order in, files sorted by the hash of the pair's id out, in bounded memory.

    captions ─► 2^b piles on the disk, by the first bits of the hash ─► each sorted ─► appended

    keys.bin     uint64 a caption, ascending: the first hash of the pair's id
    rows.bin     of each: second hash, place, size, source and language of its text (`ROW`)
    texts.bin    UTF-8, one behind the other
    index.json   sources, languages, counts, and the checksum of each of these

Numbers are in the machine's own order of bytes: these files are a cache of this machine.
"""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

__all__ = ["KEYS", "NOTE", "ROW", "ROWS", "SEEDS", "TEXTS", "VERSION", "Captions", "write_index"]

KEYS, ROWS, TEXTS, NOTE = "keys.bin", "rows.bin", "texts.bin", "index.json"
VERSION = 2
SEEDS = (0, 0x63617074696F6E73)  # of the two hashes of an id
ROW = np.dtype(
    [("hash", "=u8"), ("at", "=u8"), ("size", "=u4"), ("source", "=u2"), ("lang", "=u2")]
)
_PILE_BYTES = 64 << 20
_MOST_PILES = 512
_SPOOLED = pa.schema({"key": pa.uint64(), "hash": pa.uint64(), "source": pa.uint16(),
                      "text": pa.large_string(), "lang": pa.uint16()})  # fmt: skip
_NO_LANG = np.uint16(0)


class Captions(NamedTuple):
    """Captions of any pairs.

    Attributes:
        pair_ids: string, without nulls; shape (n,).
        texts: string, without nulls; shape (n,).
        source: of each, its place in the list of sources; uint16, shape (n,).
        lang: of each, its place in the list of languages, from 1; 0 where nobody says it.
    """

    pair_ids: pa.StringArray
    texts: pa.StringArray
    source: NDArray[np.uint16]
    lang: NDArray[np.uint16]


@dataclass(slots=True)
class _Written:
    """What has been written, and the sums of it."""

    captions: int = 0
    pairs: int = 0
    repeated: int = 0
    several: int = 0
    at: int = 0


def write_index(
    folder: str,
    batches: Iterable[Captions],
    sources: Sequence[str],
    langs: Sequence[str] = (),
    *,
    size_bytes: int,
    note: dict[str, Any],
) -> dict[str, Any]:
    """Write the files of captions to a folder, which appears when it is whole.

    Args:
        folder: local; its name is to say what the captions are. One process at a time writes it.
        batches: in any order, which decides nothing; may add to the lists and `note` on the way.
        sources: their names; those of `batches` are places in it.
        langs: codes of their languages.
        size_bytes: about how much the texts are, for the number of piles.
        note: what else the note is to hold, read when all batches have come.

    Returns:
        The note: `sources`, `langs`, `captions`, `pairs`, `repeated`, `pairs_with_several`
        (captions of one source), `sums`, and what was given.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        piles = _piles(work, batches, min(_MOST_PILES, max(1, size_bytes // _PILE_BYTES)))
        written, counts = _Written(), Counter[int]()
        sums = {name: xxhash.xxh3_128() for name in (KEYS, ROWS, TEXTS)}
        with ExitStack() as stack:
            files = {name: stack.enter_context((work / name).open("wb")) for name in sums}
            for pile in piles:
                for name, data in _sorted(pile, written, counts):
                    files[name].write(data)
                    sums[name].update(data)
                pile.unlink()
        found = {
            "version": VERSION, "sources": list(sources), "langs": list(langs),
            "captions": written.captions, "pairs": written.pairs, "repeated": written.repeated,
            "pairs_with_several": written.several,
            "by_source": {sources[i]: num for i, num in sorted(counts.items())},
            "sums": {name: one.hexdigest() for name, one in sums.items()}, **note,
        }  # fmt: skip
        (work / NOTE).write_text(json.dumps(found))
        if target.exists():  # damaged, or of another version
            shutil.rmtree(target)
        work.rename(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return found


def _piles(work: Path, batches: Iterable[Captions], wanted: int) -> list[Path]:
    """Share captions out by the first bits of their hash; return the files, in order."""
    from curate.curation.hashing.ids import quick_hashes  # only here: it compiles

    bits = max(0, int(wanted - 1).bit_length())
    paths = [work / f"pile-{number:04d}" for number in range(1 << bits)]
    with ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_stream(str(path), _SPOOLED)) for path in paths]
        for batch in batches:
            keys, second = (quick_hashes(batch.pair_ids, seed) for seed in SEEDS)
            columns = [pa.array(keys), pa.array(second), pa.array(batch.source),
                       batch.texts.cast(pa.large_string()), pa.array(batch.lang)]  # fmt: skip
            whole = pa.record_batch(columns, schema=_SPOOLED)
            if not bits:
                writers[0].write_batch(whole)
                continue
            pile = (keys >> np.uint64(64 - bits)).astype(np.int64)
            order = np.argsort(pile, kind="stable")
            whole, ends = whole.take(pa.array(order)), np.cumsum(np.bincount(pile, minlength=1))
            for number in np.unique(pile).tolist():
                first = int(ends[number - 1]) if number else 0
                writers[number].write_batch(whole.slice(first, int(ends[number]) - first))
    return paths


def _sorted(pile: Path, written: _Written, counts: Counter[int]) -> list[tuple[str, bytes]]:
    """Return the bytes of a pile's captions for each file, in order and without repetitions."""
    with pa.OSFile(str(pile)) as file, pa.ipc.open_stream(file) as stream:
        table = stream.read_all().combine_chunks()
    if not table.num_rows:
        return []
    order = [(name, "ascending") for name in ("key", "hash", "source", "text")]
    table = table.take(pc.sort_indices(table, order)).combine_chunks()
    key, second, source = (table.column(n).to_numpy() for n in ("key", "hash", "source"))
    text = table.column("text").combine_chunks()
    same_pair = (key[1:] == key[:-1]) & (second[1:] == second[:-1])
    same_source = same_pair & (source[1:] == source[:-1])
    same_text = pc.equal(text[1:], text[:-1]).to_numpy(zero_copy_only=False)
    keep = np.r_[True, ~(same_source & same_text)]
    written.repeated += int((~keep).sum())
    lang = _agreed_langs(table.column("lang").to_numpy(), keep)
    text = text.filter(pa.array(keep))
    key, second, source = key[keep], second[keep], source[keep]
    same_pair = (key[1:] == key[:-1]) & (second[1:] == second[:-1])
    same_source = same_pair & (source[1:] == source[:-1])
    first_of_pair = np.r_[True, ~same_pair]
    written.pairs += int(first_of_pair.sum())
    written.several += len(np.unique((np.cumsum(first_of_pair) - 1)[1:][same_source]))
    counts.update(dict(enumerate(np.bincount(source).tolist())))
    rows = np.zeros(len(key), ROW)
    sizes = pc.binary_length(text).to_numpy().astype(np.uint64)
    rows["hash"], rows["size"], rows["source"], rows["lang"] = second, sizes, source, lang
    rows["at"] = np.uint64(written.at) + np.cumsum(sizes) - sizes
    written.at += int(sizes.sum())
    written.captions += len(key)
    return [(KEYS, key.tobytes()), (ROWS, rows.tobytes()), (TEXTS, _bytes_of(text))]


def _agreed_langs(lang: NDArray[np.uint16], keep: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return the language of each caption that is kept; none where repetitions contradict it."""
    starts = np.flatnonzero(keep)
    largest = np.maximum.reduceat(lang, starts)
    unsaid = np.iinfo(np.uint16).max  # what is not said contradicts nothing
    least = np.minimum.reduceat(np.where(lang == _NO_LANG, unsaid, lang), starts)
    return np.where(least == largest, largest, _NO_LANG).astype(np.uint16)


def _bytes_of(text: pa.LargeStringArray) -> bytes:
    """Return the strings of an array, one behind the other."""
    offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    data = text.buffers()[2]
    return data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes() if data else b""


def make_room(folder: str, max_bytes: int, keep: str) -> None:
    """Remove the captions that were not opened for the longest time, if they are too many.

    Args:
        folder: with the folders of indices.
        max_bytes: of all of them.
        keep: the one at hand.
    """
    found = []
    for path in Path(folder).iterdir():
        try:
            opened = (path / NOTE).stat().st_mtime_ns
            size = sum(one.stat().st_size for one in path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue  # no captions, or another process has just made room of them
        found.append((opened, size, path))
    left = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if left > max_bytes and path != Path(keep):
            shutil.rmtree(path, ignore_errors=True)
            left -= size


def touch(folder: str) -> None:
    """Note that captions were opened now."""
    os.utime(Path(folder) / NOTE)
