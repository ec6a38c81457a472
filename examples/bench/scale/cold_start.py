"""Starting on 40,000 shards of 10,000 samples, on 1, 4 and 16 machines, one after the other.

    python -m examples.bench.scale.cold_start [--shards 40000] [--machines 1,4,16]
        [--beside note|statistics|index]

Every machine is a process of its own that starts cold: nothing is cached, not even what it imports
beyond the operating system's files. "Known before": a run beside it has looked at the shards, and
kept what it found (`runs/.shards/`). The store is simulated (`store.py`), its shards are a tar of
10,000 samples under 40,000 names, and what stands beside them is what `balance`, img2dataset or
DALI's index would say of it. Figures: docs/SCALE.md.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from curate.files.sealed_json import write_json
from curate.pipelines.shards.tar import shard_writer
from examples.bench.common.pairs import enlarged, smallest_jpeg

SUFFIXES = {"note": (".json", ".idx"), "statistics": ("_stats.json",), "index": (".idx",)}


def photo(seed: int, kilobytes: float) -> bytes:
    """Return a JPEG of 256 × 256 pixels of about a size."""
    image = enlarged(np.random.default_rng(seed), (64, 64), (256, 256))
    return smallest_jpeg(image, kilobytes * 1000, range(95, 4, -5))


def write_template(folder: Path, samples: int, kilobytes: float) -> None:
    """Write the tar that all shards are, and what may stand beside it."""
    images = [photo(seed, kilobytes) for seed in range(64)]
    with shard_writer(str(folder / "t.tar")) as writer:
        for number in range(samples):
            about = json.dumps({"pair_id": f"{number:024x}", "lang": "en", "entry_ids": [1, 2, 3]})
            caption = f"a photo of the red dog number {number}".encode()
            members = {"jpg": images[number % 64], "txt": caption, "json": about.encode()}
            writer.add(f"{number:024x}", members)
    note = {"sha256": writer.sha256, "images": samples, "pairs": samples, **writer.sums}
    write_json(str(folder / "t.json"), note)
    said = {"count": samples, "successes": samples, "failed_to_download": 0,
            "status_dict": {"success": samples}}  # fmt: skip
    (folder / "t_stats.json").write_text(json.dumps(said))


def machine(asked: dict[str, Any]) -> dict[str, Any]:
    """Start a machine in a process of its own; return what it says."""
    asked = {**asked, "begun": time.time()}
    command = [sys.executable, "-m", "examples.bench.scale.node", json.dumps(asked)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return dict(found)


def row(
    nodes: int, lanes: int, is_known: bool, found: list[dict[str, Any]], whole: float
) -> str:  # fmt: skip
    """Return a line of the table: the slowest and largest of the machines."""
    own = found[0]
    known = own["imports_s"] + own["listing_s"] + own["stock_s"]
    first = max(max(known, one["imports_s"] + one["listing_s"]) + one["batch_s"] for one in found)
    epoch = [one["shards_of_epoch"] for one in found]
    cells = [
        nodes, lanes, "yes" if is_known else "no",
        *(f"{own[name]:.1f}" for name in ("imports_s", "listing_s", "stock_s")),
        f"{max(one['batch_s'] for one in found):.1f}", f"{first:.1f}",
        f"{max(one['processor_s'] for one in found):.1f}",
        f"{max(one['first_fetched'] for one in found) / 1e9:.2f}",
        f"{max(one['peak_bytes'] for one in found) / 1e9:.2f}",
        f"{min(epoch):,} to {max(epoch):,}", f"{sum(epoch) / whole:.4f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


HEAD = (
    "| machines | lanes | known before | imports, s | listing, s | what shards are, s "
    "| then first batch, s | in all, s | of the processor, s | fetched by then, GB "
    "| peak memory, GB "
    "| shards of an epoch, each | sum / all |"
)


def main(
    shards: Annotated[int, typer.Option(help="Tars in the store.")] = 40_000,
    samples: Annotated[int, typer.Option(help="Of a tar.")] = 10_000,
    machines: Annotated[str, typer.Option(help="Numbers of machines.")] = "1,4,16",
    lanes: Annotated[int, typer.Option(help="0: one for each machine.")] = 0,
    beside: Annotated[str, typer.Option(help="note, statistics or index.")] = "note",
    batch: Annotated[int, typer.Option(help="Pairs of a machine.")] = 256,
    kilobytes: Annotated[float, typer.Option(help="Of an image.")] = 10.0,
    latency_ms: Annotated[float, typer.Option(help="Of a request.")] = 30.0,
    gigabits: Annotated[float, typer.Option(help="Network of a machine, per second.")] = 10.0,
    every: Annotated[int, typer.Option(help="Start every so many-th machine only.")] = 1,
    template: Annotated[Path | None, typer.Option(help="Where the tar is, or will be.")] = None,
) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = template or Path(scratch) / "template"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "t_stats.json").exists():
            write_template(folder, samples, kilobytes)
        size = (folder / "t.tar").stat().st_size
        print(
            f"{shards:,} shards of {samples:,} samples, {size / 1e6:.0f} MB each "
            f"({shards * size / 1e12:.1f} TB), {beside} beside each; {latency_ms:.0f} ms a "
            f"request, {gigabits:.0f} Gbit/s a machine\n\n{HEAD}\n|{'---|' * 13}",
            flush=True,
        )
        store = {"num_shards": shards, "template": str(folder), "suffixes": SUFFIXES[beside],
                 "latency_s": latency_ms / 1000, "bytes_per_s": gigabits * 1e9 / 8}  # fmt: skip
        kept = str(Path(scratch) / "kept")
        plan = [(int(word), False) for word in machines.split(",")[:1]]
        plan += [(int(word), True) for word in machines.split(",")]
        for nodes, is_known in plan:
            asked = {"store": store, "machines": nodes, "lanes": lanes or nodes, "batch": batch,
                     "facts": str(Path(scratch) / "facts.pickle"), "scratch": scratch,
                     "kept": kept}  # fmt: skip
            found = [machine({**asked, "machine": i}) for i in range(0, nodes, every)]
            print(row(nodes, lanes or nodes, is_known, found, shards), flush=True)
            print(f"  {found[0]['asked']}", file=sys.stderr)


if __name__ == "__main__":
    typer.run(main)
