"""What a run is made of, found out without reading its shards: what stands beside them says it.

A set of 40,000 tars is several terabytes. So a shard is known by the first of these: the hash in
the note that `balance` or `download` wrote beside it; what img2dataset's `NNNNN_stats.json`, or its
index `NNNNN.idx`, says, together with its size; behind a URL its size and time; and on a disk its
size and the hash of its first, last and two more pieces of 16 KiB.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.remedies import damaged
from curate.files.sealed_json import CHECKSUM
from curate.files.storage import size_and_time_in
from curate.pipelines.caption_tables.join import caption_identity
from curate.pipelines.clustered.expert import expert_identity
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import refuse_half
from curate.pipelines.train.loading import TrainExtras, read_online
from curate.pipelines.train.shard_facts import MISSING, ShardFacts
from curate.pipelines.train.start import Start, teacher_identity
from curate.pipelines.views.progress import progress
from curate.training.loop.config import TrainConfig
from curate.training.model.config import ModelConfig
from curate.training.tars.promised import promised_samples

__all__ = ["LOST", "difference", "identity", "shard_identities", "take_stock", "with_lost"]

LOST = "not there any more"  # what `difference` says of lost shards
_THREADS = 16
_PIECE_BYTES = 1 << 14
_NOTE, _STATISTICS, _INDEX = ".json", "_stats.json", ".idx"

Listing = Mapping[str, Mapping[str, Any]]  # what a file system says of files, by their names


def take_stock(tars: Sequence[str], *, quiet: bool = True) -> list[ShardFacts]:
    """Look at shards: a listing of their folders, and a small file beside each.

    Raises:
        ArtifactError: a shard has another size than was written, or a note of ours is damaged.
    """
    listings = {}
    for folder in {_folder_of(tar) for tar in tars}:
        refuse_half(folder)
        listings[folder] = _listing(folder)
    with ThreadPoolExecutor(_THREADS) as pool:  # reading leaves the interpreter's lock
        found = pool.map(lambda tar: _facts(tar, listings[_folder_of(tar)]), tars)
        return list(progress(found, total=len(tars), label="shards", unit="shard", quiet=quiet))


def _folder_of(tar: str) -> str:
    return tar.rpartition("/")[0] or "."


def _listing(folder: str) -> Listing:
    filesystem, inside = storage.filesystem_of(folder)
    if not filesystem.isdir(inside):
        return {}  # a place that cannot be listed, such as one behind http
    return {i["name"].rstrip("/").rpartition("/")[2]: i for i in filesystem.ls(inside, detail=True)}


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
        found = artifacts.read_json_of_anyone(stem + suffix)
        found = found if isinstance(found, dict) else {}
        samples = _whole_number(found.get(key))
        if isinstance(found.get("sha256"), str):
            return ShardFacts(name, found["sha256"], _own_sum(tar, found, size), samples)
        if suffix == _STATISTICS:
            return ShardFacts(
                name, f"{size} bytes, statistics {_hash_of(stem + suffix)}", None, samples
            )
    if base + _INDEX in listing:
        said = f"{size} bytes, index {_hash_of(stem + _INDEX)}"
        return ShardFacts(name, said, samples=promised_samples(tar))
    if not storage.is_local(tar):
        return ShardFacts(name, f"{size} bytes of {time}")
    return ShardFacts(name, f"{size} bytes, pieces {_pieces(tar, size)}")


def _whole_number(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _hash_of(path: str) -> str:
    return sha256(storage.read_bytes(path)).hexdigest()


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


def identity(
    facts: Sequence[ShardFacts],
    shape: ModelConfig,
    config: TrainConfig,
    extras: TrainExtras,
    start: Start,
    lanes: int = 1,
) -> dict[str, Any]:
    """Return what a run is made of: what `config.json` holds."""
    return {
        "schema_version": artifacts.SCHEMA_VERSION,
        "model": asdict(shape),
        "train": config.decisive(),
        **start.identity,
        **({"teacher": teacher_identity(extras.teacher)} if extras.teacher else {}),
        **_expert_identity(extras, start),
        "loader": {**_loader_identity(extras), **_lanes_identity(lanes, facts)},
        **shard_identities(facts),
        "balanced": _balanced_digest(extras.datacard),
    }


def _expert_identity(extras: TrainExtras, start: Start) -> dict[str, Any]:
    """Return which expert a run is, and from which step on; nothing of a run on all pairs."""
    if extras.expert is None or start.goes_on is None:
        return {}
    return {"expert": {**expert_identity(extras.expert), "from_step": start.goes_on.step}}


def shard_identities(facts: Sequence[ShardFacts]) -> dict[str, Any]:
    """Return what shards a run is made of."""
    hashed = [(one.name, one.identity) for one in facts]
    # The folder may move; names that are there twice stand for shards in their order.
    hashes = dict(hashed) if len(dict(hashed)) == len(hashed) else {"in_order": hashed}
    return {"shards": artifacts.digest(hashes), "num_shards": len(facts)}


def _lanes_identity(lanes: int, facts: Sequence[ShardFacts]) -> dict[str, Any]:
    """Return what decides where shards are cut into lanes; nothing of one lane."""
    samples = [one.samples for one in facts]
    return {"lanes": lanes, "samples": artifacts.digest(samples)} if lanes > 1 else {}


def _loader_identity(extras: TrainExtras) -> dict[str, Any]:
    """Return what decides which pairs are loaded and how their pixels come out."""
    from curate.training.data.images import describe_decoder, resolve_decoder

    online = read_online(extras.online)
    joined = caption_identity(extras.captions)
    return {
        "decoder": describe_decoder(resolve_decoder(extras.decoder)),
        "unit": extras.unit,
        "online": online.digest() if online else None,
        **({"captions": joined} if joined else {}),
        **_batch_identity(extras),
    }


def _batch_identity(extras: TrainExtras) -> dict[str, Any]:
    """Return what makes pairs a batch; nothing where their order does, as before there was more."""
    if extras.batch_by == "order":
        return {}
    is_chosen = extras.batch_by != "length"
    more = {"super_batch": extras.super_batch} if is_chosen else {}
    return {"batch_by": extras.batch_by, **more}


def _balanced_digest(datacard: str | None) -> str | None:
    """Return the digest of what the pairs were balanced by, whatever their card shows."""
    if datacard is None or not storage.exists(datacard):
        return None
    found = artifacts.read_json_of_anyone(datacard)
    digest = found.get("balanced") if isinstance(found, dict) else None
    return digest if isinstance(digest, str) else None


def difference(before: Sequence[ShardFacts], now: Sequence[ShardFacts]) -> list[str]:
    """Return lines that say which shards of a run are not those that it was begun with.

    >>> difference([ShardFacts("0.tar", "a"), ShardFacts("1.tar", "b")], [ShardFacts("1.tar", "c")])
    ['not there any more: 0.tar', 'another content: 1.tar']
    """
    old, new = ({one.name: one.identity for one in facts} for facts in (before, now))
    gone = [n for n in old if new.get(n, MISSING) == MISSING and old[n] != MISSING]
    changed = [n for n in old if n in new and n not in gone and new[n] != old[n]]
    added = [n for n in new if n not in old]
    kinds = ((LOST, gone), ("another content", changed), ("new", added))
    return [f"{what}: {_some(names)}" for what, names in kinds if names]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"


def with_lost(before: Sequence[ShardFacts], now: Sequence[ShardFacts]) -> list[ShardFacts]:
    """Return the shards that there are, and those lost since, as they were.

    Raises:
        ArtifactError: names are there twice, so that nobody knows which shard is lost.
    """
    known = {one.name: one for one in before}
    found = {one.name: one for one in now}
    if len(known) < len(before) or len(found) < len(now):
        raise ArtifactError(
            "shards of one name lie in several folders, so which of them is lost is not known. "
            "Give back the one that is missing."
        )
    lost = {n for n, one in known.items() if n not in found or found[n].identity == MISSING}
    return sorted(
        [known[n] for n in lost] + [one for one in now if one.name not in lost],
        key=lambda one: one.name,
    )
