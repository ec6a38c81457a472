"""Concept-aware batches against plain and against balanced ones, on the matched toy web.

    python -m examples.ablation.batches OUT [--rows 20000] [--steps 120] [--seeds 5]

Every run sees equally many pairs: plain, balanced while loading (`--online`), chosen by entries
(`--batch-by entries`), diverse in each super-batch (`--batch-by diverse`), and both. Accuracies are
zero-shot over 80 classes, those of the head and of the tail apart; differences are seed by seed,
with 95 % intervals by Student's t.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from curate.pipelines.evaluate import evaluate_model
from curate.pipelines.train import TrainExtras, train_model
from curate.training.loop.config import TrainConfig
from examples.ablation.runs import TEMPLATES, Ablation, prepare, write_pool
from examples.ablation.table import interval

MODEL = Path(__file__).with_name("model.json")
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "balanced": {"online": True},
    "by entries": {"batch_by": "entries"},
    "diverse": {"batch_by": "diverse"},
    "balanced, by entries": {"online": True, "batch_by": "entries"},
}


def run(out: Path, ablation: Ablation, arm: str, seed: int, shards: Path) -> dict[str, float]:
    """Train one run and return its accuracies."""
    how = dict(ARMS[arm])
    if how.pop("online", False):
        how["online"] = str(out / "online")
    name = f"{arm.replace(', ', '-').replace(' ', '-')}-seed{seed}"
    train_model(
        shards=str(shards), output=str(out / "runs" / name), model=ablation.model,
        config=TrainConfig(
            steps=ablation.steps, batch_size=ablation.batch_size, seed=seed, checkpoint_every=0,
            learning_rate=ablation.learning_rate, warmup_steps=min(50, ablation.steps // 4),
        ),
        extras=TrainExtras(threads=1, **how), device="cpu", quiet=True,
    )  # fmt: skip
    found = evaluate_model(
        [str(out / "eval/zeroshot.parquet")], run=str(out / "runs" / name), device="cpu",
        classes=str(out / "eval/classes.txt"), templates=str(TEMPLATES), group_by="split",
        workers=1,
    )["results"]["zeroshot"]  # fmt: skip
    return {"all": found["top1"], **found["top1_by_group"]}


def table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return accuracies, and tails against those of plain and of balanced batches."""
    lines = ["| batches | all | head | tail | tail, against plain | tail, against balanced |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for arm, runs in found.items():
        cells = [_shown(interval([one[k] for one in runs])) for k in ("all", "head", "tail")]
        for other in ("plain", "balanced"):
            pairs = zip(runs, found.get(other, ()), strict=False)
            gains = [one["tail"] - base["tail"] for one, base in pairs]
            is_compared = other != arm and gains
            cells.append(_shown(interval(gains), sign="+") if is_compared else "")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: tuple[float, float], sign: str = "") -> str:
    return f"{value[0]:{sign}.1%} ± {value[1]:.1%}"


def main(
    out: Annotated[Path, typer.Argument(help="Folder for everything.")],
    rows: Annotated[int, typer.Option(help="Pairs of the toy web.")] = 20_000,
    steps: Annotated[int, typer.Option(help="Of every run.")] = 120,
    batch_size: Annotated[int, typer.Option(help="Pairs per step.")] = 128,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each kind.")] = 5,
    t: Annotated[int, typer.Option(help="English's, of the balanced kinds.")] = 20,
    eval_rows: Annotated[int, typer.Option(help="Held-out images.")] = 800,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 0.001,
    arms: Annotated[str, typer.Option(help="Kinds, with semicolons.")] = ";".join(ARMS),
) -> None:
    """Train and compare."""
    torch.set_num_threads(1)
    begun = time.process_time()
    ablation = Ablation(
        rows=rows, steps=steps, batch_size=batch_size, seeds=seeds, thresholds=(), online_t=t,
        eval_rows=eval_rows, jobs=1, model=str(MODEL), learning_rate=learning_rate,
    )  # fmt: skip
    done = out / "batches.json"
    found: dict[str, list[dict[str, float]]] = json.loads(done.read_text()) if done.exists() else {}
    matched = prepare(out, ablation)
    shards = write_pool(out, matched, ablation, f"online t={t}", 0)
    for seed in range(seeds):
        for arm in arms.split(";"):
            runs = found.setdefault(arm, [])
            if len(runs) <= seed:
                runs.append(run(out, ablation, arm, seed, shards))
                done.write_text(json.dumps(found, indent=1) + "\n")
                print(f"{arm}, seed {seed}: {runs[-1]}", file=sys.stderr, flush=True)
    pairs, seconds = int((shards / "pairs.txt").read_text()), time.process_time() - begun
    print(f"{steps * batch_size:,} pairs seen of {pairs:,}, {seeds} seeds, {eval_rows:,} images of "
          f"80 classes, {seconds:.0f} s of the processor\n")  # fmt: skip
    print(table(found))


if __name__ == "__main__":
    typer.run(main)
