"""Noto Emoji with their CLDR names in 44 locales: shards to train on, and captions held out.

    python -m examples.emoji DATA [OUT] [--steps N]

trains on 37 locales and retrieves emoji by the names of the seven others, which the model has
never seen a word of but what they share with their relatives. It prints the README's table.
"""

import gzip
import io
import json
import os
import random
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer
import webdataset
from PIL import Image

SIZE = 32
HELD_OUT_SHARE = 0.05
PAIRS_PER_SHARD = 8000

# Six with a near relative among the others (es, de, ru, zh, hi, fa), and Basque, which has none.
HELD_OUT_LOCALES = ("pt", "nl", "uk", "zh-Hant", "ne", "ur", "eu")

Pair = tuple[str, str, str]  # file, locale, name


def read_images(data: Path) -> dict[str, bytes]:
    """Return the emoji as small PNGs by file name; they are decoded often and shown small."""
    images = {}
    with tarfile.open(data / "emoji" / "emoji72.tar") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.endswith(".png"):
                image = Image.open(io.BytesIO(file.read())).convert("RGBA").resize((SIZE, SIZE))
                buffer = io.BytesIO()
                image.save(buffer, "PNG")
                images[member.name.rsplit("/", 1)[-1]] = buffer.getvalue()
    return images


def read_pairs(data: Path) -> list[Pair]:
    """Return every emoji's name in every locale."""
    with gzip.open(data / "emoji" / "captions.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["file"], locale, name) for row in rows for locale, name in row["names"].items()]


def split_pairs(pairs: list[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Hold out names that no pair of the training set spells, in any locale, for any emoji."""
    shuffled = random.Random(seed).sample(pairs, len(pairs))
    held_names = {name for _, _, name in shuffled[: int(HELD_OUT_SHARE * len(pairs))]}
    held = [pair for pair in shuffled if pair[2] in held_names]
    return [pair for pair in shuffled if pair[2] not in held_names], held


def write_emoji(
    data: Path, out: Path, seed: int = 0, locales: tuple[str, ...] = (), every: int = 1
) -> tuple[int, int]:
    """Write shards and captions held out, of every `every`-th emoji.

    ``shards/*.tar`` to train on; ``held_out.parquet``, names of the trained locales that no pair
    of the shards spells; with `locales`, which are held out as a whole, ``locales.parquet``, and
    ``new.parquet``, those of its names that no pair of the shards spells.

    Returns:
        Pairs in the shards, and in ``held_out.parquet``.
    """
    images = dict(sorted(read_images(data).items())[::every])
    pairs = [p for p in read_pairs(data) if p[0] in images]
    train, held = split_pairs([p for p in pairs if p[1] not in locales], seed)
    _write_shards(out / "shards", train, images)
    _write_captions(out / "held_out.parquet", held, images)
    if locales:
        seen = {name for _, _, name in train}
        of_locales = [p for p in pairs if p[1] in locales]
        _write_captions(out / "locales.parquet", of_locales, images)
        _write_captions(out / "new.parquet", [p for p in of_locales if p[2] not in seen], images)
    return len(train), len(held)


def _write_shards(folder: Path, pairs: list[Pair], images: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, first in enumerate(range(0, len(pairs), PAIRS_PER_SHARD)):
        path = folder / f"{index:05d}.tar"
        with webdataset.TarWriter(str(path), mtime=0, encoder=False) as writer:
            for number, (file, _, name) in enumerate(pairs[first : first + PAIRS_PER_SHARD]):
                key = f"{first + number:07d}"
                writer.write({"__key__": key, "png": images[file], "txt": name.encode()})


def _write_captions(path: Path, pairs: list[Pair], images: dict[str, bytes]) -> None:
    files, locales, names = zip(*pairs, strict=True)
    table = {"image": [images[file] for file in files], "text": names, "lang": locales}
    pq.write_table(pa.table(table), path)


def curate(command: str, workspace: Path) -> dict[str, Any]:
    """Run a command and return the JSON that it prints."""
    print(f"$ curate {command}", file=sys.stderr, flush=True)
    run = subprocess.run(
        [sys.executable, "-m", "curate.cli.main", *shlex.split(command), "--json",
         "--workspace", str(workspace)],
        check=True, stdout=subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def held_out_locales(data: Path, out: Path, steps: int) -> dict[str, Any]:
    """Train on the other locales; return the figures of those held out, all and new spellings."""
    num_train, _ = write_emoji(data, out, locales=HELD_OUT_LOCALES)
    curate(
        f"train --model emoji --shards {out}/shards --steps {steps} --batch-size 256 "
        "--learning-rate 0.001 --checkpoint-every 0",
        out,
    )
    found = curate(f"eval {out}/locales.parquet {out}/new.parquet --group-by lang", out)
    return {"trained_on": num_train, **found["results"]}


def table(found: dict[str, Any]) -> str:
    """Show a locale per row: captions, those spelled as in training, and recalls."""
    every, new = found["locales"], found["new"]
    header = "| held out | captions | new spellings | R@1 | R@5 | R@10 | R@10, new spellings |"
    lines = [header, "|---|---|---|---|---|---|---|"]
    for locale in HELD_OUT_LOCALES:
        of_all, of_new = every["by_group"][locale], new["by_group"][locale]
        recalls = [of_all["text_to_image"][f"R@{k}"] for k in (1, 5, 10)]
        recalls.append(of_new["text_to_image"]["R@10"])
        shown = " | ".join(f"{recall:.1%}" for recall in recalls)
        lines.append(f"| {locale} | {of_all['texts']:,} | {of_new['texts']:,} | {shown} |")
    return "\n".join(lines)


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    out: Annotated[Path | None, typer.Argument(help="Folder for the results.")] = None,
    steps: Annotated[int, typer.Option(help="Training steps.")] = 1200,
) -> None:
    """Train on 37 locales of emoji names; find emoji by the names of seven others."""
    start = time.perf_counter()
    out = out or Path(tempfile.mkdtemp(prefix="curate-emoji-"))
    found = held_out_locales(data, out, steps)
    num_images = found["locales"]["distinct_images"]
    print(
        f"trained on {found['trained_on']:,} pairs of 37 locales, {steps} steps of 256; an emoji "
        f"among {num_images:,} (R@10 by chance: {10 / num_images:.1%})\n\n{table(found)}\n"
        f"\n{time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    typer.run(main)
