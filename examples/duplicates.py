"""Planted duplicates of real photos: how many of each kind `curate dedup` finds, and wrong ones.

    python examples/duplicates.py DATA [OUT] [--steps N]

DATA is the folder of public data that `examples/README.md` speaks of; of it, the 600 photos of
Crossmodal-3600 are taken. Each photo gets one duplicate of one kind. A small model is trained on
the photos for the vectors: no published weights are needed.
"""

import csv
import gzip
import io
import json
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from PIL import Image, ImageOps

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import curate  # noqa: E402

MODEL = {
    "embed_dim": 128, "image_size": 64, "patch_size": 8, "vision_width": 128, "vision_layers": 4,
    "vision_head_width": 32, "text_width": 128, "text_layers": 2, "text_heads": 4,
    "context_length": 32, "vocab_size": 2048,
}  # fmt: skip


def encode(image: Image.Image, quality: int = 90) -> bytes:
    """Return an image as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def resized(image: Image.Image, factor: float) -> bytes:
    """Return an image with sides of another length."""
    size = (round(image.width * factor), round(image.height * factor))
    return encode(image.resize(size, Image.Resampling.BICUBIC))


def cropped(image: Image.Image, share: float) -> bytes:
    """Cut a share of each side off, half of it at either end."""
    x, y = round(image.width * share / 2), round(image.height * share / 2)
    return encode(image.crop((x, y, image.width - x, image.height - y)))


SAME = "other caption"  # of the same bytes
KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "re-encoded, quality 40": lambda image: encode(image, 40),
    "half the size": lambda image: resized(image, 0.5),
    "1.5 times the size": lambda image: resized(image, 1.5),
    "cropped by 5 %": lambda image: cropped(image, 0.05),
    "mirrored": lambda image: encode(ImageOps.mirror(image)),
    "turned by 90 degrees": lambda image: encode(image.transpose(Image.Transpose.ROTATE_90)),
}


def write_pool(data: Path, out: Path) -> dict[str, tuple[str, str]]:
    """Write photos and their duplicates; return photo and kind by URL."""
    with gzip.open(data / "xm3600_600/captions.tsv.gz", "rt", encoding="utf-8") as lines:
        captions = defaultdict(list)
        for row in csv.DictReader(lines, delimiter="\t"):
            if row["lang"] == "en":
                captions[row["image_key"]].append(row["caption"])
    rows, about = [], {}
    with tarfile.open(data / "xm3600_600/images_224.tar") as tar:
        for number, member in enumerate(m for m in tar if m.isfile()):
            file = tar.extractfile(member)
            assert file is not None
            content, key = file.read(), Path(member.name).stem
            image = Image.open(io.BytesIO(content)).convert("RGB")
            kind = [SAME, *KINDS][number % (1 + len(KINDS))]
            copy = content if kind == SAME else KINDS[kind](image)
            first, second = (captions[key] * 2)[:2] if captions[key] else (key, key)
            for name, pixels, text in (
                ("photo", content, first), (kind, copy, second)
            ):  # fmt: skip
                url = f"https://{'a' if name == 'photo' else 'b'}.example.org/{key}.jpg"
                rows.append({"url": url, "text": text, "image": pixels})
                about[url] = (key, name)
    pq.write_table(pa.Table.from_pylist(rows), out / "pool.parquet")
    return about


def judged(folder: Path, about: dict[str, tuple[str, str]], matched: Path) -> dict[str, Any]:
    """Return recall by kind, and precision."""
    url_of = {row["pair_id"]: row["url"] for path in sorted(matched.glob("pairs/*.parquet"))
              for row in pq.read_table(path, columns=["pair_id", "url"]).to_pylist()}  # fmt: skip
    right, wrong = Counter[str](), 0
    # Pairs that match no entry are not there; a duplicate is one whose photo is there too.
    there = {about[url] for url in url_of.values()}
    planted = Counter(kind for key, kind in there if kind != "photo" and (key, "photo") in there)
    for path in sorted(folder.glob("pairs/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            pair, kept = (about[url_of[row[name]]] for name in ("pair_id", "kept_pair_id"))
            if pair[0] != kept[0]:
                wrong += 1
            else:
                right[pair[1] if pair[1] != "photo" else kept[1]] += 1
    found = right.total()
    return {
        "recall": {kind: round(right[kind] / num, 4) for kind, num in planted.items()},
        "recall_all": round(found / planted.total(), 4),
        "precision": round(found / max(1, found + wrong), 4),
        "fallen": found + wrong,
    }


def main(
    data: Annotated[Path, typer.Argument(help="folder of the real data")],
    out: Annotated[Path | None, typer.Argument(help="where to write")] = None,
    steps: Annotated[int, typer.Option(help="of training")] = 100,
) -> None:
    """Plant duplicates, look for them in several ways, and print a table."""
    place = out or Path(tempfile.mkdtemp(prefix="curate-duplicates-"))
    place.mkdir(parents=True, exist_ok=True)
    about = write_pool(data, place)
    (place / "model.json").write_text(json.dumps(MODEL))
    words = ["a", "the", "of", "in", "on", "with", "and", "is", "at", *"0123456789"]
    curate.match(place / "pool.parquet", lang="en", workspace=place,
                 metadata={"en": [*words, *"aeiou"]}, quiet=True)  # fmt: skip
    curate.balance(t=10**9, workspace=place, quiet=True, format="shards", overwrite=True)
    curate.train(model=str(place / "model.json"), steps=steps, batch_size=64, workspace=place,
                 checkpoint_every=0, quiet=True)  # fmt: skip
    curate.embed("clip", workspace=place, quiet=True, overwrite=True)
    ways: dict[str, dict[str, Any]] = {
        "exact": {"methods": "exact"},
        "perceptual, 24 bits": {"methods": "perceptual", "distance": 24},
        "perceptual, 40 bits": {"methods": "perceptual", "distance": 40},
        "perceptual, 48 bits": {"methods": "perceptual"},
        "perceptual, 56 bits": {"methods": "perceptual", "distance": 56},
        **{
            f"semantic, {epsilon}": {"methods": "semantic", "epsilon": epsilon}
            for epsilon in (0.001, 0.003, 0.01, 0.05)
        },
        "exact, perceptual": {"methods": "exact,perceptual"},
        "all, 0.003": {"epsilon": 0.003},
    }
    for name, options in ways.items():
        folder = place / "ways" / name
        curate.dedup(workspace=place, output=folder, report_only=True, overwrite=True,
                     quiet=True, **options)  # fmt: skip
        print(name, json.dumps(judged(folder, about, place / "matched")), flush=True)


if __name__ == "__main__":
    typer.run(main)
