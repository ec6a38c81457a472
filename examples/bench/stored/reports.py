"""How fast `yield`, `diff` and `explain` are on stored matches, by processor time.

    python -m examples.bench.stored.reports [--pairs 4000000] [--entries 100000]

Texts are generated and matched once. Seconds are the processor's (user and system), on one worker,
without the start of Python and the loading of compiled code, which a first small run does.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.diff.stage import compare_folders
from curate.pipelines.explain.stage import explain_text
from curate.pipelines.match.stage import MatchOptions, match_inputs
from curate.pipelines.yields.stage import measure_yields
from examples.bench.commands.stages import write_workspace
from examples.bench.common.measure import timed
from examples.bench.common.tables import show

FILES = 4
GRIDS = ("200", "20,50,100,200,500,1k,2k,5k", None)


def prepare(folder: Path, entries: int, pairs: int) -> None:
    """Match generated pairs and balance them twice."""
    files = write_workspace(folder, entries, pairs // FILES, FILES)
    match_inputs(
        [str(f) for f in files], metadata=f"{folder}/metadata", output=f"{folder}/matched",
        options=MatchOptions(lang="en"), quiet=True, workers=2,
    )  # fmt: skip
    for t in (100, 200):
        balance_pairs(
            matched=f"{folder}/matched", output=f"{folder}/t{t}", options=BalanceOptions(t=t),
            quiet=True, workers=2,
        )  # fmt: skip


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Time each on a workspace."""
    rows: list[dict[str, Any]] = []

    def add(what: str, pairs: int, seconds: float) -> None:
        rate = {} if what.startswith("explain") else {"pairs/s": pairs / seconds}
        rows.append({"what": what, "pairs": pairs, "processor s": seconds, **rate})

    num = 0
    for grid in GRIDS:
        took = timed(partial(measure_yields, matched=f"{folder}/matched", grid=grid, quiet=True))
        num = took.result["matched"]
        add(f"yield, thresholds: {len(took.result['yields'])}", num, took.processor_s)
    for a, b in (("matched", "matched"), ("t100", "t200")):
        took = timed(partial(compare_folders, f"{folder}/{a}", f"{folder}/{b}"))
        pairs = took.result["pairs"]
        read = 2 * pairs["both"] + pairs["only_a"] + pairs["only_b"]
        add(f"diff {a} {b}", read, took.processor_s)
    last = sorted((folder / "matched/pairs").glob("*.parquet"))[-1]
    pair_id = pq.read_table(last, columns=["pair_id"]).column(0)[-1].as_py()
    for options in ({"text": "a photo of the dog", "lang": "en"}, {"pair_id": pair_id}):
        took = timed(partial(
            explain_text, **options, metadata=f"{folder}/metadata", matched=f"{folder}/matched",
            balanced=f"{folder}/t100",
        ))  # fmt: skip
        add(f"explain {next(iter(options))}", num, took.processor_s)
    return rows


def main(
    pairs: Annotated[int, typer.Option(help="Pairs to match.")] = 4_000_000,
    entries: Annotated[int, typer.Option(help="Entries of English.")] = 100_000,
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        for size, title in ((4_000, None), (pairs, "Stored matches, on one core")):
            folder = Path(name) / str(size)
            folder.mkdir()
            prepare(folder, entries if title else 1_000, size)
            rows = rows_of(folder)
            if title:
                show(title, rows)


if __name__ == "__main__":
    typer.run(main)
