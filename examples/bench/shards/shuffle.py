"""What it costs to mix all kept pairs over all shards, against mixing four shards at a time.

    python -m examples.bench.shards.shuffle [--pairs 20000] [--times 3]

Pairs with an image each, sorted by language, are matched once and balanced into shards with
`--shuffle-shards all`, `4` and `0`: processor seconds, seconds of the clock, the most room that the
output took on the way as a multiple of its shards, and how many of four languages a shard has.
"""

import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from PIL import Image

ROOT = Path(__file__).parents[3]
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
    images = []
    for _ in range(64):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(out, "JPEG")
        images.append(out.getvalue())
    table = pa.table({
        "url": [f"https://images.example.org/{i}.jpg" for i in range(num)],
        "text": [f"word{i % 50} on a picture" for i in range(num)],
        "lang": [LANGS[i * len(LANGS) // num] for i in range(num)],
        "image": [images[i % 64] for i in range(num)],
    })  # fmt: skip
    pq.write_table(table, folder / "in.parquet")
    entries = folder / "entries.txt"
    entries.write_text("\n".join(f"word{i}" for i in range(50)))
    run("build-metadata", "--lang", ",".join(LANGS), "--sources", "none", "--entries",
        str(entries), "--offline", "-w", str(folder / "data"))  # fmt: skip
    run("match", str(folder / "in.parquet"), "--lang-column", "lang", "-w", str(folder / "data"))


def balance(folder: Path, window: str, per_shard: int) -> tuple[float, float, int]:
    """Return processor seconds, seconds and the most bytes on the disk of a run of its own."""
    before, start, most, done = used(), time.perf_counter(), [0], threading.Event()
    output = folder / "out"
    subprocess.run(["rm", "-rf", str(output), str(folder / ".curate")], check=True)
    watching = threading.Thread(target=watch, args=(folder, most, done))
    watching.start()
    run("balance", "-t", "1m", "--format", "shards", "--shuffle-shards", window, "--workers", "1",
        "--pairs-per-shard", str(per_shard), "-w", str(folder / "data"),
        "-o", str(output))  # fmt: skip
    found = used() - before, time.perf_counter() - start
    done.set()
    watching.join()
    return *found, most[0]


def watch(folder: Path, most: list[int], done: threading.Event) -> None:
    """Note the most bytes that lie below a folder, its inputs left out."""
    rest = sum(p.stat().st_size for p in [folder / "in.parquet", *(folder / "data").rglob("*")])
    while not done.wait(0.05):
        size = 0
        for path in folder.rglob("*"):
            try:
                size += path.stat().st_size
            except FileNotFoundError:  # it came and went
                continue
        most[0] = max(most[0], size - rest)


def languages_in(shard: Path) -> set[str]:
    """Return the languages of a shard's samples."""
    with tarfile.open(shard) as tar:
        jsons = [member for member in tar if member.name.endswith(".json")]
        return {json.loads(tar.extractfile(m).read())["lang"] for m in jsons}  # type: ignore[union-attr]


def run(*words: str) -> None:
    """Run `curate` quietly."""
    subprocess.run([sys.executable, "-m", "curate", *words, "--quiet"], check=True, cwd=ROOT,
                   stdout=subprocess.DEVNULL)  # fmt: skip


def used() -> float:
    """Return the processor time of children that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


if __name__ == "__main__":
    typer.run(main)
