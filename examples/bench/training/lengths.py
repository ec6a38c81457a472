"""What batches of texts of like length save: tokens that are computed, and a step's processor time.

    python -m examples.bench.training.lengths [--model vit-b-32] [--batch-size 256] [--rows 16]

Captions are those of LAION-400M's sample in CURATE_TEST_DATA, in CLIP's tokens, in the order of an
epoch and as `--batch-by length` arranges them. A step is timed on a few rows of a batch, the
longest text among them, so that texts are as long as those of the whole batch: as on a GPU, where
all texts of a batch are computed to one length (`by_length` off), and as on a CPU.
"""

import statistics
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from curate.training.data.arrange import length_bucket, same_lengths
from curate.training.data.batch import Batch, Position
from curate.training.loop.config import StepOptions
from curate.training.model.config import load_model_config
from curate.training.published.resolve import clip_merges
from curate.training.text.tokenizer_files import open_tokenizer
from examples.bench.common.measure import in_turns, timed
from examples.bench.common.tables import machine, show
from examples.bench.training.gpu_steps import TimedStep, our_step
from examples.bench.training.steps import captions_in_disorder

_BUCKET = 8  # tokens that a batch's length is a multiple of


def batches_of(order: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the whole batches of an order, (num_batches, size)."""
    return order[: len(order) // size * size].reshape(-1, size)


def computed(lengths: NDArray[np.int64], batches: NDArray[np.int64], most: int) -> float:
    """Return the tokens of a text that are computed, on average."""
    longest = -(-lengths[batches].max(axis=1) // _BUCKET) * _BUCKET
    return float(np.minimum(longest, most).mean())


def main(
    model: Annotated[str, typer.Option(help="Name of a shape.")] = "vit-b-32",
    batch_size: Annotated[int, typer.Option(help="Pairs of a batch.")] = 256,
    rows: Annotated[int, typer.Option(help="Of it, that a step is timed on.")] = 16,
    steps: Annotated[int, typer.Option(help="Timed steps of each kind.")] = 5,
    threads: Annotated[int, typer.Option(help="Of torch.")] = 1,
) -> None:
    """Print two tables."""
    torch.set_num_threads(threads)
    shape = load_model_config(model)
    tokenizer = open_tokenizer(clip_merges(), shape.context_length)
    texts = captions_in_disorder()
    cut = timed(lambda: tokenizer.encode(texts))
    tokens, each_us = cut.result, cut.processor_s / len(texts) * 1e6
    lengths = (tokens == tokenizer.eos_id).argmax(axis=1) + 1
    plain = np.arange(len(texts))

    def arranged(size: int) -> NDArray[np.int64]:
        return same_lengths(length_bucket(lengths), 0, size, 0)

    print(f"{machine()}: {len(texts):,} captions of {lengths.mean():.1f} tokens; cutting one "
          f"into tokens takes {each_us:.0f} µs")  # fmt: skip
    show("Tokens of a text that are computed", [
        {"batch": size, "in order": computed(lengths, batches_of(plain, size), 77),
         "by length": computed(lengths, batches_of(arranged(size), size), 77)}
        for size in (32, 256, 1024)
    ])  # fmt: skip
    batches = {
        kind: [_rows(tokens, lengths, batch, rows, shape.image_size)
               for batch in _few(batches_of(order, batch_size), lengths, steps)]
        for kind, order in (("in order", plain), ("by length", arranged(batch_size)))
    }  # fmt: skip
    table: list[dict[str, Any]] = []
    for title, by_length in (("one length", False), ("pieces", True)):
        options = StepOptions(by_length=by_length)
        step = our_step(shape, tokenizer.eos_id, rows, options, torch.device("cpu"))
        mean = _seconds(step, batches, steps)
        row = {"texts of a batch in": title, **{f"{kind}, s": s for kind, s in mean.items()}}
        saved = mean["in order"] / mean["by length"]
        table.append({**row, "images/s, by length : in order": saved})
    show(f"{model}, steps on {rows} of {batch_size} pairs, processor time", table)


def _seconds(step: TimedStep, batches: dict[str, list[Batch]], rounds: int) -> dict[str, float]:
    """Return the mean processor time of a step on batches of each kind, taken in turns."""

    def work(kind: str) -> Callable[[int], Any]:
        return lambda number: step.run(batches[kind][number])

    took = in_turns({kind: work(kind) for kind in batches}, rounds, warm_up=1)
    return {k: statistics.mean(one.processor_s for one in runs) for k, runs in took.items()}


def _few(
    batches: NDArray[np.int64], lengths: NDArray[np.int64], num: int
) -> list[NDArray[np.int64]]:
    """Return some batches, evenly from the one of the shortest texts to that of the longest."""
    order = np.argsort(lengths[batches].max(axis=1), kind="stable")
    at = (np.arange(num) + 0.5) * len(order) / num
    return [batches[order[int(i)]] for i in at]


def _rows(
    tokens: NDArray[np.int64], lengths: NDArray[np.int64], batch: NDArray[np.int64], num: int,
    size: int,
) -> Batch:  # fmt: skip
    """Return some pairs of a batch, that of the longest text and evenly from the others."""
    order = batch[np.argsort(-lengths[batch], kind="stable")]
    some = order[np.linspace(0, len(order) - 1, num).astype(int)]
    images = np.random.default_rng(0).integers(0, 256, (num, 3, size, size), np.uint8)
    return Batch(images, tokens[some], [""] * num, Position(), {})


if __name__ == "__main__":
    typer.run(main)
