"""Command line: ``python -m examples.experts OUT``, fifteen minutes on one core.

Of each seed: a run of all pairs, its captions' clusters by its own text tower, an expert for each
from 70 % of the run's steps on, and one model that is trained for as many steps as all of these
together. Then zero-shot accuracy and recall of the ensemble, the plain mean of the experts, the
best of them on the very set, and both single models.
"""

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import curate
from examples.ablation.pools import raw_pairs, read_web, write_shards
from examples.ablation.table import interval
from examples.toyweb.write import ToyWeb, write_eval, write_web

MODEL = Path(__file__).parents[1] / "ablation" / "model.json"
TEMPLATES = Path(__file__).parents[1] / "ablation" / "templates.txt"
GONE_ON_FROM = 0.7
Figures = dict[str, dict[str, float]]


def train(out: Path, name: str, **options: Any) -> None:
    """Train a run on the web's shards, unless it is there."""
    curate.train(
        shards=out / "shards", output=out / "runs" / name, threads=1, device="cpu", quiet=True,
        **options,
    )  # fmt: skip


def sets(out: Path) -> dict[str, Any]:
    """Return the arguments of an evaluation: classes in English, captions in six languages."""
    config = {"datasets": [
        {"path": str(out / "eval/zeroshot.parquet"), "classes": str(out / "eval/classes.txt"),
         "templates": str(TEMPLATES)},
        {"path": str(out / "eval/retrieval.parquet")},
    ]}  # fmt: skip
    (out / "eval/eval.json").write_text(json.dumps(config))
    return {"config": str(out / "eval/eval.json"), "workspace": out, "workers": 1,
            "device": "cpu"}  # fmt: skip


def figures(found: Any) -> dict[str, float]:
    """Return accuracy, and the mean of both recalls at 1."""
    both = [found["retrieval"][way]["R@1"] for way in ("image_to_text", "text_to_image")]
    return {"zero-shot": found["zeroshot"]["top1"], "recall": statistics.mean(both)}


def of_seed(
    out: Path, seed: int, steps: int, batch_size: int, learning_rate: float, fine: int, coarse: int
) -> Figures:
    """Train and evaluate everything with one seed."""
    common = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    begun = round(GONE_ON_FROM * steps)
    full, cost = out / f"runs/full-{seed}", steps + coarse * (steps - begun)
    train(out, full.name, model=str(MODEL), steps=steps, checkpoint_every=begun,
          keep_checkpoints=2, **common)  # fmt: skip
    train(out, f"single-{seed}", model=str(MODEL), steps=cost, checkpoint_every=0, **common)
    vectors, clusters = out / f"vectors-{seed}", out / f"clusters-{seed}"
    curate.embed(full, kinds="text", shards=out / "shards", output=vectors, device="cpu",
                 workers=1, quiet=True)  # fmt: skip
    shown = curate.cluster(fine=fine, coarse=coarse, embeddings=vectors, shards=out / "shards",
                           output=clusters, workers=1, quiet=True)  # fmt: skip
    print(shown, flush=True)
    experts = [f"expert-{seed}-{number}" for number in range(coarse)]
    for number, name in enumerate(experts):
        train(out, name, expert=number, init=f"{full}@{begun}", clusters=clusters,
              checkpoint_every=0)  # fmt: skip
    return compared(out, seed, experts, clusters)


def compared(out: Path, seed: int, experts: Sequence[str], clusters: Path) -> Figures:
    """Evaluate the experts, together and alone, and both single models."""
    runs, where = out / "runs", sets(out)
    found = curate.evaluate(
        ensemble=[str(runs / name) for name in experts], clusters=clusters,
        text_encoder=str(runs / f"full-{seed}"), **where,
    ).results  # fmt: skip
    full, single = (
        figures(curate.evaluate(run=runs / f"{name}-{seed}", **where).results)
        for name in ("full", "single")
    )
    each = [figures({task: one["experts"][name] for task, one in found.items()})
            for name in experts]  # fmt: skip
    return {
        "ensemble": figures(found),
        "plain mean": figures({task: one["mean"] for task, one in found.items()}),
        "best expert on the set": {k: max(one[k] for one in each) for k in each[0]},
        "mean of the experts": {k: statistics.mean(one[k] for one in each) for k in each[0]},
        "one model, the run alone": full,
        "one model of the same cost": single,
    }


def table(found: Sequence[Figures]) -> str:
    """Show each model's figures over the seeds, and against one model of the same cost."""
    tasks, base = [*found[0]["ensemble"]], "one model of the same cost"
    lines = ["| | " + " | ".join(f"{task} | against it" for task in tasks) + " |",
             "|---|" + "---|---|" * len(tasks)]  # fmt: skip
    for name in found[0]:
        cells = []
        for task in tasks:
            mean, half = interval([one[name][task] for one in found])
            gain, spread = interval([one[name][task] - one[base][task] for one in found])
            cells.append(f"{mean:.1%} ± {half:.1%} | {gain:+.1%} ± {spread:.1%}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(found: Sequence[Figures]) -> str:
    """Show what the ensemble has more than the others, seed by seed."""
    lines = []
    for name in [other for other in found[0] if other != "ensemble"]:
        shown = []
        for task in found[0]["ensemble"]:
            mean, half = interval([one["ensemble"][task] - one[name][task] for one in found])
            shown.append(f"{task} {mean:+.1%} ± {half:.1%}")
        lines.append(f"ensemble against {name}: {', '.join(shown)}")
    return "\n".join(lines)


def main(
    out: Annotated[Path | None, typer.Argument(help="Folder for everything.")] = None,
    rows: Annotated[int, typer.Option(help="Pairs of the web.")] = 16_000,
    eval_rows: Annotated[int, typer.Option(help="Held-out images.")] = 800,
    steps: Annotated[int, typer.Option(help="Of the run of all pairs.")] = 150,
    batch_size: Annotated[int, typer.Option(help="Pairs per step.")] = 96,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 2e-3,
    fine: Annotated[int, typer.Option(help="Centres.")] = 128,
    coarse: Annotated[int, typer.Option(help="Clusters, each with an expert.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, max=10, help="Runs of everything.")] = 5,
) -> None:
    """Train and evaluate; what a seed gave is kept, so that the command may be given again."""
    torch.set_num_threads(1)
    out = out or Path(tempfile.mkdtemp(prefix="curate-experts-"))
    web = ToyWeb(rows=rows, files=1, eval_rows=eval_rows)
    if not (out / "shards/pairs.txt").exists():
        write_web(out / "web", web)
        write_eval(out / "eval", web)
        write_shards(out / "shards", raw_pairs(read_web(out / "web")))
    found = []
    for seed in range(seeds):
        kept = out / f"figures-{seed}.json"
        if not kept.exists():
            of_it = of_seed(out, seed, steps, batch_size, learning_rate, fine, coarse)
            kept.write_text(json.dumps(of_it, indent=1) + "\n")
        found.append(json.loads(kept.read_text()))
        print(f"seed {seed}: {json.dumps(found[-1])}", flush=True)
    begun = round(GONE_ON_FROM * steps)
    print(f"\n{steps + coarse * (steps - begun):,} steps of {batch_size} pairs in all: {steps} of "
          f"the run, {steps - begun} of each of {coarse} experts; {seeds} seeds, mean and 95 % "
          "interval\n")  # fmt: skip
    print(table(found))
    print(f"\n{gains(found)}")


if __name__ == "__main__":
    typer.run(main)
