"""A workspace with shards of coloured images, and runs on it: in this process, or by commands."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.train.stage import train_model
from curate.training.loop.config import TrainConfig
from tests.pipelines.helpers import match, png, write_metadata, write_pairs

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (250,) * 3}
SHAPE = {
    "embed_dim": 16, "image_size": 16, "patch_size": 8, "vision_width": 32, "vision_layers": 1,
    "vision_head_width": 16, "text_width": 32, "text_layers": 1, "text_heads": 2,
    "context_length": 8, "vocab_size": 300,
}  # fmt: skip


def write_train_workspace(folder):
    """Write 120 pairs of four colours as balanced shards, and files to evaluate on."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.json").write_text(json.dumps(SHAPE))
    names = [name for name in COLOURS for _ in range(30)]
    rng = np.random.default_rng(0)
    images = [
        png(tuple(int(c) for c in np.clip(np.add(COLOURS[n], rng.integers(-9, 9, 3)), 0, 255)))
        for n in names
    ]
    metadata = write_metadata(folder / "metadata", {"en": list(COLOURS)})
    a = write_pairs(folder / "a.parquet", [f"something {n}" for n in names], image=images)
    match([a], metadata, folder / "matched")
    for t, name in ((1000, "balanced"), (5, "few")):
        balance_pairs(
            matched=str(folder / "matched"),
            output=str(folder / name),
            options=BalanceOptions(t=t, pairs_per_shard=50),
            quiet=True,
        )
    table = {"image": [png(c) for c in COLOURS.values()], "label": list(COLOURS)}
    pq.write_table(pa.table(table), folder / "classes.parquet")
    texts = [f"something {n}" for n in COLOURS]
    table = {"image": table["image"], "text": texts, "lang": ["en", "en", "de", "de"]}
    pq.write_table(pa.table(table), folder / "texts.parquet")
    return folder


def train(workspace, name, *, overwrite=False, options=None, extras=None, **config):
    values = {"steps": 40, "batch_size": 32, "learning_rate": 3e-3, "warmup_steps": 4,
              "checkpoint_every": 10, "log_every": 5, **config}  # fmt: skip
    return train_model(
        shards=str(workspace / "balanced/shards"),
        output=str(workspace / name),
        model=str(workspace / "tiny.json"),
        config=TrainConfig(**values),
        options=options,
        extras=extras,
        datacard=str(workspace / "balanced/datacard.json"),
        device="cpu",
        overwrite=overwrite,
        quiet=True,
    )


def command(workspace, name, *more, ranks=None):
    """Return the command that does what `train` does."""
    curate = str(Path(sys.executable).with_name("curate"))
    launcher = []
    if ranks:
        launcher = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr",
            "127.0.0.1", "--nproc-per-node", str(ranks), "--no-python",
        ]  # fmt: skip
    return [*launcher, curate, *words(workspace, name, *more)]


def words(workspace, name, *more):
    """Return the words of that command behind its name."""
    return [
        "train", "--shards", str(workspace / "balanced/shards"), "--output",
        str(workspace / name), "--model", str(workspace / "tiny.json"), "--device", "cpu",
        "--steps", "40", "--batch-size", "32", "--learning-rate", "0.003", "--warmup-steps", "4",
        "--checkpoint-every", "10", "--log-every", "5", "--threads", "1", *map(str, more),
    ]  # fmt: skip


def environment():
    import os

    return {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


def weights(workspace, name):
    return torch.load(workspace / name / "checkpoints/final.pt", weights_only=True)["model"]


def log_lines(workspace, name):
    return [json.loads(line) for line in (workspace / name / "log.jsonl").read_text().splitlines()]
