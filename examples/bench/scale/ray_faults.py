"""The toy web by `local`, then by `ray` whose workers are killed: the same bytes, or an error.

    python -m examples.toyweb TOY --rows 10000000 --files 8 --no-images
    python -m examples.bench.scale.ray_faults TOY [seconds between kills]

`build-metadata` runs once; `match` and `balance` run in the folders `TOY/local` and `TOY/ray`.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CURATE = Path(sys.executable).with_name("curate")


def _at_work(marker: bytes) -> list[int]:
    """Return the Ray workers of the command that are at work on a part."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # Ray names a worker after what it does.
            is_worker = (folder / "cmdline").read_bytes().startswith(b"ray::perform")
            if is_worker and marker in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


@contextmanager
def killer(marker: str, every_s: float) -> Iterator[list[int]]:
    """Kill a worker every few seconds; the list says which, in the end."""
    killed: list[int] = []
    is_over, rng = threading.Event(), random.Random(0)

    def work() -> None:
        while not is_over.wait(every_s):
            workers = _at_work(marker.encode())
            if workers:
                killed.append(rng.choice(workers))
                try:
                    os.kill(killed[-1], signal.SIGKILL)
                except ProcessLookupError:
                    killed.pop()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        is_over.set()
        thread.join()


def curate(command: str, folder: Path, environment: dict[str, str]) -> float:
    """Run a command in a folder; return the seconds it took."""
    folder.mkdir(exist_ok=True)
    start = time.perf_counter()
    subprocess.run([CURATE, *command.split(), "--quiet"], check=True, cwd=folder, env=environment)
    return time.perf_counter() - start


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every artifact; logs of who did what are none."""
    return {
        str(path.relative_to(folder)): hashlib.file_digest(path.open("rb"), "sha256").hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".curate" not in path.relative_to(folder).parts
    }


def main(toy: Path, every_s: float) -> None:
    """Print what took how long, how many workers were killed and how many files are equal."""
    marker = f"CURATE_FAULTS={os.getpid()}"
    environment = {**os.environ, "CURATE_FAULTS": str(os.getpid())}
    curate(
        "build-metadata --lang en,de,es,ru,ja,zh --offline --sources unigram,bigram,title "
        "--dumps sources/dumps --pageviews sources/pageviews -o metadata",
        toy,
        environment,
    )
    match = "match ../web --metadata ../metadata --overwrite"
    balance = "balance --t 20000 --overwrite"
    found: dict[str, dict[str, str]] = {}
    for name, options in (("local", ""), ("ray", " --executor ray --workers 2 --retries 20")):
        with killer(marker, every_s) as killed:
            seconds = [curate(c + options, toy / name, environment) for c in (match, balance)]
        found[name] = hashes(toy / name)
        result = {"executor": name, "match_s": round(seconds[0], 1),
                  "balance_s": round(seconds[1], 1), "killed": len(killed)}  # fmt: skip
        print(json.dumps(result), flush=True)
    different = {n for n in found["local"].keys() | found["ray"].keys()
                 if found["local"].get(n) != found["ray"].get(n)}  # fmt: skip
    print(json.dumps({"files": len(found["local"]), "different": sorted(different)}))
    sys.exit(bool(different))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 3.0)
