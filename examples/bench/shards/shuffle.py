"""What it costs to mix all kept pairs over all shards, against mixing four shards at a time.

    python -m examples.bench.shards.shuffle [--pairs 20000] [--times 3]

Pairs with an image each, sorted by language, are matched once and balanced into shards with
`--shuffle-shards all`, `4` and `0`: processor seconds, seconds of the clock, the most room that the
output took on the way as a multiple of its shards, and how many of four languages a shard has.
"""

import json
import shutil
import tarfile
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from examples.bench.common.measure import bytes_below, curate, most_of
from examples.bench.common.pairs import enlarged, jpeg

LANGS = ("de", "en", "es", "fr")
SIDE = 96


def main(
    pairs: Annotated[int, typer.Option(help="Pairs with an image each.")] = 20_000,
    times: Annotated[int, typer.Option(help="Runs of each; the fastest counts.")] = 3,
) -> None:
    """Print a row for each way to mix."""
    with tempfile.TemporaryDirectory(prefix="bench-shuffle-") as name:
        folder = Path(name)
        prepare(folder, pairs)
        for window in ("all", "4", "0"):
            found = [balance(folder, window, pairs // 20) for _ in range(times)]
            used, clock, peak = (min(values) for values in zip(*found, strict=True))
            shards = sorted((folder / "out/shards").glob("*.tar"))
            size = sum(path.stat().st_size for path in shards)
            langs = [len(languages_in(path)) for path in shards]
            print(
                f"--shuffle-shards {window}: {used:.1f} s of processors, {clock:.1f} s, "
                f"{size / 1e6 / used:.0f} MB/s, room {peak / size:.2f} of the {size / 1e6:.0f} MB, "
                f"languages in a shard {min(langs)} to {max(langs)}",
                flush=True,
            )


def prepare(folder: Path, num: int) -> None:
    """Write pairs whose images are noise, and match them with a few entries."""
    rng = np.random.default_rng(0)
    images = [jpeg(enlarged(rng, (SIDE, SIDE), (SIDE, SIDE)), 75) for _ in range(64)]
    table = pa.table({
        "url": [f"https://images.example.org/{i}.jpg" for i in range(num)],
        "text": [f"word{i % 50} on a picture" for i in range(num)],
        "lang": [LANGS[i * len(LANGS) // num] for i in range(num)],
        "image": [images[i % 64] for i in range(num)],
    })  # fmt: skip
    pq.write_table(table, folder / "in.parquet")
    entries = folder / "entries.txt"
    entries.write_text("\n".join(f"word{i}" for i in range(50)))
    curate("build-metadata", "--lang", ",".join(LANGS), "--sources", "none", "--entries", entries,
           "--offline", "-w", folder / "data")  # fmt: skip
    curate("match", folder / "in.parquet", "--lang-column", "lang", "-w", folder / "data")


def balance(folder: Path, window: str, per_shard: int) -> tuple[float, float, int]:
    """Return processor seconds, seconds and the most bytes on the disk of a run of its own."""
    output, inputs = folder / "out", [folder / "in.parquet", *(folder / "data").rglob("*")]
    for old in (output, folder / ".curate"):
        shutil.rmtree(old, ignore_errors=True)
    before = sum(path.stat().st_size for path in inputs)
    with most_of(partial(bytes_below, folder)) as most:
        took = curate("balance", "-t", "1m", "--format", "shards", "--shuffle-shards", window,
                      "--workers", "1", "--pairs-per-shard", str(per_shard), "-w",
                      folder / "data", "-o", output)  # fmt: skip
    return took.processor_s, took.clock_s, most[0] - before


def languages_in(shard: Path) -> set[str]:
    """Return the languages of a shard's samples."""
    with tarfile.open(shard) as tar:
        jsons = [member for member in tar if member.name.endswith(".json")]
        return {json.loads(tar.extractfile(m).read())["lang"] for m in jsons}  # type: ignore[union-attr]


if __name__ == "__main__":
    typer.run(main)
