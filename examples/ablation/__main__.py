"""Command line of the ablation: ``python -m examples.ablation OUT``.

Ten seeds of five pools. Stopped and started again with the same OUT, it goes on; `--only` trains on
some of the pools.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.pipelines.views.plots import can_draw, write_plot
from examples.ablation.runs import Ablation, run_all
from examples.ablation.table import gains, plot, table

MODEL = Path(__file__).with_name("model.json")


def pool_sizes(out: Path, ablation: Ablation) -> dict[str, int]:
    """Return the pairs of each pool; of one drawn per seed, those of the first seed."""
    sizes = {}
    for pool in ablation.pools:
        name = "matched" if pool.startswith("online") else pool.replace(" t=", "-")
        folder = out / "pools" / name
        files = [folder / "pairs.txt", folder / "seed0" / "pairs.txt"]
        sizes[pool] = int(next(f for f in files if f.exists()).read_text())
    return sizes


def ablate(out: Path, ablation: Ablation) -> dict[str, Any]:
    """Run the ablation, print its table and write it to ``ablation.json``."""
    start = time.perf_counter()
    found = run_all(out, ablation)
    sizes = pool_sizes(out, ablation)
    print(
        f"\n{ablation.steps * ablation.batch_size:,} pairs seen by every run, {ablation.seeds} "
        f"seeds, zero-shot accuracy on {ablation.eval_rows:,} images of 80 classes\n"
    )
    print(table(found, sizes))
    against = [("matched", "raw")]
    balanced = [pool for pool in ablation.pools if pool not in ("raw", "matched")]
    against += [(pool, base) for pool in balanced for base in ("raw", "matched")]
    pairs = [pair for pair in against if set(pair) <= set(ablation.pools)]
    print(f"\nSeed by seed, 95 % intervals:\n\n{gains(found, pairs)}\n")
    print(f"{time.perf_counter() - start:.0f} s")
    result = {"pools": sizes, "accuracy": found}
    (out / "ablation.json").write_text(json.dumps(result, indent=1) + "\n")
    if can_draw():
        drawing = plot(found, f"{ablation.steps:,} steps, {ablation.seeds} seeds")
        for kind in ("svg", "png"):
            write_plot(str(out / f"ablation.{kind}"), drawing)
    return result


def main(
    out: Annotated[Path | None, typer.Argument(help="Folder for everything.")] = None,
    rows: Annotated[int, typer.Option(help="Pairs of the toy web.")] = 40_000,
    steps: Annotated[int, typer.Option(help="Of every run.")] = 1440,
    batch_size: Annotated[int, typer.Option(help="Pairs per step.")] = 64,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of every pool.")] = 10,
    t: Annotated[str, typer.Option(help="English's, of the balanced pools.")] = "20,40",
    online_t: Annotated[int, typer.Option(help="English's, of the online pool.")] = 40,
    eval_rows: Annotated[int, typer.Option(help="Held-out images.")] = 1600,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 0.001,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = len(os.sched_getaffinity(0)),
    model: Annotated[str, typer.Option(help="Name of a model, or a JSON file.")] = str(MODEL),
    only: Annotated[str, typer.Option(help="Names of pools, with commas; all by default.")] = "",
) -> None:
    """Train on raw, matched, balanced and online pools of the toy web and compare."""
    out = out or Path(tempfile.mkdtemp(prefix="curate-ablation-"))
    ablate(
        out,
        Ablation(
            rows=rows, steps=steps, batch_size=batch_size, seeds=seeds,
            thresholds=tuple(int(v) for v in t.split(",")), online_t=online_t,
            eval_rows=eval_rows, jobs=jobs, model=model, learning_rate=learning_rate,
            only=tuple(name for name in only.split(",") if name),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
