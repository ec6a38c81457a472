"""The runs: a pool and a seed in, the accuracies of the trained model out."""

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.ablation.pools import Matched, match_web, raw_pairs, read_web, write_shards
from examples.toyweb.write import ToyWeb, write_toy_web

# The toy web is small, so thresholds made for Wikipedia would leave nothing of it.
THRESHOLDS = "--unigram-min-count 5 --unigram-top-share 1 --title-min-views 1"
TEMPLATES = Path(__file__).with_name("templates.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """What is compared.

    Attributes:
        rows: pairs of the web.
        steps: optimizer steps of every run.
        batch_size: pairs per step; steps × batch_size pairs are seen, whatever the pool.
        seeds: of the draws, the weights and the order.
        thresholds: t of English in the balanced pools; other languages get its tail share.
        online_t: likewise of the matched pool that is balanced anew in every epoch.
        eval_rows: held-out images.
        jobs: runs at once, a core each.
        model: name of a model, or a JSON file of its shape.
        learning_rate: at its peak.
        only: names of the pools that are compared; () for all.
        max_grad_norm: longer gradients are shortened to this.
    """

    rows: int
    steps: int
    batch_size: int
    seeds: int
    thresholds: tuple[int, ...]
    online_t: int
    eval_rows: int
    jobs: int
    model: str
    learning_rate: float
    only: tuple[str, ...] = ()
    max_grad_norm: float = 1.0

    @property
    def pools(self) -> tuple[str, ...]:
        """Names of the pools, in the order of the table."""
        balanced = tuple(f"balanced t={t}" for t in self.thresholds)
        every = ("raw", "matched", *balanced, f"online t={self.online_t}")
        return tuple(name for name in every if name in self.only) if self.only else every


def curate(command: str, workspace: Path) -> dict[str, Any]:
    """Run a command on one core and return the JSON that it prints."""
    run = subprocess.run(
        [sys.executable, "-m", "curate.cli.main", *shlex.split(command), "--json", "--quiet",
         "--workspace", str(workspace)],
        check=True, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def prepare(out: Path, ablation: Ablation) -> Matched:
    """Generate the web, and match it."""
    if not (out / "web").exists():
        write_toy_web(out, ToyWeb(rows=ablation.rows, files=2, eval_rows=ablation.eval_rows))
    curate(f"build-metadata --lang all --sources unigram,bigram,title {THRESHOLDS}", out)
    return match_web(read_web(out / "web"), out / "metadata")


def write_pool(out: Path, matched: Matched, ablation: Ablation, pool: str, seed: int) -> Path:
    """Write a pool's shards; return their folder. Pools without a draw serve all seeds.

    The online pool is the matched one; what is kept of it is decided while loading.
    """
    pools = out / "pools"
    kind, _, t = pool.partition(" t=")
    if kind == "raw":
        write_shards(pools / "raw", raw_pairs(read_web(out / "web")))
    elif kind in ("matched", "online"):
        write_shards(pools / "matched", matched.chosen(matched.kept(10**9, seed)))
        matched.write_probabilities(out / "online", ablation.online_t)
    else:
        folder = pools / f"balanced-{t}" / f"seed{seed}"
        write_shards(folder, matched.chosen(matched.kept(int(t), seed)))
        return folder
    return pools / ("raw" if kind == "raw" else "matched")


def run(
    out: Path, ablation: Ablation, pool: str, seed: int, shards: Path, more: str = ""
) -> dict[str, float]:
    """Train on a pool and return the accuracy over all classes, those of the head, of the tail.

    What is found is written down: a run that is there is not trained again.

    Args:
        out: folder of everything.
        ablation: what is compared.
        pool: its name, or another name of the run.
        seed: of weights, order and crops.
        shards: of the pool.
        more: options of `curate train`.
    """
    name = f"{pool.replace(' t=', '-')}-seed{seed}"
    recipe = (
        f"--model {ablation.model} --seed {seed} --steps {ablation.steps} "
        f"--batch-size {ablation.batch_size} --learning-rate {ablation.learning_rate} "
        f"--max-grad-norm {ablation.max_grad_norm} --threads 1 {more}"
    )
    kept = out / "results" / f"{name}.json"
    if kept.exists() and (known := json.loads(kept.read_text()))["recipe"] == recipe:
        return dict(known["accuracy"])
    curate(
        f"train --name {name} --shards {shards} {recipe} --checkpoint-every 0 --overwrite"
        + (f" --online {out}/online" if pool.startswith("online") else ""),
        out,
    )
    accuracy = measure(out, name)
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps({"recipe": recipe, "accuracy": accuracy}) + "\n")
    return accuracy


def measure(out: Path, name: str) -> dict[str, float]:
    """Return the accuracy of a run over all classes, those of the head, of the tail."""
    found = curate(
        f"eval {out}/eval/zeroshot.parquet --classes {out}/eval/classes.txt "
        f"--templates {TEMPLATES} --group-by split --name {name} --workers 1",
        out,
    )["results"]["zeroshot"]
    return {"all": found["top1"], **found["top1_by_group"]}


def run_all(out: Path, ablation: Ablation) -> dict[str, list[dict[str, float]]]:
    """Run every pool with every seed; return the accuracies by pool, in the order of the seeds."""
    matched = prepare(out, ablation)
    # Seeds one after the other: whatever was done when it is stopped, pools can be compared by it.
    tasks = [(pool, seed) for seed in range(ablation.seeds) for pool in ablation.pools]
    folders = [write_pool(out, matched, ablation, pool, seed) for pool, seed in tasks]
    found: dict[str, list[dict[str, float]]] = {pool: [] for pool in ablation.pools}
    with ThreadPoolExecutor(ablation.jobs) as executor:
        runs = [
            executor.submit(run, out, ablation, pool, seed, folder)
            for (pool, seed), folder in zip(tasks, folders, strict=True)
        ]
        for (pool, seed), future in zip(tasks, runs, strict=True):
            found[pool].append(future.result())
            shown = ", ".join(f"{k} {v:.1%}" for k, v in found[pool][-1].items())
            print(f"{pool}, seed {seed}: {shown}", file=sys.stderr, flush=True)
    return found
