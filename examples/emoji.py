"""Noto Emoji with their CLDR names in 44 locales, as shards to train on and captions held out."""

import gzip
import io
import json
import random
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from PIL import Image

SIZE = 32
HELD_OUT_SHARE = 0.05
PAIRS_PER_SHARD = 8000

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


def write_emoji(data: Path, out: Path, seed: int = 0) -> tuple[int, int]:
    """Write ``shards/*.tar`` and ``held_out.parquet``; return how many pairs each has."""
    images = read_images(data)
    train, held = split_pairs([p for p in read_pairs(data) if p[0] in images], seed)
    (out / "shards").mkdir(parents=True, exist_ok=True)
    for index, first in enumerate(range(0, len(train), PAIRS_PER_SHARD)):
        path = out / "shards" / f"{index:05d}.tar"
        with webdataset.TarWriter(str(path), mtime=0, encoder=False) as writer:
            for number, (file, _, name) in enumerate(train[first : first + PAIRS_PER_SHARD]):
                key = f"{first + number:07d}"
                writer.write({"__key__": key, "png": images[file], "txt": name.encode()})
    files, locales, names = zip(*held, strict=True)
    table = {"image": [images[file] for file in files], "text": names, "lang": locales}
    pq.write_table(pa.table(table), out / "held_out.parquet")
    return len(train), len(held)
