"""How many pairs an epoch of shards has, so that a card can say how many epochs a run was."""

from collections.abc import Sequence
from typing import Any

from curate.files import storage
from curate.pipelines.store import artifacts

__all__ = ["epochs_seen", "pairs_per_epoch"]


def pairs_per_epoch(tars: Sequence[str], sampler: Any, epoch: int, *, is_whole: bool) -> int | None:
    """Return how many pairs an epoch can train on.

    Args:
        tars: the shards.
        sampler: gives the groups of an epoch.
        epoch: of which; its draws decide where pairs are balanced while they are loaded.
        is_whole: all pairs that have an image are trained on. Then what stands beside a shard
            says how many they are; else, and where nothing does, the headers of the tars are read.

    Returns:
        None if it is not known without fetching remote shards.
    """
    if is_whole:
        known = [_stated(tar) for tar in tars]
        if None not in known:
            return sum(num for num in known if num is not None)
    if any(storage.is_remote(tar) for tar in tars):
        return None
    return sum(len(group) for group in sampler.groups(epoch))


def _stated(tar: str) -> int | None:
    """Return the pairs with an image of a shard, as `balance` or `download` wrote down."""
    stem = tar.removesuffix(".tar")
    for path, key in ((f"{stem}.json", "images"), (f"{stem}_stats.json", "successes")):
        if storage.exists(path):
            found = artifacts.read_json_of_anyone(path)
            num = found.get(key) if isinstance(found, dict) else None
            if type(num) is int and num >= 0:
                return num
    return None


def epochs_seen(pairs_seen: int, per_epoch: int | None) -> float | None:
    """Return how often each pair was seen, on average; None if it is not known.

    >>> epochs_seen(19_200, 62_642)
    0.31
    """
    return round(pairs_seen / per_epoch, 2) if per_epoch else None
