"""One file's share of a pipeline written as the released code does it, as a program of its own.

    python -m examples.bench.matching.reference_pipeline INPUT ENTRIES OUTPUT

fastText and `iter` for each text, JSON out.
"""

import json
import sys
from pathlib import Path

import ahocorasick
import fasttext
import pyarrow.parquet as pq

from curate.curation.lid.identify import default_lid_model
from examples.bench.matching.engines import spaced


def main(path: str, entries: str, output: str) -> None:
    """Match a Parquet file of url and text against a file of entries, a line each."""
    model = fasttext.load_model(default_lid_model())
    automaton = ahocorasick.Automaton()
    for i, entry in enumerate(Path(entries).read_text().splitlines()):
        automaton.add_word(f" {entry} ", i)
    automaton.make_automaton()
    table = pq.read_table(path)
    with (Path(output) / f"{Path(path).stem}.jsonl").open("w") as file:
        for url, text in zip(*(table.column(c).to_pylist() for c in ("url", "text")), strict=True):
            label = model.predict(text.replace("\n", " "))[0]
            ids = sorted({i for _, i in automaton.iter(spaced(text))})
            if ids:
                file.write(json.dumps({"url": url, "text": text, "lang": label, "ids": ids}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
