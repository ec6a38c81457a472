"""Matching and language identification: every engine on the same texts."""

import gzip
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.curation.lid.identify import CompiledIdentifier, FastTextIdentifier, default_lid_model
from curate.curation.matching.index import build_index, pack_index, unpack_index
from curate.curation.matching.reference import AhoCorasickMatcher
from curate.files import storage
from examples.bench.common.measure import best, timed
from examples.bench.common.pairs import public_data, web_captions
from examples.bench.matching.texts import generate
from examples.toyweb.write import toy_batches
from tests.reference import match_text

__all__ = ["bench_lid", "bench_matching", "spaced"]

NUM_SLOW_TEXTS = 20_000
NUM_NAIVE_TEXTS = 20
MOST_ENTRIES_OF_THE_REFERENCE = 500_000


def spaced(text: str) -> str:
    """Return a text as the released code spaces it."""
    spacing = f" {text} "
    for mark in ",.;:?!`":
        spacing = spacing.replace(mark, f" {mark} ")
    for blank in "\t\n\r":
        spacing = spacing.replace(blank, " ")
    return spacing


def _pyahocorasick(needles: Sequence[str]) -> Callable[[Sequence[str]], None]:
    """Return matching as the released code does it: space the text, `iter`, a set of ids."""
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for i, needle in enumerate(needles):
        automaton.add_word(needle, i)
    automaton.make_automaton()

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            {i for _, i in automaton.iter(spaced(text))}

    return run


def _ahocorasick_rs(needles: Sequence[str]) -> Callable[[Sequence[str]], None]:
    """Return the same with the Rust library's default automaton."""
    import ahocorasick_rs

    automaton = ahocorasick_rs.AhoCorasick(needles)

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            {m[0] for m in automaton.find_matches_as_indexes(spaced(text), overlapping=True)}

    return run


def rate(run: Callable[[], Any], num: int, repeats: int = 3) -> float:
    """Return texts per second, the best of some runs."""
    return num / best(run, repeats).clock_s


def bench_matching(kind: str, num_entries: int, num_texts: int) -> dict[str, Any]:
    """Time the engines on one kind of text and one number of entries."""
    entries, texts = generate(kind, num_entries, num_texts)
    few = texts[:NUM_SLOW_TEXTS]
    needles = [f" {entry} " for entry in entries] if kind == "English" else entries
    row: dict[str, Any] = {"texts": kind, "entries": num_entries}
    naive = texts[: max(1, NUM_NAIVE_TEXTS * 10_000 // num_entries)]
    row["naive"] = rate(
        lambda: [match_text(entries, text, "standard") for text in naive], len(naive), 1
    )
    for name, make in (("pyahocorasick", _pyahocorasick), ("ahocorasick_rs", _ahocorasick_rs)):
        row[name] = rate(partial(make(needles), few), len(few))
    expected = None
    if num_entries <= MOST_ENTRIES_OF_THE_REFERENCE:
        reference = AhoCorasickMatcher(entries, "standard")
        expected = reference.match(pa.array(few))
        row["reference engine"] = rate(lambda: reference.match(pa.array(few)), len(few), 1)
    built = timed(lambda: build_index(pa.array(entries), "standard"))
    row["build s"] = built.clock_s
    row |= _bench_index(built.result, texts, few, expected)
    row["ratio"] = row["ours"] / row["pyahocorasick"]
    return row


def _bench_index(index: Any, texts: list[str], few: list[str], expected: Any) -> dict[str, Any]:
    packed = pack_index(index, "")
    strings = pa.array(texts)
    row: dict[str, Any] = {}
    with tempfile.NamedTemporaryFile() as file:
        file.write(packed)
        file.flush()
        opened = timed(lambda: unpack_index(storage.map_file(file.name), "index"))
        matcher, row["open ms"] = opened.result, 1e3 * opened.clock_s
        two = unpack_index(storage.map_file(file.name), "index", threads=2)
        if expected is not None and not matcher.match(pa.array(few)).equals(expected):
            raise AssertionError("the engines disagree")
        row["ours"] = rate(lambda: matcher.match(strings), len(texts), 5)
        row["ours, 2 threads"] = rate(lambda: two.match(strings), len(texts), 5)
    row["index MB"] = len(packed) / 1e6
    return row


def _lid_texts(num_texts: int) -> dict[str, list[str]]:
    """Return generated captions, and public ones where CURATE_TEST_DATA names their folder."""
    batches = toy_batches(0, 0, num_texts, None)
    found = {"toy web, 6 languages": [t for b in batches for t in b.column("text").to_pylist()]}
    data = public_data()
    tatoeba = data / "lid/tatoeba_112langs_x40.tsv.gz"
    if (data / "laion").is_dir():
        found["LAION-400M captions"] = web_captions(data)
    if tatoeba.exists():
        with gzip.open(tatoeba, "rt", encoding="utf-8") as file:
            found["Tatoeba, 112 languages"] = [line.rstrip("\n").split("\t")[1] for line in file]
    return found


def _predict(model: Any, texts: Sequence[str]) -> None:
    for text in texts:
        model.predict(text)


def bench_lid(num_texts: int) -> list[dict[str, Any]]:
    """Time the library's `predict` and ours on texts of several kinds."""
    import fasttext

    model = fasttext.load_model(default_lid_model())
    library = FastTextIdentifier(default_lid_model())
    buffer = Path(default_lid_model()).read_bytes()
    ours, two = (CompiledIdentifier(buffer, "lid.176.ftz", threads=n) for n in (1, 2))
    rows = []
    for name, texts in _lid_texts(num_texts).items():
        strings, few = pa.array(texts), [t.replace("\n", " ") for t in texts[:NUM_SLOW_TEXTS]]
        some = strings.slice(0, len(few))
        if ours.identify(some).lang.to_pylist() != library.identify(some).lang.to_pylist():
            raise AssertionError("the LID engines disagree")
        slow = rate(partial(_predict, model, few), len(few))
        fast = rate(partial(ours.identify, strings), len(texts), 5)
        rows.append(
            {
                "texts": name,
                "characters": sum(map(len, texts)) / len(texts),
                "fasttext": slow,
                "ours": fast,
                "ours, 2 threads": rate(partial(two.identify, strings), len(texts), 5),
                "ratio": fast / slow,
            }
        )
    return rows
