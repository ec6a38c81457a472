"""How fast the data card is made, how large its page is, and `yield`, with 330 languages.

    python -m examples.bench.stored.card [--pairs 20000000] [--entries 30000000]
        [--browser /usr/bin/chromium]

The matches are generated and written as `curate match` writes them: entries of a language follow
Zipf's law, English has most pairs. Rates are pairs per second of processor time, so they are those
of one core. With --browser the page is opened (needs Playwright), and the time until it stands and
until it shows another language is printed.
"""

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from curate.files import storage
from curate.metadata.languages import metadata_languages
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.page import render_page
from curate.pipelines.card.stage import make_card
from curate.pipelines.inputs.rows import Part
from curate.pipelines.matched.plan import PLAN, SUMMARY, MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import combined_hash
from curate.pipelines.yields.stage import measure_yields

PART_ROWS = 500_000
MATCHES = 3.5  # entries of a pair, on average


def write_matched(folder: Path, num_languages: int, num_entries: int, num_pairs: int) -> Path:
    """Write a folder as `curate match` does, with generated pairs.

    Args:
        folder: of the workspace.
        num_languages: at most those that there are.
        num_entries: over all languages; English has a tenth.
        num_pairs: over all languages; English has a third.

    Returns:
        The folder `matched/`.
    """
    langs = ["en", *(lang for lang in metadata_languages() if lang != "en")][:num_languages]
    share = np.r_[0.0, 1 / np.arange(2, len(langs) + 1)]
    pairs_share = np.r_[1 / 3, share[1:] / share[1:].sum() * 2 / 3][: len(langs)]
    rest = max(20, int(num_entries * 0.9 / max(1, len(langs) - 1)))
    sizes = {lang: rest if lang != "en" else max(20, num_entries // 10) for lang in langs}
    bases = np.r_[0, np.cumsum(list(sizes.values()))]
    counts = np.zeros(bases[-1], np.int64)
    matched = folder / "matched"
    hashes = {lang: artifacts.digest([lang, size]) for lang, size in sizes.items()}
    rows_of = [min(PART_ROWS, num_pairs - at) for at in range(0, num_pairs, PART_ROWS)]
    parts = [
        Part(path=f"{i:05d}.parquet", sha256=artifacts.digest(i), kind="parquet", num_rows=rows)
        for i, rows in enumerate(rows_of)
    ]
    inputs = [{"path": p.path, "sha256": p.sha256, "size_bytes": 1, "modified": ""} for p in parts]
    columns = {"url": None, "text": None, "uid": None, "lang": None}
    parameters = {
        "normalization": "standard", "lang": None, "lid_model": artifacts.digest("lid"),
        "columns": columns, "metadata": hashes,
    }  # fmt: skip
    plan = MatchedPlan(str(matched), parameters, inputs, parts)
    matched.mkdir(parents=True)
    artifacts.write_json(str(matched / PLAN), plan.as_dict())
    read = np.zeros(len(langs), np.int64)
    for index, rows in enumerate(rows_of):
        _write_part(plan, index, rows, langs, pairs_share, bases, counts, read)
    counted = dict(zip(langs, np.split(counts, bases[1:-1]), strict=True))
    for lang, count in counted.items():
        entry = pa.array([f"{lang} entry {i}" for i in range(len(count))])
        ids = pa.array(np.arange(len(count), dtype=np.uint32))
        table = pa.table({"entry_id": ids, "entry": entry, "count": count.astype(np.uint64)})
        stamp = {"lang": lang, "plan": plan.digest()}
        artifacts.write_table(plan.counts_path(lang), table, stamp, hashes[lang])
    languages = {
        lang: {"read": 2 * num, "matched": num, "dropped": {"no_match": num}}
        for lang, num in zip(langs, read.tolist(), strict=True)
    }
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION, "plan": plan.digest(), "examples": {},
        "metadata_hash": combined_hash(hashes), "inputs": len(inputs), "parts": len(parts),
        "read": 2 * num_pairs, "matched": num_pairs, "dropped": {"no_match": num_pairs},
        "lost_files": 0, "languages": languages,
        "matches": {lang: int(count.sum()) for lang, count in counted.items()},
    }  # fmt: skip
    artifacts.write_json(str(matched / SUMMARY), summary)
    return matched


def _write_part(
    plan: MatchedPlan,
    index: int,
    rows: int,
    langs: list[str],
    share: NDArray[np.float64],
    bases: NDArray[np.int64],
    counts: NDArray[np.int64],
    read: NDArray[np.int64],
) -> None:
    """Write a part's pairs; add to the counts of entries and of pairs."""
    rng = np.random.default_rng(index)
    codes = rng.choice(len(langs), rows, p=share / share.sum())
    drawn = rng.integers(1, int(2 * MATCHES), rows)
    largest = np.diff(bases)[np.repeat(codes, drawn)]
    # Log-uniform ranks are those of Zipf's law.
    ids = (largest ** rng.random(len(largest))).astype(np.int64) - 1
    row = np.repeat(np.arange(rows), drawn)
    keys = np.unique(row * (1 << 32) + ids)
    row, ids = keys >> 32, keys & 0xFFFFFFFF
    offsets = np.searchsorted(row, np.arange(rows + 1))
    counts += np.bincount(bases[codes[row]] + ids, minlength=len(counts))
    read += np.bincount(codes, minlength=len(langs))
    numbers = [f"{index:08x}{i:016x}" for i in range(rows)]
    table = pa.table(
        {
            "url": [f"https://example.org/{n}.jpg" for n in numbers],
            "text": [f"a photo of number {n}, as it stands on the web" for n in numbers],
            "pair_id": numbers,
            "image_id": numbers,
            "lang": pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(langs)),
            "lang_score": pa.array(np.ones(rows), pa.float32()),
            "entry_ids": pa.ListArray.from_arrays(
                pa.array(offsets, pa.int32()), pa.array(ids, pa.uint32())
            ),
        }
    )
    stamp = {"parameters": artifacts.digest(plan.parameters), "part": plan.parts[index].as_dict()}
    metadata = combined_hash(plan.parameters["metadata"])
    artifacts.write_table(plan.pairs_path(index), table, stamp, metadata)


def seconds_of(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call gives, and the processor time it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def open_page(path: Path, browser: str) -> dict[str, float]:
    """Open a page; return ms until it stands, ms until it shows another language, and sorts."""
    from playwright.sync_api import sync_playwright

    measure = """
        () => { const start = performance.now(); const pick = document.getElementById("language");
        pick.value = pick.options[1].value; pick.dispatchEvent(new Event("change"));
        const chosen = performance.now();
        document.querySelector("#language-table thead button").click();
        return { choose: chosen - start, sort: performance.now() - chosen }; }
    """
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        stands = page.evaluate("performance.timing.domInteractive - performance.timing.fetchStart")
        times = page.evaluate(measure)
        opened.close()
    return {"interactive": stands, **times}


def main(
    pairs: Annotated[int, typer.Option(help="Pairs to generate.")] = 20_000_000,
    entries: Annotated[int, typer.Option(help="Entries of all languages.")] = 30_000_000,
    languages: Annotated[int, typer.Option(help="At most 330.")] = 330,
    t: Annotated[int, typer.Option("--t", help="Pairs per entry.")] = 200,
    browser: Annotated[str | None, typer.Option(help="Chromium to open the page in.")] = None,
    folder: Annotated[str | None, typer.Option(help="Keep the workspace here.")] = None,
) -> None:
    """Print the card's rates and sizes."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        matched, balanced = place / "matched", place / "balanced"
        if not matched.exists():
            write_matched(place, languages, entries, pairs)
            balance_pairs(matched=str(matched), output=str(balanced),
                          options=BalanceOptions(t=t), workers=1, quiet=True)  # fmt: skip
        tally_seconds = time_tally(matched, balanced)
        _, seconds = seconds_of(
            lambda: make_card(matched=str(matched), balanced=str(balanced), quiet=True)
        )
        sizes = {n: (balanced / n).stat().st_size for n in ("datacard.html", "datacard.json")}
        card = json.loads((balanced / "datacard.json").read_text("utf-8"))
        num_pairs, num_entries = card["total"]["matched"], card["total"]["entries"]
        _, render_seconds = seconds_of(lambda: render_page(card))
        print(f"{len(card['languages'])} languages, {num_entries:,} entries, {num_pairs:,} pairs")
        print(f"counting after balancing: {num_pairs / tally_seconds:,.0f} pairs/s of one core")
        print(f"the whole card: {seconds:.1f} s, {num_pairs / seconds:,.0f} pairs/s of one core")
        print(f"page: {sizes['datacard.html'] / 1e6:.2f} MB, written in {render_seconds:.2f} s; "
              f"JSON {sizes['datacard.json'] / 1e6:.2f} MB")  # fmt: skip
        for grid in ("200", "20,50,100,200,500,1k,2k,5k", None):
            measured, seconds = seconds_of(
                partial(measure_yields, matched=str(matched), grid=grid, quiet=True)
            )
            print(f"yield, {len(measured['yields'])} thresholds: "
                  f"{num_pairs / seconds:,.0f} pairs/s of one core")  # fmt: skip
        if browser:
            shown = open_page((balanced / "datacard.html").resolve(), browser)
            print(", ".join(f"{name} {ms:.0f} ms" for name, ms in shown.items()))


def time_tally(matched: Path, balanced: Path) -> float:
    """Return the seconds of processor time that the pass over the matches takes."""
    from curate.pipelines.card.tally import tally_pairs
    from curate.pipelines.inputs.records import ColumnNames
    from curate.pipelines.matched.decisions import BalanceJob

    plan = MatchedPlan.read(str(matched))
    counts = load_counts(plan)
    t_of = storage.read_json(str(balanced / "plan.json"))["parameters"]["t_of_language"]
    job = BalanceJob(matched=str(matched), output=str(balanced), parameters="", seed=0,
                     metadata=plan.parameters["metadata"], columns=ColumnNames(),
                     write_pairs=False)  # fmt: skip
    tally_pairs(plan, job, counts, t_of, num_chosen=2)  # compiled code is loaded
    return seconds_of(lambda: tally_pairs(plan, job, counts, t_of, num_chosen=2))[1]


if __name__ == "__main__":
    typer.run(main)
