"""How fast matching, language identification and the stages are.

    python -m examples.bench [--quick] [--only matching|lid|stages|commands] [--against REV]

Texts and entries are generated; every engine works on the same ones, the slow ones on fewer.
"""

import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from examples.bench.commands.against import bench_against, checked_out
from examples.bench.commands.stages import bench_help, bench_second_worker, bench_stages
from examples.bench.matching.engines import bench_lid, bench_matching
from examples.bench.matching.texts import SPACELESS

LARGEST_OF_OTHER_KINDS = 500_000


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


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main(
    quick: Annotated[bool, typer.Option(help="Fewer entries and texts.")] = False,
    only: Annotated[str, typer.Option(help="matching, lid, stages or commands.")] = "",
    against: Annotated[str, typer.Option(help="Revision to run commands of by turns.")] = "",
    rounds: Annotated[int, typer.Option(help="Runs of each command.")] = 5,
    texts: Annotated[int, typer.Option(help="Captions of the commands; 0: as many as usual.")] = 0,
) -> None:
    """Print the tables."""
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
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
    data = Path(os.environ.get("CURATE_TEST_DATA", "../shared/data"))
    num_entries, num_texts = (10_000, 50_000) if quick else (500_000, 2_000_000)
    num_texts = texts or num_texts
    rows = bench_against(
        builds, folder, num_entries=num_entries, num_texts=num_texts, rounds=rounds, data=data
    )
    show(f"Commands by processor time, {num_texts:,} captions, one worker", rows)


if __name__ == "__main__":
    typer.run(main)
