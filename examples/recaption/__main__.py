"""Command line: ``python -m examples.recaption OUT``, half an hour on two cores.

1. A web of images with damaged alt-texts, and a CLIP model trained on it as it is.
2. A captioner: pretrained on the damaged texts, fine-tuned on clean captions of a few images; the
   share of held-out images whose colour and shape its captions name, beside the damaged texts'.
3. CLIP models trained on alt-texts and its captions, mixed in several ratios, for equally many
   pairs, over several seeds: zero-shot accuracy with intervals.
"""

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import curate
from examples.ablation.table import interval
from examples.recaption.web import (
    Item,
    attributes,
    items,
    write_classes,
    write_language_model,
    write_shards,
    write_table,
)

MODEL = Path(__file__).parents[1] / "ablation" / "model.json"
TEMPLATES = Path(__file__).parents[1] / "ablation" / "templates.txt"
SYNTHETIC = "synthetic"


def train_clip(out: Path, name: str, steps: int, seed: int, **options: Any) -> Path:
    """Train a CLIP model on the web; return its folder."""
    folder = out / "runs" / name
    curate.train(
        shards=out / "web", output=folder, model=str(MODEL), steps=steps, batch_size=128,
        learning_rate=1e-3, seed=seed, checkpoint_every=0, threads=1, device="cpu", quiet=True,
        **options,
    )  # fmt: skip
    return folder


def train_captioner(out: Path, steps: int, clean: Sequence[Item]) -> Path:
    """Train a captioner in two phases; return its folder."""
    table = write_table(out / "clean.parquet", [(i.pair_id, i.clean) for i in clean], "human")
    common: dict[str, Any] = {
        "shards": out / "web", "batch_size": 64, "learning_rate": 1e-3, "warmup_steps": 50,
        "device": "cpu", "threads": 1, "checkpoint_every": 0, "quiet": True,
    }  # fmt: skip
    curate.train_captioner(
        image_model=str(out / "runs/base"), language_model=str(write_language_model(out / "lm")),
        output=out / "runs/pretrained", phase="pretrain", steps=steps // 3, prefix_tokens=8,
        mapper_layers=2, mapper_heads=4, prompt_tokens=16, text_tokens=36, **common,
    )  # fmt: skip
    curate.train_captioner(
        init=out / "runs/pretrained", output=out / "runs/captioner", phase="finetune",
        captions=str(table), steps=steps, **common,
    )  # fmt: skip
    return out / "runs/captioner"


def captions_of(captioner: Path, shards: Path, output: Path) -> dict[str, str]:
    """Return the captions of shards by pair id."""
    found = curate.caption(
        str(captioner), shards=shards, output=output, source=SYNTHETIC, max_tokens=24,
        batch_size=128, max_bad=1.0, device="cpu", quiet=True,
    ).to_arrow()  # fmt: skip
    ids, texts = found.column("pair_id").to_pylist(), found.column("text").to_pylist()
    return dict(zip(ids, texts, strict=True))


def named(held_out: Sequence[Item], texts: Mapping[str, str]) -> dict[str, float]:
    """Return the share of images whose texts name their colour, shape, and both."""
    found = [attributes(item.scene, texts.get(item.pair_id, "")) for item in held_out]
    return {name: statistics.mean(one[name] for one in found) for name in found[0]}


def compared(out: Path, captioner: Path, held_out: Sequence[Item]) -> dict[str, dict[str, float]]:
    """Print and return what damaged, written and clean texts of held-out images name."""
    texts = {
        "damaged alt-text": {item.pair_id: item.damaged for item in held_out},
        "caption": captions_of(captioner, out / "held-out", out / "said-held-out"),
        "clean": {item.pair_id: item.clean for item in held_out},
    }
    shares = {name: named(held_out, of) for name, of in texts.items()}
    print("\n| text of held-out images | colour | shape | both |\n|---|---|---|---|")
    for name, one in shares.items():
        cells = " | ".join(f"{share:.1%}" for share in one.values())
        print(f"| {name} | {cells} |", flush=True)
    return shares


def accuracy_of(out: Path, classes: Path, ratio: str, seed: int, steps: int) -> float:
    """Train with a share of captions; return the zero-shot accuracy."""
    name = f"ratio-{ratio}-seed{seed}"
    train_clip(out, name, steps, seed, captions=str(out / "said"), syn_ratio=float(ratio))
    found: float = curate.evaluate(
        str(classes), classes=str(out / "eval/classes.txt"), templates=str(TEMPLATES),
        name=name, workspace=out, workers=1,
    ).results["zeroshot"]["top1"]  # fmt: skip
    print(f"{name}: {found:.1%}", flush=True)
    return found


def main(
    out: Annotated[Path | None, typer.Argument(help="Folder for everything.")] = None,
    rows: Annotated[int, typer.Option(help="Pairs of the web.")] = 16_000,
    clean: Annotated[int, typer.Option(help="Of these, with a clean caption too.")] = 2000,
    eval_rows: Annotated[int, typer.Option(help="Held-out images.")] = 1600,
    steps: Annotated[int, typer.Option(help="Of every CLIP run, of 128 pairs.")] = 300,
    base_steps: Annotated[int, typer.Option(help="Of the captioner's image model.")] = 300,
    captioner_steps: Annotated[int, typer.Option(help="Of fine-tuning, of 64 pairs.")] = 900,
    seeds: Annotated[int, typer.Option(min=1, max=10, help="Runs of every ratio.")] = 5,
    ratios: Annotated[str, typer.Option(help="Shares of captions.")] = "0,0.15,0.5,1",
) -> None:
    """Train, caption, train again, and print the tables."""
    torch.set_num_threads(1)
    out = out or Path(tempfile.mkdtemp(prefix="curate-recaption-"))
    web, held_out = list(items(rows, seed=1)), list(items(eval_rows, seed=2))
    write_shards(out / "web", web)
    write_shards(out / "held-out", held_out)
    classes = write_classes(out / "eval", held_out)
    train_clip(out, "base", base_steps, seed=1000)
    captioner = train_captioner(out, captioner_steps, web[:clean])
    shares = compared(out, captioner, held_out)
    captions_of(captioner, out / "web", out / "said")
    accuracy: dict[str, list[float]] = {ratio: [] for ratio in ratios.split(",")}
    for seed in range(seeds):
        for ratio, found in accuracy.items():
            found.append(accuracy_of(out, classes, ratio, seed, steps))
    print(f"\n{steps * 128:,} pairs seen by every run, {seeds} seeds, {eval_rows:,} images of 80 "
          "classes, mean and 95 % interval\n")  # fmt: skip
    print("| syn-ratio | zero-shot accuracy | against 0, seed by seed |\n|---|---|---|")
    first = next(iter(accuracy.values()))
    for ratio, values in accuracy.items():
        mean, half = interval(values)
        gain, spread = interval([a - b for a, b in zip(values, first, strict=True)])
        print(f"| {ratio} | {mean:.1%} ± {half:.1%} | {gain:+.1%} ± {spread:.1%} |")
    result = {"named": shares, "accuracy": accuracy}
    (out / "recaption.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
