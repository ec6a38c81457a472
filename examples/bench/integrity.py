"""What checksums cost `match` and `balance`: processor time of two builds, run in turn.

Run from the repository's root, with another checkout to compare with:

    git worktree add ../before 8882004
    python -m examples.bench.integrity --before ../before --pairs 400000 --rounds 5

User and system time of the whole command, of all its threads and processes, as the kernel counts
them (what `perf stat` shows): a machine that has other work to do changes it by far less than the
time on the clock. Both builds have processed everything once before anything is measured. The
smallest of the rounds is compared, and the median is shown beside it.
"""

import argparse
import atexit
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUM_ENTRIES = 100_000
# Of both, with the same options in both builds.
COMMANDS = (("match", "000.parquet", "--lang", "en"), ("balance", "--t", "200"))

Times = dict[str, dict[str, list[float]]]


@cache
def _environment(build: Path) -> dict[str, str]:
    """Return the environment in which a build's own packages are imported.

    Builds ask for their version by the name of their distribution, of which only one is installed:
    a folder with nothing but both names stands in for the others.
    """
    said = Path(tempfile.mkdtemp(prefix="curate-bench-names-"))
    atexit.register(shutil.rmtree, said, ignore_errors=True)
    for name in ("curate", "curate_clip"):
        (said / f"{name}-0.dist-info").mkdir()
        lines = ("Metadata-Version: 2.1", f"Name: {name}", "Version: 0", "")
        (said / f"{name}-0.dist-info/METADATA").write_text("\n".join(lines))
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(build), str(said), *others])}


def processor_seconds(build: Path, folder: Path, *arguments: str) -> float:
    """Return the processor time of a command of a build, in seconds."""
    command = [sys.executable, "-c", "from curate.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, *arguments, "-w", ".", "--workers", "1", "--quiet"],
        cwd=folder, env=_environment(build), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{build}: curate {' '.join(arguments)} failed")
    return usage.ru_utime + usage.ru_stime


def write_workspace_with(build: Path, folder: Path, num_pairs: int) -> None:
    """Write entries with a build, which alone reads them, and the same pairs for all."""
    code = (
        "import sys; from pathlib import Path; "
        "from examples.bench.commands.stages import write_workspace; "
        f"write_workspace(Path(sys.argv[1]), {NUM_ENTRIES}, {num_pairs}, 1)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=_environment(build), check=True, cwd=build
    )


def measure(builds: dict[str, Path], num_pairs: int, rounds: int) -> Times:
    """Return the processor times of each build's commands, rounds of both in turn."""
    times: Times = {name: {"match": [], "balance": []} for name in builds}
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as name:
        folders = {build: Path(name, build) for build in builds}
        for build, folder in folders.items():
            folder.mkdir()
            write_workspace_with(builds[build], folder, num_pairs)
        for turn in range(rounds + 1):
            for build, folder in folders.items():
                for stage in ("matched", "balanced", ".curate"):
                    shutil.rmtree(folder / stage, ignore_errors=True)
                for command in COMMANDS:
                    seconds = processor_seconds(builds[build], folder, *command)
                    if turn:  # the first compiles what is compiled once
                        times[build][command[0]].append(seconds)
    return times


def main() -> None:
    """Measure and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, help="Root of another checkout.")
    parser.add_argument("--pairs", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times = measure(
        {"before": options.before.resolve(), "now": ROOT}, options.pairs, options.rounds
    )
    for command in ("match", "balance"):
        before, now = times["before"][command], times["now"][command]
        sys.stdout.write(
            f"{command}: before {min(before):.2f} s (median {statistics.median(before):.2f}), now "
            f"{min(now):.2f} s (median {statistics.median(now):.2f}): speed "
            f"{min(before) / min(now):.3f} of what it was\n"
        )


if __name__ == "__main__":
    main()
