"""What captions beside the alt-texts cost the loader: images a second, and memory.

    python -m examples.bench.loading.captions [--captions 10000000] [--ratio 0.5] [--rounds 8]

Shards of generated photos are loaded with and without a table of captions, in turns, so that what
else the machine does weighs on both alike. Every pair has a caption, of as many words as its
alt-text, in a table of `--captions` rows, from which a share `--ratio` of the texts is drawn. Time
is that of the process on all cores, so that waiting does not count. Memory is that of processes of
their own: of one that sorts the table at its peak, and of one that looks up a million pairs all
over it, what it holds itself and the pages of the mapped file, which ranks share.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from curate.pipelines.caption_tables.join import CaptionOptions, caption_identity, joined_captions
from curate.training.captions.lookup import CaptionIndex
from curate.training.captions.mix import TextMix
from curate.training.data.loader import Loader, LoaderConfig, captions, list_shards
from curate.training.text.tokenizer import Tokenizer, learn_tokenizer
from examples.bench.__main__ import show
from examples.bench.loading.loader import BATCH, SIZE, WORDS, write_shards

_ROWS = 1_000_000


def write_table(path: Path, num: int) -> None:
    """Write captions of pairs 0, 1, …, as many words long as the alt-texts of the shards."""
    rng = np.random.default_rng(1)  # texts are stored one by one, whether they are equal or not
    some = [" ".join(rng.choice(WORDS, 9)) for _ in range(1000)]
    schema = pa.schema({"pair_id": pa.string(), "text": pa.string()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, num, _ROWS):
            numbers = range(first, min(first + _ROWS, num))
            rows = {"pair_id": [f"{i:024x}" for i in numbers],
                    "text": [some[i % 1000] for i in numbers]}  # fmt: skip
            writer.write_table(pa.table(rows, schema=schema))


def costs(
    shards: Sequence[str], tokenizer: Tokenizer, mix: TextMix, threads: int, rounds: int, pairs: int
) -> Iterator[tuple[float, float]]:
    """Yield microseconds of a core for an image without and with captions, in turns."""
    config = LoaderConfig(image_size=SIZE, batch_size=BATCH, threads=threads, shuffle_pairs=10_000)
    streams = [Loader(shards, tokenizer, config, texts=one).batches() for one in (None, mix)]
    for stream in streams:
        for _ in range(4):  # memory and files are there after these
            next(stream)
    num = max(4, pairs // BATCH)
    for number in range(rounds):
        found = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.process_time()
            for _ in range(num):
                next(streams[which])
            found[which] = 1e6 * (time.process_time() - start) / (num * BATCH)
        yield found[0], found[1]
    for stream in streams:
        stream.close()


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
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{usage.ru_utime + usage.ru_stime:.1f} {usage.ru_maxrss / 1000:.0f}")


def memory(folder: str, num: int) -> None:
    """Look up a million pairs all over the table; print what it took, in MB and microseconds."""
    before = _status()
    index = CaptionIndex(folder)
    mix = TextMix(seed=0, syn_ratio=1.0, index=index)
    rng = np.random.default_rng(0)
    ids = [f"{i:024x}" for i in rng.integers(0, num, 1_000_000).tolist()]
    listed = _status()
    start = time.process_time()
    found = sum(mix.choose(i, 0, "alt", {}) is not None for i in ids)
    took = time.process_time() - start
    assert found == len(ids)
    after = _status()
    own, pages = (after[k] - listed[k] for k in ("RssAnon", "RssFile"))
    opened = listed["RssFile"] - before["RssFile"]
    print(f"{own:.0f} {pages + opened:.0f} {1e6 * took / len(ids):.2f}")


def alone(*words: str) -> list[float]:
    """Return the figures that this script prints in a process of its own."""
    command = [sys.executable, "-m", "examples.bench.loading.captions", *words]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in found.stdout.split()]


def _status() -> dict[str, float]:
    """Return a process's memory in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: int(value.split()[0]) / 1000 for key, _, value in
            (line.partition(":") for line in lines) if key.startswith("Rss")}  # fmt: skip


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
        write_shards(folder / "shards", pairs)
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
        done = list(costs(tars, tokenizer, options.mix(0, index), threads, rounds, pairs))
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
