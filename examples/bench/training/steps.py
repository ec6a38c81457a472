"""Training steps on the CPU with real captions, ours and open_clip's in turns, by processor time.

    python -m examples.bench.training.steps [--models vit-b-32,vit-s-16] [--batch-size 32]
        [--rounds 5]

Captions are those of LAION-400M's sample in CURATE_TEST_DATA, tokenized by CLIP's tokenizer;
pixels are random, since a step does not depend on them. With --full every text has the whole
context. open_clip's optimizer is as its training script makes it (on a CPU a loop over parameters);
with --fused beside that also with the fused one that ours has. Each round takes one step of each on
the same batch, and the row says the median of the rounds' ratios, the least and the most.
"""

import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import torch
import typer

from curate.training.data.batch import Batch, Position
from curate.training.loop.config import StepOptions
from curate.training.model.config import ModelConfig, load_model_config
from curate.training.published.resolve import clip_merges
from curate.training.text.tokenizer import Tokenizer
from curate.training.text.tokenizer_files import open_tokenizer
from examples.bench.__main__ import _processor, show
from examples.bench.training.gpu_steps import TimedStep, open_clip_step, our_step
from tests.training.their_programs import import_open_clip

WARMUP = 1


def processor_s() -> float:
    """Return the seconds of the processor that this process has had."""
    used = os.times()
    return used.user + used.system


def web_captions() -> list[str]:
    """Return the captions of LAION-400M's sample, in an order of their own."""
    data = Path(os.environ.get("CURATE_TEST_DATA", "../shared/data"))
    column = pq.read_table(data / "laion/laion400m_10k.parquet", columns=["TEXT"]).column("TEXT")
    texts = [text for text in column.to_pylist() if text and text.strip()]
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]


def batches(
    shape: ModelConfig, tokenizer: Tokenizer, texts: Sequence[str], size: int, *, full: bool
) -> Iterator[Batch]:
    """Yield batches of random pixels and of the next captions, round and round."""
    rng = np.random.default_rng(0)
    first = 0
    while True:
        some = [texts[(first + i) % len(texts)] for i in range(size)]
        first += size
        tokens = tokenizer.encode([" ".join([text] * 99) if full else text for text in some])
        images = rng.integers(0, 256, (size, 3, shape.image_size, shape.image_size), np.uint8)
        yield Batch(images, tokens, [""] * size, Position(), {})


def compare(steps: dict[str, TimedStep], found: Iterator[Batch], rounds: int) -> dict[str, Any]:
    """Time one step of each a round, in turns; return a row of the table."""
    for batch in islice(found, WARMUP):
        for step in steps.values():
            step.run(batch)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number, batch in enumerate(islice(found, rounds)):
        names = list(steps) if number % 2 == 0 else list(steps)[::-1]
        for name in names:
            begun = processor_s()
            steps[name].run(batch)
            seconds[name].append(processor_s() - begun)
            print(f"{name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    row: dict[str, Any] = {f"{k}, s": round(statistics.median(v), 2) for k, v in seconds.items()}
    ours, *others = seconds
    for other in others:
        ratios = sorted(b / a for a, b in zip(seconds[ours], seconds[other], strict=True))
        row[f"ratio, {other}"] = (
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    return row


def main(
    models: Annotated[str, typer.Option(help="Names, comma-separated.")] = "vit-b-32,vit-s-16",
    batch_size: Annotated[int, typer.Option(help="Pairs of a step.")] = 32,
    rounds: Annotated[int, typer.Option(help="Steps of each.")] = 5,
    full: Annotated[bool, typer.Option("--full", help="Texts of the whole context.")] = False,
    threads: Annotated[int, typer.Option(help="Of torch; 0: as it wants.")] = 0,
    fused: Annotated[bool, typer.Option("--fused", help="Theirs with fused AdamW too.")] = False,
) -> None:
    """Print a table."""
    if threads:
        torch.set_num_threads(threads)
    import_open_clip()
    place = torch.device("cpu")
    rows = []
    for model in models.split(","):
        shape = load_model_config(model)
        tokenizer = open_tokenizer(clip_merges(), shape.context_length)
        texts = web_captions()
        steps = {
            "ours": our_step(shape, tokenizer.eos_id, batch_size, StepOptions(), place),
            "open_clip": open_clip_step(shape, StepOptions(), place, compiled=False),
            **(
                {
                    "with fused AdamW": open_clip_step(
                        shape, StepOptions(), place, compiled=False, fused=True
                    )
                }
                if fused
                else {}
            ),
        }
        found = batches(shape, tokenizer, texts, batch_size, full=full)
        captions = "whole context" if full else "LAION"
        rows.append({"model": model, "captions": captions, "batch": batch_size,
                     **compare(steps, found, rounds)})  # fmt: skip
    show(f"{_processor()}, {torch.get_num_threads()} threads of torch {torch.__version__}", rows)


if __name__ == "__main__":
    typer.run(main)
