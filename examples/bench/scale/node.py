"""One machine of a run that starts: from the process's first line to its first batches.

Does what `curate train` does before its first step, without a model: lists the shards, finds out
what they are (on the first machine; the others are given it), and loads batches. Prints JSON.
"""

import json
import pickle
import resource
import shutil
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from examples.bench.scale.store import Store, open_store

MORE_BATCHES = 4  # after the first, before memory is looked at
SHUFFLE_PAIRS = 10_000


def start(asked: dict[str, Any]) -> dict[str, Any]:
    """Start a machine.

    Args:
        asked: of `cold_start.py`: what the store has, which of how many machines this is,
            its batch, lanes, where runs keep what is known of shards, and the file for the others.

    Returns:
        Seconds of the parts, bytes and requests, shards of an epoch, memory.
    """
    from curate.pipelines.train.identity import shard_identities
    from curate.pipelines.train.shard_facts import take_stock
    from curate.training.data.loader import Loader, LoaderConfig, list_shards
    from curate.training.data.sampler import shard_order
    from curate.training.data.shard_cache import ShardCache
    from curate.training.text.tokenizer import learn_tokenizer

    tokenizer = learn_tokenizer(["a photo of a red dog"] * 4, 300, 77)
    store = Store(**{**asked["store"], "template": Path(asked["store"]["template"])})
    found: dict[str, Any] = {"imports_s": time.time() - asked["begun"]}
    folder = open_store(store)
    machines, machine, lanes = asked["machines"], asked["machine"], asked["lanes"]

    at = time.monotonic()
    listings: dict[str, Any] = {}
    tars = list_shards(folder, listings)
    found["listing_s"] = time.monotonic() - at
    at, kept = time.monotonic(), Path(asked["facts"])
    if machine == 0:
        facts = take_stock(tars, kept_in=asked["kept"], listings=listings)
        shard_identities(facts)
        kept.write_bytes(pickle.dumps(facts))
    else:
        facts = pickle.loads(kept.read_bytes())
    found["stock_s"] = time.monotonic() - at
    found["facts_bytes"] = kept.stat().st_size

    num_samples = {tar: one.samples for tar, one in zip(tars, facts, strict=True) if one.samples}
    sums = {tar: one.xxh3_128 for tar, one in zip(tars, facts, strict=True) if one.xxh3_128}
    cache = tempfile.mkdtemp(prefix="scale-", dir=asked["scratch"])
    try:
        at = time.monotonic()
        config = LoaderConfig(
            image_size=224, batch_size=asked["batch"] * machines, shuffle_pairs=SHUFFLE_PAIRS,
            rank=machine, num_ranks=machines, lanes=lanes,
        )  # fmt: skip
        loader = Loader(
            tars, tokenizer, config, cache=ShardCache(folder=cache), sums=sums,
            num_samples=num_samples,
        )  # fmt: skip
        batches = loader.batches()
        first = next(batches)
        found["batch_s"] = time.monotonic() - at
        found["first_fetched"] = store.asked["bytes .tar"]
        assert len(first.pair_ids) == asked["batch"] and not first.skipped
        for _ in islice(batches, MORE_BATCHES):
            pass
        batches.close()
    finally:
        shutil.rmtree(cache)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found["processor_s"] = usage.ru_utime + usage.ru_stime
    found["peak_bytes"] = usage.ru_maxrss * 1024
    found["shards_of_epoch"] = len(shards_of(shard_order(tars, 0, 0), num_samples, asked))
    found["asked"] = dict(store.asked)
    return found


def shards_of(order: list[str], num_samples: dict[str, int], asked: dict[str, Any]) -> set[str]:
    """Return the shards that the machine opens in an epoch."""
    from curate.training.data.lanes import lane_pieces

    machines, machine, lanes = asked["machines"], asked["machine"], asked["lanes"]
    size = asked["batch"] * machines
    if lanes == 1:
        return set(order)
    mine = range(machine * size // machines, (machine + 1) * size // machines)
    shares = [range(i * size // lanes, (i + 1) * size // lanes) for i in range(lanes)]
    own = [share for share in shares if share.start < mine.stop and mine.start < share.stop]
    return {piece.path for share in own for piece in lane_pieces(order, num_samples, share, size)}


if __name__ == "__main__":
    print(json.dumps(start(json.loads(sys.argv[1]))))
