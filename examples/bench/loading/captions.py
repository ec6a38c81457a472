"""What captions beside the alt-texts cost the loader: images a second, and memory.

    python -m examples.bench.loading.captions [--captions 10000000] [--ratio 0.5] [--rounds 8]

Shards of generated photos are loaded with and without a table of captions, in turns, so that what
else the machine does weighs on both alike. Every pair has a caption, of as many words as its
alt-text, in a table of `--captions` rows, from which a share `--ratio` of the texts is drawn. Time
is that of the process on all cores, so that waiting does not count. Memory is that of processes of
their own: of one that sorts the table at its peak, and of one that looks up a million pairs all
over it, what it holds itself and the pages of the mapped file, which ranks share.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from curate.pipelines.caption_tables.join import CaptionOptions, caption_identity, joined_captions
from curate.training.captions.lookup import CaptionIndex
from curate.training.captions.mix import TextMix
from curate.training.data.loader import Loader, LoaderConfig, captions, list_shards
from curate.training.text.tokenizer import Tokenizer, learn_tokenizer
from examples.bench.common.measure import in_turns, memory_of, peak_bytes, timed
from examples.bench.common.pairs import web_like_captions
from examples.bench.common.tables import show
from examples.bench.loading.loader import BATCH, SIZE, photo_shards

_ROWS = 1_000_000


def write_table(path: Path, num: int) -> None:
    """Write captions of pairs 0, 1, …, as many words long as the alt-texts of the shards."""
    some = web_like_captions(1000, seed=1)  # texts are stored one by one, equal ones too
    schema = pa.schema({"pair_id": pa.string(), "text": pa.string()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, num, _ROWS):
            numbers = range(first, min(first + _ROWS, num))
            rows = {"pair_id": [f"{i:024x}" for i in numbers],
                    "text": [some[i % 1000] for i in numbers]}  # fmt: skip
            writer.write_table(pa.table(rows, schema=schema))


def costs(
    shards: Sequence[str], tokenizer: Tokenizer, mix: TextMix, threads: int, rounds: int, pairs: int
) -> list[tuple[float, float]]:
    """Return microseconds of a core for an image without and with captions, in turns."""
    config = LoaderConfig(image_size=SIZE, batch_size=BATCH, threads=threads, shuffle_pairs=10_000)
    num = max(4, pairs // BATCH)
    kinds = {"alone": None, "with captions": mix}
    streams = {k: Loader(shards, tokenizer, config, texts=v).batches() for k, v in kinds.items()}

    def load(stream: Iterator[Any]) -> Callable[[int], Any]:
        return lambda _: [None for _ in islice(stream, num)]

    # Memory and files are there after the first round.
    took = in_turns({kind: load(stream) for kind, stream in streams.items()}, rounds, warm_up=1)
    for stream in streams.values():
        stream.close()
    each = [[1e6 * one.processor_s / (num * BATCH) for one in took[kind]] for kind in kinds]
    return list(zip(*each, strict=True))


def joined(table: str, cache: str, ratio: float) -> tuple[CaptionOptions, CaptionIndex]:
    """Return the captions of a table, sorted in a folder."""
    options = CaptionOptions(tables=[table], syn_ratio=ratio, cache=cache)
    identity = caption_identity(options)
    assert identity is not None
    index = joined_captions(options, identity["tables"], quiet=True)
    assert index is not None
    return options, index


def sort(table: str, cache: str) -> None:
    """Sort a table; print the seconds of a core and the peak of the process, in MB."""
    joined(table, cache, 0.5)
    print(f"{time.process_time():.1f} {peak_bytes() / 1e6:.0f}")


def memory(folder: str, num: int) -> None:
    """Look up a million pairs all over the table; print what it took, in MB and microseconds."""
    before = memory_of()
    index = CaptionIndex(folder)
    mix = TextMix(seed=0, syn_ratio=1.0, index=index)
    rng = np.random.default_rng(0)
    ids = [f"{i:024x}" for i in rng.integers(0, num, 1_000_000).tolist()]
    listed = memory_of()
    took = timed(lambda: sum(mix.choose(i, 0, "alt", {}) is not None for i in ids))
    assert took.result == len(ids)
    after = memory_of()
    own, pages = (after[k] - listed[k] for k in ("RssAnon", "RssFile"))
    opened = listed["RssFile"] - before["RssFile"]
    print(f"{own / 1e6:.0f} {(pages + opened) / 1e6:.0f} {1e6 * took.processor_s / len(ids):.2f}")


def alone(*words: str) -> list[float]:
    """Return the figures that this script prints in a process of its own."""
    command = [sys.executable, "-m", "examples.bench.loading.captions", *words]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in found.stdout.split()]


def main(
    rows: Annotated[int, typer.Option("--captions", help="Of the table.")] = 10_000_000,
    pairs: Annotated[int, typer.Option(help="In the shards, and loaded in a round.")] = 8000,
    threads: Annotated[int, typer.Option(help="That load.")] = 1,
    rounds: Annotated[int, typer.Option(help="Of each kind.")] = 8,
    ratio: Annotated[float, typer.Option(help="Share of texts that are captions.")] = 0.5,
    lookups: Annotated[str, typer.Option(hidden=True)] = "",
    table: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print the tables."""
    if table:
        sort(table, lookups)
        return
    if lookups:
        memory(lookups, rows)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shards").mkdir()
        photo_shards(folder / "shards", pairs)
        write_table(folder / "captions.parquet", rows)
        source, cache = str(folder / "captions.parquet"), str(folder / "cache")
        took, peak = alone("--table", source, "--lookups", cache)
        options, index = joined(source, cache, ratio)
        sorted_at = next(str(one) for one in Path(cache).iterdir() if one.is_dir())
        own, pages, lookup = alone("--lookups", sorted_at, "--captions", str(rows))
        show("Table", [{
            "captions": rows, "sorted in, s of a core": took, "peak of the sorting process, MB":
            peak, "held by a rank, MB": own, "mapped pages, MB": pages, "a look-up, µs": lookup,
        }])  # fmt: skip
        tars = list_shards(str(folder / "shards"))
        tokenizer = learn_tokenizer(captions(tars), 4000, 77)
        done = costs(tars, tokenizer, options.mix(0, index), threads, rounds, pairs)
        without, with_them = (median(column) for column in zip(*done, strict=True))
        show("Loader", [{
            "threads": threads, "ratio": ratio, "alone, µs of a core": without,
            "with captions, µs": with_them,
            "costs": f"{median(b / a - 1 for a, b in done):+.1%}",
            "least and most": f"{min(b / a - 1 for a, b in done):+.1%} to "
            f"{max(b / a - 1 for a, b in done):+.1%}",
        }])  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
