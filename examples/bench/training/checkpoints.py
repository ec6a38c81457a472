"""What a checkpoint costs a run whose table of embeddings has 900,000 rows: stall, size, memory.

    python -m examples.bench.training.checkpoints [ROWS] [WIDTH] [RANKS]

Alone, with DDP and with FSDP on processes of this machine (gloo): how long a step's end waits until
the state is copied, how long its writing then goes on in a thread beside steps, bytes of each
process's file, memory at most; and the same checkpoint read by another number of processes.
"""

import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curate.pipelines.train.files import CheckpointWriter, RunFiles, read_checkpoint
from curate.training.data.batch import Batch, Position
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.distributed import joined_world, wait_for_all
from curate.training.loop.trainer import Trainer
from curate.training.model.config import ModelConfig
from examples.bench.common.measure import peak_bytes

NUM = 8


def shape(rows: int, width: int) -> ModelConfig:
    """Return a small model with a large table."""
    return ModelConfig(
        embed_dim=64, image_size=32, patch_size=16, vision_width=64, vision_layers=1,
        vision_head_width=32, text_width=width, text_layers=1, text_heads=2, context_length=16,
        vocab_size=rows, eos_id=2,
    )  # fmt: skip


def batch(world: Any, rows: int) -> Batch:
    """Return this process's share of random pairs."""
    rng = np.random.default_rng(0)
    tokens = np.zeros((NUM, 16), np.int64)
    tokens[:, :8] = rng.integers(3, rows, (NUM, 8))
    tokens[:, 8] = 2
    images = rng.integers(0, 256, (NUM, 3, 32, 32), np.uint8)
    mine = slice(world.rank * NUM // world.size, (world.rank + 1) * NUM // world.size)
    return Batch(images[mine], tokens[mine], [""] * (NUM // world.size), Position(), {})


def work(world: Any, folder: str, rows: int, width: int, sharding: str) -> dict[str, float]:
    """Take a step, save, take steps while it is written; or go on, where there is a checkpoint."""
    files = RunFiles(folder)
    config = TrainConfig(steps=100, batch_size=NUM, warmup_steps=1)
    trainer = Trainer(
        shape(rows, width), config, 2, world=world, options=StepOptions(sharding=sharding)
    )  # fmt: skip
    mine = batch(world, rows)
    found: dict[str, float] = {}
    if there := files.step_checkpoints():
        begun = time.monotonic()
        trainer.load_state(read_checkpoint(files, there[-1]))
        found["read_s"] = time.monotonic() - begun
        found["loss"] = trainer.step(mine).loss
    else:
        trainer.step(mine)
        is_shared = sharding == "fsdp" and world.size > 1
        writer = CheckpointWriter(files, 2, world if is_shared else None)
        wait_for_all(world)
        begun = time.monotonic()
        state = trainer.state()
        if world.is_main or is_shared:
            writer.save(1, state)
        found["stall_s"] = time.monotonic() - begun
        del state
        found["loss"] = trainer.step(mine).loss
        writer.wait()
        found["written_s"] = time.monotonic() - begun
        wait_for_all(world)
        found["bytes"] = float(sum(p.stat().st_size for p in Path(files.checkpoints).glob("*.pt")))
    found["peak_gb"] = peak_bytes() / 1e9
    return found


def _rank(rank: int, size: int, port: int, out: str, arguments: tuple[Any, ...]) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_WORLD_SIZE=str(size),
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo",
                      )  # fmt: skip
    torch.set_num_threads(1)
    with joined_world("cpu") as world:
        found = work(world, *arguments)
    Path(out, f"{rank}.json").write_text(json.dumps(found))


def on_ranks(size: int, *arguments: Any) -> list[dict[str, float]]:
    """Run `work` in processes of one group; return what each found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as out:
        ranks = [
            context.Process(target=_rank, args=(rank, size, port, out, arguments))
            for rank in range(size)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        return [json.loads(Path(out, f"{rank}.json").read_text()) for rank in range(size)]


def main(rows: int = 900_000, width: int = 64, ranks: int = 2) -> None:
    """Print a table."""
    print(f"table of {rows:,} × {width}\n\n| processes | sharding | stall, s | written after, s "
          "| GB | peak memory of each, GB | read by | reading, s | next loss |\n"
          f"|{'---|' * 9}", flush=True)  # fmt: skip
    for size, sharding, again in ((1, "ddp", 1), (ranks, "ddp", 1), (ranks, "fsdp", 1)):
        with tempfile.TemporaryDirectory() as folder:
            saved = on_ranks(size, folder, rows, width, sharding)
            read = on_ranks(again, folder, rows, width, sharding)
        largest = {key: max(one[key] for one in saved) for key in saved[0]}
        print(
            f"| {size} | {sharding} | {largest['stall_s']:.2f} | {largest['written_s']:.2f} | "
            f"{largest['bytes'] / 1e9:.2f} | {largest['peak_gb']:.2f} | {again} | "
            f"{read[0]['read_s']:.2f} | {saved[0]['loss']:.6f}, {read[0]['loss']:.6f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
