"""How fast matching, language identification and the stages are.

    python -m examples.bench [--quick] [--only matching|lid|stages|commands] [--against REV]

Texts and entries are generated; every engine works on the same ones, the slow ones on fewer.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from examples.bench.commands.against import bench_against, checked_out
from examples.bench.commands.stages import bench_help, bench_second_worker, bench_stages
from examples.bench.common.pairs import public_data
from examples.bench.common.tables import machine, show
from examples.bench.matching.engines import bench_lid, bench_matching
from examples.bench.matching.texts import SPACELESS

LARGEST_OF_OTHER_KINDS = 500_000


def main(
    quick: Annotated[bool, typer.Option(help="Fewer entries and texts.")] = False,
    only: Annotated[str, typer.Option(help="matching, lid, stages or commands.")] = "",
    against: Annotated[str, typer.Option(help="Revision to run commands of by turns.")] = "",
    rounds: Annotated[int, typer.Option(help="Runs of each command.")] = 5,
    texts: Annotated[int, typer.Option(help="Captions of the commands; 0: as many as usual.")] = 0,
) -> None:
    """Print the tables."""
    print(machine())
    num_texts = 20_000 if quick else 200_000
    if only in ("", "matching"):
        sizes = (10_000,) if quick else (10_000, 100_000, 500_000, 2_000_000)
        rows = [
            bench_matching(kind, size, num_texts)
            for kind in ("English", *SPACELESS)
            for size in sizes
            if kind in ("English", "Chinese") or size <= LARGEST_OF_OTHER_KINDS
        ]
        show("Matching, texts/s on one core", rows)
    if only in ("", "lid"):
        show("Language identification, texts/s on one core", bench_lid(num_texts))
    if only in ("", "stages"):
        with tempfile.TemporaryDirectory() as folder:
            size, texts, files = (10_000, 20_000, 2) if quick else (500_000, 1_000_000, 20)
            rows = [bench_stages(Path(folder), size, texts, files)]
            show("Stages on two cores", rows)
            show("Index and start", [bench_second_worker(Path(folder)) | bench_help()])
    if only in ("", "commands"):
        with tempfile.TemporaryDirectory() as folder:
            _show_commands(Path(folder), against, rounds, quick, texts)


def _show_commands(folder: Path, against: str, rounds: int, quick: bool, texts: int) -> None:
    """Time commands of this build, and of a revision by turns."""
    builds = [checked_out(None, "this build", folder / "this")]
    if against:
        builds.append(checked_out(against, against, folder / "other"))
    num_entries, num_texts = (10_000, 50_000) if quick else (500_000, 2_000_000)
    num_texts = texts or num_texts
    rows = bench_against(
        builds, folder, num_entries=num_entries, num_texts=num_texts, rounds=rounds,
        data=public_data(),
    )  # fmt: skip
    show(f"Commands by processor time, {num_texts:,} captions, one worker", rows)


if __name__ == "__main__":
    typer.run(main)
