"""What it costs that pairs lie in many small files or row groups: match, against one file of them.

    python -m examples.bench.scale.small_files [--times 3]

The same 20,000 pairs come as one file, as one file of 5,000 row groups of 4, and 15,000 pairs as
one file and as 1,500 files of 10. Each is matched by one worker in a process of its own; the ratios
are of processor time, what Python needs to start left out of both, and hold loading, planning,
matching and counting.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from examples.bench.common.measure import curate

NUM_ENTRIES = 2000
SHAPES = {"row groups": (5000, 4), "files": (1500, 10)}


def main(
    times: Annotated[int, typer.Option(help="Runs of each; the fastest counts.")] = 3,
) -> None:
    """Print the processor seconds and their ratios."""
    with tempfile.TemporaryDirectory(prefix="bench-small-") as name:
        folder = Path(name)
        write_entries(folder)
        for kind, (num, rows) in SHAPES.items():
            pairs = table(num * rows)
            one, many = folder / f"one-{kind}.parquet", folder / f"many {kind}"
            pq.write_table(pairs, one)
            many.mkdir()
            if kind == "files":
                for i in range(num):
                    pq.write_table(pairs.slice(i * rows, rows), many / f"{i:05d}.parquet")
            else:
                pq.write_table(pairs, many / "0.parquet", row_group_size=rows)
            found = [[seconds_of_match(path, folder) for path in (one, many)] for _ in range(times)]
            of_one, of_many = (min(seconds) for seconds in zip(*found, strict=True))
            bare = seconds_of_match(folder / "entries.parquet", folder, "--help")
            print(
                f"{num:,} {kind} of {rows} rows: {of_many:.2f} s, one file {of_one:.2f} s, "
                f"ratio {of_many / of_one:.2f}; without the start of Python "
                f"({bare:.2f} s) {(of_many - bare) / (of_one - bare):.2f}",
                flush=True,
            )


def table(num: int) -> pa.Table:
    """Return pairs whose texts are drawn words."""
    words = np.random.default_rng(0).integers(0, 2 * NUM_ENTRIES, (num, 8))
    return pa.table({
        "url": [f"https://images.example.org/{i}.jpg" for i in range(num)],
        "text": [" ".join(f"word{w}" for w in row) for row in words],
    })  # fmt: skip


def write_entries(folder: Path) -> None:
    """Build metadata of generated words."""
    entries = folder / "entries.parquet"
    pq.write_table(pa.table({"entry": [f"word{i}" for i in range(NUM_ENTRIES)]}), entries)
    curate("build-metadata", "--lang", "en", "--sources", "none", "--entries", entries,
           "--offline", "-w", folder / "data")  # fmt: skip


def seconds_of_match(path: Path, folder: Path, *more: str) -> float:
    """Return the processor time of a match of its own, from the start of Python to its end."""
    words = ("--lang", "en", "--workers", "1", "-w", folder / "data", "--overwrite", *more)
    return curate("match", path, *words).processor_s


if __name__ == "__main__":
    typer.run(main)
