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
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from curate.files import storage
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.page import render_page
from curate.pipelines.card.stage import make_card
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.yields.stage import measure_yields
from examples.bench.common.measure import timed
from examples.bench.stored.matched import write_matched


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
        seconds = timed(
            lambda: make_card(matched=str(matched), balanced=str(balanced), quiet=True)
        ).processor_s
        sizes = {n: (balanced / n).stat().st_size for n in ("datacard.html", "datacard.json")}
        card = json.loads((balanced / "datacard.json").read_text("utf-8"))
        num_pairs, num_entries = card["total"]["matched"], card["total"]["entries"]
        render_seconds = timed(lambda: render_page(card)).processor_s
        print(f"{len(card['languages'])} languages, {num_entries:,} entries, {num_pairs:,} pairs")
        print(f"counting after balancing: {num_pairs / tally_seconds:,.0f} pairs/s of one core")
        print(f"the whole card: {seconds:.1f} s, {num_pairs / seconds:,.0f} pairs/s of one core")
        print(f"page: {sizes['datacard.html'] / 1e6:.2f} MB, written in {render_seconds:.2f} s; "
              f"JSON {sizes['datacard.json'] / 1e6:.2f} MB")  # fmt: skip
        for grid in ("200", "20,50,100,200,500,1k,2k,5k", None):
            took = timed(partial(measure_yields, matched=str(matched), grid=grid, quiet=True))
            print(f"yield, {len(took.result['yields'])} thresholds: "
                  f"{num_pairs / took.processor_s:,.0f} pairs/s of one core")  # fmt: skip
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
    return timed(lambda: tally_pairs(plan, job, counts, t_of, num_chosen=2)).processor_s


if __name__ == "__main__":
    typer.run(main)
