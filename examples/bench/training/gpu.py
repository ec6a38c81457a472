"""How fast a training step is, from synthetic tensors and from shards, beside open_clip.

    python -m examples.bench.training.gpu [--models vit-b-32,vit-b-16,vit-l-14] [--batch-size 4096]

Inputs:
    synthetic   one batch of uint8 images and tokens again and again: the step alone
    ram         JPEG shards in /dev/shm, through the loader
    disk        the same shards in --folder

MFU is given twice: with the tokens that were computed (texts are cut to the longest of a batch),
and as if all 77 had been, as others count. open_clip runs in the same process if
`pip install open_clip_torch torchvision` is there, in bfloat16, with and without torch.compile; it
takes the synthetic batch. Without a GPU everything runs tiny: to see that the script works, not to
measure.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from curate.errors import CurateError
from curate.training.data.batch import Batch, LoaderConfig, Position
from curate.training.data.loader import Loader
from curate.training.data.prefetch import DevicePrefetcher
from curate.training.loop.config import StepOptions
from curate.training.model.config import ModelConfig, load_model_config
from curate.training.model.flops import device_peak_flops, flops_per_pair
from curate.training.text.tokenizer import Tokenizer, learn_tokenizer
from examples.bench.training.gpu_shards import CAPTIONS, write_jpeg_shards
from examples.bench.training.gpu_steps import TINY, TimedStep, open_clip_step, our_step

WARMUP = 5
# The longest of a batch's alt-texts is often near this; the whole context would be 77.
SYNTHETIC_TOKENS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is timed, and where."""

    batch_size: int
    steps: int
    pairs: int
    folder: str
    place: torch.device
    options: StepOptions


def main(
    models: Annotated[
        str, typer.Option(help="Names, comma-separated.")
    ] = "vit-b-32,vit-b-16,vit-l-14",
    batch_size: Annotated[int, typer.Option(help="Pairs of a step.")] = 4096,
    steps: Annotated[int, typer.Option(help="Timed steps.")] = 20,
    pairs: Annotated[int, typer.Option(help="Pairs in the shards.")] = 32_768,
    folder: Annotated[str, typer.Option(help="Where the shards on disk go.")] = ".",
    inputs: Annotated[str, typer.Option(help="Of synthetic, ram, disk.")] = "synthetic,ram,disk",
    grad_checkpointing: Annotated[
        bool, typer.Option("--grad-checkpointing", help="Less memory.")
    ] = False,
    accumulate: Annotated[int, typer.Option(help="Parts of a batch.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu, cuda; a GPU if there is one.")] = None,
) -> None:
    """Print a table."""
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    on_gpu = place.type == "cuda"
    if not on_gpu:
        print("There is no GPU here: a tiny model, to see that the script works. No measurement.")
        models, batch_size, steps, pairs = "tiny", 8, 2, 64
    name = torch.cuda.get_device_name(place) if on_gpu else "CPU"
    print(f"{name}, torch {torch.__version__}, batch {batch_size}, {steps} steps after {WARMUP}")
    options = StepOptions(grad_checkpointing=grad_checkpointing, accumulate=accumulate)
    bench = Bench(batch_size=batch_size, steps=steps, pairs=pairs, folder=folder, place=place,
                  options=options)  # fmt: skip
    if problem := _open_clip_problem():
        print(f"{problem}: no comparison. For one: pip install open_clip_torch torchvision")
    is_first = True
    for model in models.split(","):
        shape = TINY if model == "tiny" else load_model_config(model)
        for row in bench_model(shape, inputs.split(","), bench):
            row = {"model": model, **row, **_mfu(row, shape, device_peak_flops(name))}
            if is_first:
                print(f"\n| {' | '.join(row)} |\n|{'---|' * len(row)}")
                is_first = False
            print(f"| {' | '.join(_shown(*cell) for cell in row.items())} |", flush=True)


def bench_model(shape: ModelConfig, inputs: list[str], bench: Bench) -> Iterator[dict[str, Any]]:
    """Time a model's steps: ours on every input, open_clip's on synthetic ones."""
    tokenizer = learn_tokenizer(CAPTIONS, shape.vocab_size, shape.context_length)
    for source in inputs:
        systems: dict[str, Callable[[], TimedStep]] = {
            "curate": lambda: our_step(
                shape, tokenizer.eos_id, bench.batch_size, bench.options, bench.place
            )
        }
        if source == "synthetic" and _open_clip_problem() is None:
            for compiled in (False, True) if bench.place.type == "cuda" else (False,):
                title = "open_clip, compiled" if compiled else "open_clip"
                systems[title] = lambda compiled=compiled: open_clip_step(  # type: ignore[misc]
                    shape, bench.options, bench.place, compiled=compiled
                )
        for title, open_step in systems.items():
            with _batches(source, shape, tokenizer, bench) as batches:
                try:
                    timed = _run(open_step, batches, bench)
                except (CurateError, torch.OutOfMemoryError) as error:
                    print(f"{title}, {source}: {str(error).splitlines()[0]}")
                    continue
                yield {"input": source, "step": title, **timed}


def _open_clip_problem() -> str | None:
    """Return why there is nothing to compare with; None if open_clip can be used."""
    try:
        import_module("open_clip")
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
        return f"open_clip cannot be imported ({error})"
    return None


def _run(
    open_step: Callable[[], TimedStep], batches: Iterator[Batch], bench: Bench
) -> dict[str, Any]:
    """Time steps after a warm-up."""
    on_gpu = bench.place.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(bench.place)
    step = open_step()
    for batch in islice(batches, WARMUP):
        step.run(batch)
    if on_gpu:
        torch.cuda.synchronize(bench.place)
    start = time.perf_counter()
    for batch in islice(batches, bench.steps):
        step.run(batch)
    if on_gpu:
        torch.cuda.synchronize(bench.place)
    rate = bench.steps * bench.batch_size / (time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated(bench.place) / 1e9 if on_gpu else None
    return {"images/s": rate, "tokens": step.num_tokens(), "peak GB": peak}


@contextmanager
def _batches(
    source: str, shape: ModelConfig, tokenizer: Tokenizer, bench: Bench
) -> Iterator[Iterator[Batch]]:
    """Open batches of a source; its shards are removed at the end."""
    if source == "synthetic":
        yield _synthetic(shape, tokenizer, bench)
        return
    in_memory = "/dev/shm" if source == "ram" and Path("/dev/shm").is_dir() else bench.folder
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=in_memory))
    try:
        shards = write_jpeg_shards(scratch, max(bench.pairs, 2 * bench.batch_size))
        config = LoaderConfig(image_size=shape.image_size, batch_size=bench.batch_size,
                              pin_memory=bench.place.type == "cuda")  # fmt: skip
        stream = DevicePrefetcher(Loader(shards, tokenizer, config).batches(), bench.place)
        try:
            yield iter(stream)
        finally:
            stream.close()
    finally:
        shutil.rmtree(scratch)


def _synthetic(shape: ModelConfig, tokenizer: Tokenizer, bench: Bench) -> Iterator[Batch]:
    """Yield one batch again and again, its images on the device already."""
    size = (bench.batch_size, 3, shape.image_size, shape.image_size)
    images = torch.randint(0, 256, size, dtype=torch.uint8, device=bench.place)
    rng = np.random.default_rng(0)
    tokens = np.full((bench.batch_size, shape.context_length), tokenizer.pad_id, np.int64)
    words = [i for i in range(min(shape.vocab_size, 256)) if i != tokenizer.eos_id]
    tokens[:, : SYNTHETIC_TOKENS - 1] = rng.choice(words, (len(tokens), SYNTHETIC_TOKENS - 1))
    tokens[:, SYNTHETIC_TOKENS - 1] = tokenizer.eos_id
    batch = Batch(images, tokens, [str(i) for i in range(len(tokens))], Position(), {})
    while True:
        yield batch


def _mfu(row: dict[str, Any], shape: ModelConfig, peak: float | None) -> dict[str, Any]:
    """Return the share of a device's peak, by computed tokens and by the whole context."""
    lengths = {"MFU": row["tokens"], "MFU, 77 tokens": shape.context_length}
    return {
        title: row["images/s"] * flops_per_pair(shape, tokens) / peak if peak else None
        for title, tokens in lengths.items()
    }


def _shown(title: str, value: Any) -> str:
    if value is None:
        return "-"
    if title.startswith("MFU"):
        return f"{value:.1%}"
    return (
        f"{value:,.0f}"
        if title == "images/s"
        else f"{value:.3g}"
        if isinstance(value, float)
        else str(value)
    )


if __name__ == "__main__":
    typer.run(main)
