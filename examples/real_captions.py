"""Machine-written captions of real photos beside human ones: judged, matched, mixed in training.

    python examples/real_captions.py DATA [OUT]

DATA is the folder of public data that `examples/README.md` speaks of; of it the 600 photos of
Crossmodal-3600 with their human captions in 33 languages and one dense English caption each. The
alt-text of a photo is here its first human caption in English. Entries are those of WordNet and of
206 articles of Wikipedia.
"""

import csv
import gzip
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
import webdataset

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import curate  # noqa: E402

WORDNET_DIR = Path("/usr/share/wordnet")
SHAPE = ROOT / "examples" / "ablation" / "model.json"


def write_shards(photos: Path, folder: Path) -> int:
    """Write photos with their first English captions as shards; return how many."""
    with gzip.open(photos / "captions.tsv.gz", "rt", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t") if r["lang"] == "en"]
    alts: dict[str, str] = {}
    for row in rows:
        alts.setdefault(row["image_key"], row["caption"])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tarfile.open(photos / "images_224.tar") as tar,
        webdataset.TarWriter(str(folder / "00000.tar"), encoder=False) as writer,
    ):
        for member in tar:
            key, content = member.name.partition(".")[0], tar.extractfile(member)
            if content is not None and key in alts:
                about = json.dumps({"pair_id": key, "lang": "en"}).encode()
                writer.write({"__key__": key, "jpg": content.read(), "txt": alts[key].encode(),
                              "json": about})  # fmt: skip
    return len(alts)


def build(data: Path, out: Path, wordnet_dir: Path) -> None:
    """Build English entries."""
    (out / "dumps").mkdir(parents=True, exist_ok=True)
    dump = out / "dumps" / "enwiki-20200101-pages-articles.xml.bz2"
    if not dump.exists():
        os.symlink((data / "wiki" / "enwiki-206pages.xml.bz2").resolve(), dump)
    curate.build_metadata(
        lang="en", sources="wordnet,unigram,bigram", wordnet_dir=str(wordnet_dir),
        dumps=str(out / "dumps"), offline=True, workspace=out, quiet=True,
    )  # fmt: skip


def compare(data: Path, out: Path, wordnet_dir: Path = WORDNET_DIR) -> dict[str, Any]:
    """Judge the dense captions, and train a little on both kinds; return the figures."""
    photos = data / "xm3600_600"
    dense = str(photos / "dense_captions.jsonl.gz")
    num = write_shards(photos, out / "shards")
    build(data, out, wordnet_dir)
    judged = curate.judge_captions(
        captions=f"dense={dense}", shards=out / "shards", workspace=out, tail_below=1,
        overwrite=True, quiet=True,
    )  # fmt: skip
    # The same pairs matched by their alt-texts and by their captions: which entries change.
    for name, tables in (("by-alt-text", None), ("by-caption", f"dense={dense}")):
        curate.match(out / "shards", captions=tables, workspace=out, output=out / name,
                     overwrite=True, quiet=True)  # fmt: skip
    diff = curate.diff(
        out / "by-alt-text", out / "by-caption", t=1, examples=25,
        entries=str(out / "entries.parquet"), quiet=True,
    )  # fmt: skip
    # The tar of photos has no texts at all: both kinds are joined to it by their keys.
    human = str(photos / "captions.tsv.gz")
    curate.train(
        name="mixed", workspace=out, shards=photos / "images_224.tar", model=str(SHAPE), steps=30,
        batch_size=100, captions=[f"human={human}", f"dense={dense}"],
        caption_weights="human=0.85,dense=0.15", checkpoint_every=0, threads=1, device="cpu",
        overwrite=True, quiet=True,
    )  # fmt: skip
    consumed = json.loads((out / "runs/mixed/consumed.json").read_text())["sources"]
    return {"photos": num, "judged": judged.to_dict(), "diff": diff.to_dict(),
            "consumed": consumed}  # fmt: skip


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    out: Annotated[Path | None, typer.Argument(help="Folder for everything.")] = None,
) -> None:
    """Print what was found."""
    found = compare(data, out or Path(tempfile.mkdtemp(prefix="curate-real-captions-")))
    judged, entries = found["judged"], found["judged"]["entries"]["en"]
    print(f"{found['photos']} photos; captions {judged['captions']}, kept {judged['kept']}, "
          f"dropped {judged['dropped']}; means {judged['means']}")  # fmt: skip
    print({name: value for name, value in entries.items() if isinstance(value, int)})
    for key in ("gained", "lost", "tail_gained"):
        shown = ", ".join(f"{e['entry']} {e['alt']}→{e['caption']}" for e in entries[key][:25])
        print(f"{key}: {shown}")
    english = found["diff"]["languages"]["en"]
    print("match --captions:", {k: v for k, v in english.items() if not isinstance(v, dict)})
    print("tail:", ", ".join(f"{c['entry']} {c['count_a']}→{c['count_b']}"
                             for c in found["diff"]["tail_gained"]))  # fmt: skip
    print(f"consumed: {found['consumed']}")


if __name__ == "__main__":
    typer.run(main)
