"""What is known of shards without reading them: what stands beside each says it.

A set of 40,000 tars is several terabytes. So a shard is known by the first of these: the hash in
the note that `balance` or `download` wrote beside it; what img2dataset's `NNNNN_stats.json`, or its
index `NNNNN.idx`, says, together with its size; behind a URL its size and time; and on a disk its
size and the hash of its first, last and two more pieces of 16 KiB.

That still is a small file for each shard, which takes minutes in a store that answers slowly. So
what was found is kept in one file (`Stock`), and a shard of which a listing says what it said then
is not asked again.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, NamedTuple

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import damaged
from curate.files.sealed_json import CHECKSUM, read_json, read_json_of_anyone, write_json
from curate.files.storage import size_and_time_in
from curate.pipelines.store.swap import refuse_half
from curate.pipelines.views.progress import log, progress
from curate.training.tars.promised import Listing, by_name, promised_samples, samples_of_index

__all__ = ["MISSING", "ShardFacts", "Stock", "take_stock"]

MISSING = "missing"
_THREADS, _THREADS_AFAR = 16, 96
_PIECE_BYTES = 1 << 14
_NOTE, _STATISTICS, _INDEX = ".json", "_stats.json", ".idx"
_WORTH_KEEPING = 1000  # shards: fewer are looked at in a second


class ShardFacts(NamedTuple):
    """What is known of a shard.

    Attributes:
        name: of its file, without folders.
        identity: the same for the same content; MISSING if the shard is not there.
        xxh3_128: that it has to have; None for one that is not ours.
        samples: that it is said to have; None if nothing says so.
    """

    name: str
    identity: str
    xxh3_128: str | None = None
    samples: int | None = None


class Stock:
    """What was found out about the shards of some folders, in one file.

    Args:
        folder: where such files are; None to remember nothing.
        places: folders of the shards.
    """

    def __init__(self, folder: str | None, places: Sequence[str]) -> None:
        name = sha256("\n".join(sorted(places)).encode()).hexdigest()[:16]
        self._path = None if folder is None else storage.join(folder, f"{name}.json")
        self._known: dict[str, tuple[str, ShardFacts]] = {}
        if self._path is not None and storage.exists(self._path):
            self._read(self._path)

    def _read(self, path: str) -> None:
        try:
            with of_ours(path):
                for tar, stamp, *facts in read_json(path)["shards"]:
                    self._known[str(tar)] = str(stamp), ShardFacts(*facts)
        except ArtifactError as error:
            self._known.clear()
            log(f"{error} All shards are looked at again.")

    def facts(self, tar: str, stamp: str) -> ShardFacts | None:
        """Return what is known of a shard, if its listing is what it was then."""
        known = self._known.get(tar)
        return known[1] if known is not None and stamp and known[0] == stamp else None

    def keep(self, tars: Sequence[str], stamps: Sequence[str], facts: Sequence[ShardFacts]) -> None:
        """Write down what was found, where there is much of it and anything is new."""
        found = dict(zip(tars, zip(stamps, facts, strict=True), strict=True))
        if self._path is None or len(tars) < _WORTH_KEEPING or found == self._known:
            return
        rows = [[tar, stamp, *one] for tar, (stamp, one) in found.items()]
        write_json(self._path, {"shards": rows})


def take_stock(
    tars: Sequence[str], *, kept_in: str | None = None, quiet: bool = True,
    listings: Mapping[str, Listing] | None = None,
) -> list[ShardFacts]:  # fmt: skip
    """Look at shards: a listing of their folders, and a small file beside each.

    Args:
        tars: the shards.
        kept_in: folder in which what was found is kept for later starts; None: nowhere.
        quiet: no progress.
        listings: of folders, as `list_shards` has just found them; the others are listed.

    Raises:
        ArtifactError: a shard has another size than was written, or a note of ours is damaged.
    """
    known_listings, listings = listings or {}, {}
    for folder in dict.fromkeys(_folder_of(tar) for tar in tars):
        refuse_half(folder)
        there = known_listings.get(folder)
        listings[folder] = _listing(folder) if there is None else there
    stamps = [_stamp(tar, listings[_folder_of(tar)]) for tar in tars]
    stock = Stock(kept_in, list(listings))
    found = [stock.facts(tar, stamp) for tar, stamp in zip(tars, stamps, strict=True)]
    asked = [tar for tar, known in zip(tars, found, strict=True) if known is None]
    is_afar = any(storage.is_remote(tar) for tar in asked)
    with ThreadPoolExecutor(_THREADS_AFAR if is_afar else _THREADS) as pool:  # it waits for stores
        looked = pool.map(lambda tar: _facts(tar, listings[_folder_of(tar)]), asked)
        shown = progress(looked, total=len(asked), label="shards", unit="shard", quiet=quiet)
        new = dict(zip(asked, shown, strict=True))
    facts = [new[tar] if known is None else known for tar, known in zip(tars, found, strict=True)]
    stock.keep(tars, stamps, facts)
    return facts


def _folder_of(tar: str) -> str:
    return tar.rpartition("/")[0] or "."


def _listing(folder: str) -> Listing:
    filesystem, inside = storage.filesystem_of(folder)
    if not filesystem.isdir(inside):
        return {}  # a place that cannot be listed, such as one behind http
    return by_name(filesystem.ls(inside, detail=True))


def _stamp(tar: str, listing: Listing) -> str:
    """Return what a listing says of a shard and of what stands beside it; "" if that is too little.

    Names, sizes and times: what is written anew has another time.
    """
    base = tar.rpartition("/")[2].removesuffix(".tar")
    said = []
    for suffix in (".tar", _NOTE, _STATISTICS, _INDEX):
        if base + suffix in listing:
            size, time = size_and_time_in(listing[base + suffix])
            if not time:
                return ""
            said.append(f"{suffix} {size} {time}")
    return ", ".join(said)


def _facts(tar: str, listing: Listing) -> ShardFacts:
    name = tar.rpartition("/")[2]
    stem, base = tar.removesuffix(".tar"), name.removesuffix(".tar")
    if name in listing:
        size, time = size_and_time_in(listing[name])
    elif listing or not storage.exists(tar):
        return ShardFacts(name, MISSING, samples=promised_samples(tar))
    else:
        size, time = storage.size_and_time(tar)
    for suffix, key in ((_NOTE, "images"), (_STATISTICS, "successes")):
        if base + suffix not in listing:
            continue
        content = storage.read_bytes(stem + suffix)
        found = read_json_of_anyone(stem + suffix, content)
        found = found if isinstance(found, dict) else {}
        samples = _whole_number(found.get(key))
        if isinstance(found.get("sha256"), str):
            return ShardFacts(name, found["sha256"], _own_sum(tar, found, size), samples)
        if suffix == _STATISTICS:
            known = f"{size} bytes, statistics {sha256(content).hexdigest()}"
            return ShardFacts(name, known, None, samples)
    if base + _INDEX in listing:
        return _indexed(tar, size, size_and_time_in(listing[base + _INDEX])[0])
    if not storage.is_local(tar):
        return ShardFacts(name, f"{size} bytes of {time}")
    return ShardFacts(name, f"{size} bytes, pieces {_pieces(tar, size)}")


def _indexed(tar: str, size: int, index_size: int) -> ShardFacts:
    """Return what an index says: by its size and its beginning, since it may have megabytes."""
    path = tar.removesuffix(".tar") + _INDEX
    filesystem, inside = storage.filesystem_of(path)
    content = bytes(filesystem.cat_file(inside, start=0, end=_PIECE_BYTES))
    known = f"index of {index_size} bytes, {sha256(content).hexdigest()}"
    samples = samples_of_index(content)
    return ShardFacts(tar.rpartition("/")[2], f"{size} bytes, {known}", samples=samples)


def _whole_number(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _own_sum(tar: str, note: Mapping[str, Any], size: int) -> str | None:
    """Return the checksum that a note of ours says of a shard; None if it is not ours.

    Raises:
        ArtifactError: the shard has another size.
    """
    about = note.get("tar")
    if CHECKSUM not in note or not isinstance(about, dict):
        return None
    if about.get("size_bytes") != size:
        damaged(tar, f"it has {size} bytes, expected {about.get('size_bytes')}")
    return str(about["xxh3_128"])


def _pieces(tar: str, size: int) -> str:
    """Return the hash of four pieces of a local file."""
    digest = sha256()
    with storage.open_read(tar) as file:
        for place in (0, size // 3, 2 * size // 3, max(0, size - _PIECE_BYTES)):
            file.seek(place)
            digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()
