"""Training steps on the CPU with real captions, ours and open_clip's in turns, by processor time.

    python -m examples.bench.training.steps [--models vit-b-32,vit-s-16] [--batch-size 32]
        [--rounds 5]

Captions are those of LAION-400M's sample in CURATE_TEST_DATA, tokenized by CLIP's tokenizer;
pixels are random, since a step does not depend on them. With --full every text has the whole
context. open_clip's optimizer is as its training script makes it (on a CPU a loop over parameters);
with --fused beside that also with the fused one that ours has. Each round takes one step of each on
the same batch, and the row says the median of the rounds' ratios, the least and the most.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any

import numpy as np
import torch
import typer

from curate.training.data.batch import Batch, Position
from curate.training.loop.config import StepOptions
from curate.training.model.config import ModelConfig, load_model_config
from curate.training.published.resolve import clip_merges
from curate.training.text.tokenizer import Tokenizer
from curate.training.text.tokenizer_files import open_tokenizer
from examples.bench.common.measure import in_turns, ratio
from examples.bench.common.pairs import public_data, web_captions
from examples.bench.common.tables import machine, show
from examples.bench.training.gpu_steps import TimedStep, open_clip_step, our_step
from tests.training.their_programs import import_open_clip

WARMUP = 1


def captions_in_disorder() -> list[str]:
    """Return the captions of LAION-400M's sample, in an order of their own."""
    texts = web_captions(public_data())
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
    batches = list(islice(found, rounds))

    def work(name: str) -> Callable[[int], Any]:
        return lambda number: steps[name].run(batches[number])

    took = in_turns({name: work(name) for name in steps}, rounds, WARMUP)
    seconds = {name: [one.processor_s for one in runs] for name, runs in took.items()}
    row: dict[str, Any] = {f"{k}, s": round(statistics.median(v), 2) for k, v in seconds.items()}
    ours, *others = seconds
    return row | {f"ratio, {other}": ratio(seconds[other], seconds[ours]) for other in others}


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
        texts = captions_in_disorder()
        steps = {
            "ours": our_step(shape, tokenizer.eos_id, batch_size, StepOptions(), place),
            "open_clip": open_clip_step(shape, StepOptions(), place, compiled=False),
        }
        if fused:
            steps["with fused AdamW"] = open_clip_step(
                shape, StepOptions(), place, compiled=False, fused=True
            )
        found = batches(shape, tokenizer, texts, batch_size, full=full)
        captions = "whole context" if full else "LAION"
        rows.append({"model": model, "captions": captions, "batch": batch_size,
                     **compare(steps, found, rounds)})  # fmt: skip
    show(f"{machine()}, {torch.get_num_threads()} threads of torch {torch.__version__}", rows)


if __name__ == "__main__":
    typer.run(main)
