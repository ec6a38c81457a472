"""What a run is made of, and in what its shards differ from those that it was begun with."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.caption_tables.join import caption_identity
from curate.pipelines.clustered.expert import expert_identity
from curate.pipelines.store import artifacts
from curate.pipelines.train.extras import TrainExtras
from curate.pipelines.train.loading import read_online
from curate.pipelines.train.shard_facts import MISSING, ShardFacts
from curate.pipelines.train.start import Start, teacher_identity
from curate.training.loop.config import TrainConfig
from curate.training.model.config import ModelConfig

__all__ = ["LOST", "difference", "identity", "lanes_identity", "shard_identities", "with_lost"]

LOST = "not there any more"  # what `difference` says of lost shards


def identity(
    facts: Sequence[ShardFacts],
    shape: ModelConfig,
    config: TrainConfig,
    extras: TrainExtras,
    start: Start,
    lanes: int = 1,
) -> dict[str, Any]:
    """Return what a run is made of: what `config.json` holds.

    Raises:
        UsageError: a vocabulary is to be trimmed that is learned from the captions themselves.
    """
    if extras.trim_vocabulary and start.tokenizer is None:
        raise UsageError(
            "--trim-vocabulary without --tokenizer or --init: a tokenizer that is learned from "
            "the captions has nothing that they do not use. Leave it out."
        )
    return {
        "schema_version": artifacts.SCHEMA_VERSION,
        "model": asdict(shape),
        "train": config.decisive(),
        **start.identity,
        **({"trim_vocabulary": True} if extras.trim_vocabulary else {}),
        **({"teacher": teacher_identity(extras.teacher)} if extras.teacher else {}),
        **_expert_identity(extras, start),
        "loader": {**_loader_identity(extras), **lanes_identity(lanes, facts)},
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


def lanes_identity(lanes: int, facts: Sequence[ShardFacts]) -> dict[str, Any]:
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
