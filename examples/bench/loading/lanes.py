"""What each machine fetches in an epoch, with and without lanes: machines are simulated.

    python -m examples.bench.loading.lanes [SHARDS] [SAMPLES]

Each machine is a loader with a cache folder of its own, on shards in this process's memory; what is
in the folder afterwards is what it fetched. One process a machine.
"""

import sys
import tempfile
from itertools import islice
from pathlib import Path

import fsspec
import numpy as np

from curate.training.data.loader import Loader, LoaderConfig
from curate.training.data.shard_cache import ShardCache
from curate.training.text.tokenizer import learn_tokenizer
from tests.pipelines.helpers import png
from tests.training.shard_files import sample, write_tar

BATCH = 256


def write_set(num_shards: int, num_samples: int) -> list[str]:
    """Put shards of small images, padded to some 10 kB each, into memory."""
    memory, paths = fsspec.filesystem("memory"), []
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for shard in range(num_shards):
            image = png((shard % 250, 0, 0)) + rng.bytes(10_000)
            keys = [f"{shard:05d}{i:04d}" for i in range(num_samples)]
            path = write_tar(Path(folder) / "t.tar", [sample(key, image=image) for key in keys])
            paths.append(f"memory://set/{shard:05d}.tar")
            memory.pipe(paths[-1].removeprefix("memory:/"), Path(path).read_bytes())
    return paths


def fetched(paths: list[str], machines: int, lanes: int, num_samples: int) -> list[float]:
    """Return the MB that each machine fetches for an epoch."""
    tokenizer = learn_tokenizer(["a red dog"] * 4, 300, 8)
    found = []
    for machine in range(machines):
        with tempfile.TemporaryDirectory() as folder:
            config = LoaderConfig(
                image_size=8, batch_size=BATCH, shuffle_pairs=2_000, rank=machine,
                num_ranks=machines, lanes=lanes,
            )  # fmt: skip
            counts = dict.fromkeys(paths, num_samples)
            cache = ShardCache(folder=folder)
            loading = Loader(
                paths, tokenizer, config, cache=cache, num_samples=counts
            ).batches()  # fmt: skip
            for _ in islice(loading, len(paths) * num_samples // BATCH - 4):
                pass
            loading.close()
            found.append(sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6)
    return found


def main(num_shards: int = 64, num_samples: int = 200) -> None:
    """Print a table."""
    paths = write_set(num_shards, num_samples)
    whole = sum(fsspec.filesystem("memory").size(p.removeprefix("memory:/")) for p in paths) / 1e6
    print(f"{num_shards} shards of {num_samples} samples, {whole:.0f} MB")
    for machines in (1, 2, 4, 8):
        for lanes in sorted({1, machines, 8}):
            each = fetched(paths, machines, lanes, num_samples)
            print(f"| {machines} | {lanes} | {min(each):.0f} to {max(each):.0f} MB | "
                  f"{sum(each) / whole:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
