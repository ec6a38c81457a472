"""How fast matching and language identification are: ratios within one run, public tools only.

    python examples/bench.py [--quick]

Texts and entries are generated: words of syllables by Zipf's law for English, strings of Han
characters for Chinese. Every engine works on the same texts; the slow ones on fewer of them.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from curation.index import IndexMatcher, build_index, pack_index, unpack_index  # noqa: E402
from curation.lid import CompiledIdentifier, FastTextIdentifier, default_lid_model  # noqa: E402
from curation.matching import AhoCorasickMatcher  # noqa: E402
from examples.toyweb.write import toy_batches  # noqa: E402
from metadata.entries import assemble_entries, metadata_hash  # noqa: E402
from pipelines import artifacts, storage  # noqa: E402
from pipelines.metadata_store import write_indices  # noqa: E402

TEXT_CHARACTERS = 72
HAN_CHARACTERS = 22
CURATE = Path(sys.executable).with_name("curate")


def vocabulary(num: int, rng: np.random.Generator) -> list[str]:
    """Return words of syllables, short ones first as in a language."""
    syllables = [c + v for c in "b c d f g h k l m n p r s t v w sh th st tr".split()
                 for v in "a e i o u ai ea ou er in on".split()]  # fmt: skip
    words: dict[str, None] = {}
    while len(words) < num:
        sizes = np.minimum(4, 1 + np.log1p(len(words) + np.arange(num)) // 3.6).astype(int)
        for size in sizes.tolist():
            words["".join(rng.choice(syllables, size))] = None
            if len(words) == num:
                break
    return list(words)


def zipf(
    num_words: int, num: int, rng: np.random.Generator, exponent: float = 1.0
) -> np.ndarray[Any, Any]:
    """Return ranks drawn by Zipf's law."""
    share = np.cumsum(np.arange(1, num_words + 1) ** -exponent)
    return np.searchsorted(share / share[-1], rng.random(num))


def english(num_entries: int, num_texts: int) -> tuple[list[str], list[str]]:
    """Return entries (half words, the rest pairs and titles) and texts of about 72 characters."""
    rng = np.random.default_rng(0)
    words = vocabulary(max(2000, num_entries), rng)
    entries = dict.fromkeys(words[: num_entries // 2])
    while len(entries) < num_entries:
        drawn = zipf(len(words), 3 * num_entries, rng)
        for a, b, c in drawn.reshape(-1, 3).tolist():
            pair = f"{words[a]} {words[b]}" if a % 2 else f"{words[a].title()} {words[c].title()}"
            entries[pair] = None
            if len(entries) == num_entries:
                break
    drawn = zipf(len(words), 16 * num_texts, rng).reshape(num_texts, 16)
    texts = []
    for i, row in enumerate(drawn.tolist()):
        text = " ".join(words[r] for r in row)[:TEXT_CHARACTERS].rsplit(" ", 1)[0]
        texts.append(f"{text.capitalize()}." if i % 3 == 0 else text.replace(" ", ", ", i % 2))
    return list(entries), texts


def chinese(num_entries: int, num_texts: int) -> tuple[list[str], list[str]]:
    """Return words of one to four Han characters, and texts of 22 characters made of them."""
    rng = np.random.default_rng(1)
    characters = [chr(c) for c in range(0x4E00, 0x4E00 + 6000)]
    entries: dict[str, None] = {}
    while len(entries) < num_entries:
        sizes = rng.choice([1, 2, 3, 4], num_entries, p=[0.02, 0.6, 0.22, 0.16])
        drawn = iter(zipf(len(characters), int(sizes.sum()), rng, 0.6).tolist())
        for size in sizes.tolist():
            entries["".join(characters[next(drawn)] for _ in range(size))] = None
            if len(entries) == num_entries:
                break
    words = list(entries)
    drawn = zipf(len(words), 16 * num_texts, rng).reshape(num_texts, 16)
    return words, ["".join(words[r] for r in row)[:HAN_CHARACTERS] for row in drawn.tolist()]


def released_loop(entries: Sequence[str], *, spaced: bool) -> Callable[[Sequence[str]], None]:
    """Return matching as the released code does it: space the text, `iter`, a set of ids."""
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(entries):
        automaton.add_word(f" {entry} " if spaced else entry, i)
    automaton.make_automaton()

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            spacing = f" {text} "
            for mark in ",.;:?!`":
                spacing = spacing.replace(mark, f" {mark} ")
            for blank in "\t\n\r":
                spacing = spacing.replace(blank, " ")
            {i for _, i in automaton.iter(spacing)}

    return run


def rate(run: Callable[[], Any], num: int, repeats: int = 3) -> float:
    """Return texts per second, the best of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return num / min(seconds)


def bench_matching(kind: str, num_entries: int, num_texts: int) -> dict[str, Any]:
    """Time the engines on one kind of text and one number of entries."""
    make = english if kind == "English" else chinese
    entries, texts = make(num_entries, num_texts)
    few = texts[: min(len(texts), 20_000)]
    row: dict[str, Any] = {"texts": kind, "entries": num_entries}
    loop = released_loop(entries, spaced=kind == "English")
    row["pyahocorasick loop"] = rate(partial(loop, few), len(few))
    del loop
    if num_entries <= 500_000:
        reference = AhoCorasickMatcher(entries, "standard")
        strings = pa.array(few)
        row["reference engine"] = rate(lambda: reference.match(strings), len(few), 1)
        expected = reference.match(strings)
        del reference
    start = time.perf_counter()
    index = build_index(pa.array(entries), "standard")
    row["build s"] = time.perf_counter() - start
    matcher, strings = IndexMatcher(index), pa.array(texts)
    if num_entries <= 500_000 and not matcher.match(pa.array(few)).equals(expected):
        raise AssertionError("the engines disagree")
    row["ours"] = rate(lambda: matcher.match(strings), len(texts))
    row["ours, 2 threads"] = rate(lambda: matcher.match(strings, threads=2), len(texts))
    row["ratio"] = row["ours"] / row["pyahocorasick loop"]
    packed = pack_index(index, "")
    with tempfile.NamedTemporaryFile() as file:
        file.write(packed)
        file.flush()
        start = time.perf_counter()
        unpack_index(storage.map_file(file.name), "index")
        row["open ms"] = 1e3 * (time.perf_counter() - start)
    row["index MB"] = len(packed) / 1e6
    return row


def bench_lid(num_texts: int) -> dict[str, Any]:
    """Time the two LID engines on texts of six languages: three of the toy web's in one."""
    batches = toy_batches(0, 0, 3 * num_texts, None)
    short = [text for b in batches for text in b.column("text").to_pylist()]
    texts = pa.array([" ".join(short[i : i + 3]) for i in range(0, len(short), 3)])
    few = texts.slice(0, min(num_texts, 20_000))
    library = FastTextIdentifier(default_lid_model())
    compiled = CompiledIdentifier(Path(default_lid_model()).read_bytes(), "lid.176.ftz")
    same = compiled.identify(few).lang.to_pylist() == library.identify(few).lang.to_pylist()
    if not same:
        raise AssertionError("the LID engines disagree")
    slow = rate(lambda: library.identify(few), len(few))
    fast = rate(lambda: compiled.identify(texts), len(texts))
    return {"texts": len(texts), "fasttext": slow, "ours": fast, "ratio": fast / slow}


def reference_pipeline(inputs: list[str], entries: Path, output: Path) -> None:
    """Match as the released code does: fastText and `iter` per text, JSON out; one process a file.

    Runs as a program of its own, so that its processes start clean.
    """
    workers = [
        subprocess.Popen([sys.executable, __file__, "--worker", path, entries, output])
        for path in inputs
    ]
    if any(worker.wait() for worker in workers):
        raise RuntimeError("the reference pipeline failed")


def reference_worker(path: str, entries: str, output: str) -> None:
    """Do a file's share of the reference pipeline."""
    import fasttext

    model = fasttext.load_model(default_lid_model())
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(Path(entries).read_text().splitlines()):
        automaton.add_word(f" {entry} ", i)
    automaton.make_automaton()
    table = pq.read_table(path)
    with open(Path(output) / f"{Path(path).stem}.jsonl", "w") as file:
        for url, text in zip(*(table.column(c).to_pylist() for c in ("url", "text")), strict=True):
            label = model.predict(text.replace("\n", " "))[0]
            spacing = f" {text} "
            for mark in ",.;:?!`":
                spacing = spacing.replace(mark, f" {mark} ")
            for blank in "\t\n\r":
                spacing = spacing.replace(blank, " ")
            ids = sorted({i for _, i in automaton.iter(spacing)})
            if ids:
                file.write(json.dumps({"url": url, "text": text, "lang": label, "ids": ids}) + "\n")


def bench_stages(num_entries: int, num_texts: int, folder: Path) -> dict[str, Any]:
    """Time `curate match` and `curate balance` against the reference pipeline, two processes."""
    entries, texts = english(num_entries, num_texts)
    table, _ = assemble_entries({"unigram": [(e, 1.0) for e in entries]}, 256)
    sha256 = metadata_hash(table.column("entry").to_pylist())
    stamp = {"made_from": {"lang": "en"}, "sha256": sha256, "report": {}}
    artifacts.write_table(str(folder / "metadata/en.parquet"), table, stamp, sha256)
    write_indices(str(folder / "metadata"), "en", table.column("entry"), sha256)
    languages = {"en": {"sha256": sha256, "entries": table.num_rows}}
    # The words are of no language; so many English ones make LID take most texts for English.
    texts = [f"this is a photo of the {text}"[:TEXT_CHARACTERS] for text in texts]
    manifest = {"schema_version": artifacts.SCHEMA_VERSION, "languages": languages}
    storage.write_json(str(folder / "metadata/manifest.json"), manifest)
    (folder / "entries.txt").write_text("\n".join(entries))
    inputs = []
    for i in range(2):
        half = texts[i::2]
        urls = [f"https://example.org/{i}/{n}.jpg" for n in range(len(half))]
        inputs.append(str(folder / f"{i}.parquet"))
        pq.write_table(pa.table({"url": urls, "text": half}), inputs[-1], row_group_size=100_000)
    few = [str(folder / f"few-{i}.parquet") for i in range(2)]
    for source, target in zip(inputs, few, strict=True):
        pq.write_table(pq.read_table(source).slice(0, num_texts // 20), target)
    start = time.perf_counter()
    reference_pipeline(few, folder / "entries.txt", folder)
    reference = 2 * (num_texts // 20) / (time.perf_counter() - start)
    common = ["--workspace", folder, "--workers", "2", "--quiet"]
    seconds = {}
    for name, command in (
        ("match", ["match", *inputs]),
        ("balance", ["balance", "--t", str(num_texts // 500)]),
    ):
        start = time.perf_counter()
        subprocess.run([CURATE, *command, *common], check=True)
        seconds[name] = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    summary = json.loads((folder / "matched/summary.json").read_text())
    return {
        "texts": num_texts,
        "reference pipeline, 2 processes": reference,
        "curate match, 2 processes": num_texts / seconds["match"],
        "ratio": num_texts / seconds["match"] / reference,
        "of metadata's language": summary["languages"]["en"]["read"],
        "pairs": summary["matched"],
        "curate balance, pairs/s": summary["matched"] / seconds["balance"],
        "largest process GB": peak,
    }


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print(f"\n## {title}\n\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        cells = [row.get(name, "") for name in names]
        print("| " + " | ".join(_shown(c) for c in cells) + " |", flush=True)


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 1000 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def main(
    quick: Annotated[bool, typer.Option(help="Fewer entries and texts.")] = False,
    stages_only: Annotated[bool, typer.Option(help="Only the commands, end to end.")] = False,
) -> None:
    """Print the tables."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"Python {platform.python_version()}")  # fmt: skip
    if stages_only:
        with tempfile.TemporaryDirectory() as folder:
            show("Stages, texts/s on two cores", [bench_stages(500_000, 1_000_000, Path(folder))])
        return
    sizes = (10_000,) if quick else (10_000, 100_000, 500_000, 2_000_000)
    num_texts = 20_000 if quick else 200_000
    rows = [bench_matching(kind, size, num_texts) for kind in ("English", "Chinese")
            for size in sizes]  # fmt: skip
    show("Matching, texts/s on one core", rows)
    show("LID, texts/s on one core", [bench_lid(num_texts)])
    with tempfile.TemporaryDirectory() as folder:
        size, num = (10_000, 20_000) if quick else (500_000, 1_000_000)
        show("Stages, texts/s on two cores", [bench_stages(size, num, Path(folder))])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        reference_worker(*sys.argv[2:])
    else:
        typer.run(main)
