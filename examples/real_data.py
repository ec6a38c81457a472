"""The stages on real, public data: the figures of docs/RESULTS.md.

    python examples/real_data.py DATA [OUT] [--steps N]

DATA is the folder of public data that `examples/README.md` speaks of. Every figure comes from
the JSON of a command that you could type.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from examples.emoji import write_emoji  # noqa: E402

SIX_LANGUAGES = "bg,da,he,is,sk,zh"
WORDNET_DIR = Path("/usr/share/wordnet")


def curate(command: str, *, workspace: Path) -> dict[str, Any]:
    """Run a command and return the JSON that it prints."""
    print(f"$ curate {command}", flush=True)
    run = subprocess.run(
        [Path(sys.executable).with_name("curate"), *shlex.split(command), "--json",
         "--workspace", workspace],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def english(data: Path, out: Path, wordnet_dir: Path = WORDNET_DIR) -> dict[str, Any]:
    """Match 10,000 alt-texts of LAION-400M with entries of WordNet and 206 articles."""
    (out / "dumps").mkdir(parents=True, exist_ok=True)
    dump = out / "dumps" / "enwiki-20200101-pages-articles.xml.bz2"
    if not dump.exists():
        os.symlink((data / "wiki" / "enwiki-206pages.xml.bz2").resolve(), dump)
    built = curate(
        f"build-metadata --offline --lang en --sources wordnet,unigram,bigram "
        f"--wordnet-dir {wordnet_dir} --dumps {out}/dumps",
        workspace=out,
    )
    matched = curate(f"match {data}/laion/laion400m_10k.parquet", workspace=out)
    card = curate("balance --t 20", workspace=out)
    return {
        "entries": built["languages"]["en"]["entries"],
        "sources": built["languages"]["en"]["sources"],
        **{k: matched[k] for k in ("read", "matched", "dropped")},
        **{k: card["total"][k] for k in ("kept", "expected", "slots")},
    }


def six_languages(data: Path, out: Path) -> dict[str, Any]:
    """Match the captions of Crossmodal-3600 with the WordNets of six languages."""
    built = curate(
        f"build-metadata --offline --lang {SIX_LANGUAGES} --sources wordnet "
        f"--wordnet-dir {data}/wordnet",
        workspace=out,
    )
    table = pa_csv.read_csv(
        data / "xm3600_150" / "captions.tsv",
        parse_options=pa_csv.ParseOptions(delimiter="\t", quote_char=False),
    )
    # Without the column `lang`: the language is to be identified, and then compared.
    captions = table.rename_columns({"image_key": "image", "lang": "true_lang"})
    pq.write_table(captions.drop_columns(["image"]), out / "captions.parquet")
    matched = curate(f"match {out}/captions.parquet", workspace=out)
    pairs = pq.read_table(out / "matched" / "pairs" / "00000.parquet").to_pylist()
    same = sum(row["lang"] == row["true_lang"] for row in pairs)
    languages = {}
    for lang in SIX_LANGUAGES.split(","):
        of_lang = matched["languages"].get(lang, {"read": 0, "matched": 0})
        entries = built["languages"][lang]["entries"]
        languages[lang] = {"entries": entries, "read": of_lang["read"],
                           "matched": of_lang["matched"]}  # fmt: skip
    return {
        **{k: matched[k] for k in ("read", "matched", "dropped")},
        "matched_in_the_language_of_their_author": round(same / len(pairs), 4),
        "languages": languages,
    }


EMOJI_OPTIONS = "--model emoji --batch-size 256 --learning-rate 0.002"


def emoji(
    data: Path, out: Path, steps: int, options: str = EMOJI_OPTIONS, every: int = 1
) -> dict[str, Any]:
    """Train a model on emoji and their names; names it has never seen are to find their emoji.

    Args:
        data: folder of the public data.
        out: for the results.
        steps: of training.
        options: of `curate train`.
        every: take every so many-th emoji.
    """
    num_train, num_held = write_emoji(data, out, every=every)
    curate(
        f"train --shards {out}/shards --steps {steps} --checkpoint-every 0 {options}",
        workspace=out,
    )
    found = curate(f"eval {out}/held_out.parquet", workspace=out)["results"]["held_out"]
    recalls = {
        way: {at: round(recall, 4) for at, recall in found[way].items()}
        for way in ("image_to_text", "text_to_image")
    }
    return {
        "trained_on": num_train,
        "held_out": num_held,
        **{k: found[k] for k in ("distinct_images", "chance_R@1")},
        **recalls,
    }


def report(title: str, figures: dict[str, Any]) -> None:
    """Print figures, one a line."""
    print(f"\n{title}")
    for key, value in figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else json.dumps(value)
        print(f"  {key}: {shown}")


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    out: Annotated[Path | None, typer.Argument(help="Folder for the results.")] = None,
    steps: Annotated[int, typer.Option(help="Training steps on the emoji.")] = 400,
) -> None:
    """Run the stages on real data and print their figures."""
    out = out or Path(tempfile.mkdtemp(prefix="curate-real-data-"))
    for name in ("english", "six", "emoji"):
        (out / name).mkdir(parents=True, exist_ok=True)
    report("English: WordNet + 206 articles, LAION-400M", english(data, out / "english"))
    report("Six languages: WordNet, Crossmodal-3600", six_languages(data, out / "six"))
    report("Emoji: a trained model", emoji(data, out / "emoji", steps))


if __name__ == "__main__":
    typer.run(main)
