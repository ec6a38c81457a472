"""How right and how fast the language of a text is found: the model alone, and in steps.

    python -m examples.bench.matching.lid [--match]

Reads the folder that CURATE_TEST_DATA names: captions of Crossmodal-3600 in 33 languages (the
thresholds were chosen on the captions of 600 other photos), Tatoeba's sentences in 112 languages,
captions of LAION-400M. Accuracy is the mean of the languages', whatever their number of texts.
`--match` times `curate match` end to end as well, both ways side by side.
"""

import csv
import gzip
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from curate.curation.lid.identify import CompiledIdentifier, default_lid_model
from curate.curation.lid.opinions import is_installed, open_opinion
from curate.curation.lid.steps import STEPS, StepwiseIdentifier
from curate.metadata.languages import english_name, metadata_language
from examples.bench.common.measure import curate, in_turns, timed
from examples.bench.common.pairs import public_data, web_captions
from examples.bench.common.tables import show

NUM_CHANGED = 100  # texts that are newly English, or no longer, to be looked at
NUM_MATCHED = 1_000_000
NUM_ENTRIES = 100_000
SETS = {
    "Crossmodal-3600, 33 languages": "xm3600_150/captions.tsv",
    "Crossmodal-3600, other photos": "xm3600_600/captions.tsv.gz",
    "Tatoeba, 112 languages": "lid/tatoeba_112langs_x40.tsv.gz",
}


def labelled(path: Path) -> tuple[list[str], list[str]]:
    """Return the metadata languages and texts of a file whose last columns are code and text."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if row[-2] != "lang"]
    return [metadata_language(row[-2]) for row in rows], [row[-1] for row in rows]


def by_language(answers: Sequence[str], langs: Sequence[str]) -> dict[str, float]:
    """Return the accuracy of each language."""
    right, of = np.array(answers) == np.array(langs), np.array(langs)
    return {lang: float(right[of == lang].mean()) for lang in sorted(set(langs))}


def ways(first: CompiledIdentifier) -> dict[str, Any]:
    """Return what identifies languages, by name; of second opinions, those that are installed."""
    found: dict[str, Any] = {
        "published": first,
        "no second opinion": StepwiseIdentifier(first, None),
    }
    for name in ("cld2", "heli"):
        if is_installed(name):
            found[f"with {name}"] = StepwiseIdentifier(first, open_opinion(name))
        else:
            print(f"{name} is not installed and is left out")
    return found


def identified(way: Any, texts: list[str]) -> tuple[list[str], float]:
    """Return the languages of texts, and texts per second of processor time."""
    strings = pa.array(texts)
    way.identify(strings.slice(0, 100))
    took = timed(lambda: way.identify(strings))
    return took.result.lang.to_pylist(), len(texts) / took.processor_s


def show_accuracy(identifiers: dict[str, Any], data: Path) -> None:
    """Print the tables of accuracy."""
    means, before_after = [], []
    for title, name in SETS.items():
        langs, texts = labelled(data / name)
        row: dict[str, Any] = {"texts": title, "number": len(texts)}
        of_way = {}
        for way, identifier in identifiers.items():
            answers, row[f"{way}, texts/s"] = identified(identifier, texts)
            of_way[way] = by_language(answers, langs)
            row[way] = float(np.mean(list(of_way[way].values())))
        means.append(row)
        if title == next(iter(SETS)):
            before_after = [
                {
                    "language": f"{english_name(lang)} ({lang})",
                    **{w: of_way[w][lang] for w in of_way},
                }
                for lang in sorted(set(langs))
            ]
    show("Accuracy, mean of languages, and texts/s of one core", means)
    show("Accuracy by language, Crossmodal-3600", before_after)


def show_web_captions(identifiers: dict[str, Any], data: Path) -> None:
    """Print how many English web captions are labelled English, and which changed."""
    texts = web_captions(data)
    answers, rows = {}, []
    for way, identifier in identifiers.items():
        answers[way], speed = identified(identifier, texts)
        share = Counter(answers[way])["en"] / len(texts)
        rows.append({"LAION-400M": way, "labelled English": share, "texts/s": speed})
    show("Web captions", rows)
    now = "with cld2" if "with cld2" in answers else "no second opinion"
    steps = identifiers[now].identify(pa.array(texts)).step
    show("What decided", [{STEPS[i]: n for i, n in sorted(Counter(steps.tolist()).items())}])
    changed = [i for i, pair in enumerate(zip(answers["published"], answers[now], strict=True))
               if pair[0] != pair[1]]  # fmt: skip
    print(f"\n{len(changed)} of {len(texts)} change; {NUM_CHANGED} of them:\n")
    for i in sorted(random.Random(0).sample(changed, min(NUM_CHANGED, len(changed)))):
        print(f"{answers['published'][i]:>7} → {answers[now][i] or '(none)':<7} {texts[i]!r}")


def show_match(data: Path, folder: Path) -> None:
    """Time `curate match` on web captions, as published and in steps, twice in turn."""
    texts = web_captions(data)
    words: Counter[str] = Counter()
    for text in texts:
        parts = text.split()
        words.update([*parts, *map(" ".join, zip(parts, parts[1:], strict=False))])
    entries = [word for word, _ in words.most_common(NUM_ENTRIES)]
    (folder / "entries.txt").write_text("\n".join(entries), "utf-8")
    many = texts * (NUM_MATCHED // 4 // len(texts))
    for i in range(4):
        random.Random(i).shuffle(many)
        urls = [f"https://example.org/{i}/{n}.jpg" for n in range(len(many))]
        table = pa.table({"url": urls, "text": many})
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=len(many) // 4)
    where = ["-w", folder / "data"]
    curate("build-metadata", "--lang", "en", "--sources", "none", "--entries",
           folder / "entries.txt", *where)  # fmt: skip
    files = sorted(folder.glob("*.parquet"))

    def match(lid: str) -> Callable[[int], Any]:
        return lambda _: curate("match", *files, *where, "--lid", lid, "--overwrite",
                                "--workers", "2")  # fmt: skip

    took = in_turns({lid: match(lid) for lid in ("published", "steps")}, 3)
    num = 4 * len(many)
    speed = {lid: num / min(one.clock_s for one in runs) for lid, runs in took.items()}
    show("curate match, web captions, two cores, texts/s, the best of three",
         [{"texts": num, **speed, "ratio": speed["steps"] / speed["published"]}])  # fmt: skip


def main(
    match: Annotated[bool, typer.Option(help="Time `curate match` as well.")] = False,
) -> None:
    """Print the tables."""
    data = public_data()
    model = default_lid_model()
    identifiers = ways(CompiledIdentifier(Path(model).read_bytes(), model))
    show_accuracy(identifiers, data)
    show_web_captions(identifiers, data)
    if match:
        with tempfile.TemporaryDirectory() as folder:
            show_match(data, Path(folder))


if __name__ == "__main__":
    typer.run(main)
