"""Processor time and duration of `curate match`, local and on Ray, by number of workers.

    python -m examples.bench.scale.executors METADATA RUNS INPUT... [--lang en]

RUNS is such as local:1,local:2,ray:2.

Processor time is that of all processes of a run, Ray's own included, as /proc tells it; it holds on
a machine that does other things too, which the duration does not.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from examples.bench.common.measure import processor_s_of

CURATE = Path(sys.executable).with_name("curate")


def _used(marker: bytes) -> dict[int, float]:
    """Return seconds of the processor by process, of those that carry a marker."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (folder / "environ").read_bytes():
                found[int(folder.name)] = processor_s_of(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


def measure(command: list[str]) -> tuple[float, float]:
    """Return seconds of the processor, of all processes, and seconds until the command ended."""
    marker = uuid.uuid4().hex
    environment = {**os.environ, "CURATE_BENCH": marker}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    used: dict[int, float] = {}
    while process.poll() is None:
        used |= _used(marker.encode())
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return sum(used.values()), time.perf_counter() - start


def main() -> None:
    """Print a row for each way to run it."""
    metadata, runs, *rest = sys.argv[1:]
    first = runs.split(",")[0].replace(":", "")
    folder = tempfile.mkdtemp()
    try:
        for executor, workers in (run.split(":") for run in runs.split(",")):
            output = f"{folder}/{executor}{workers}/matched"
            command = [str(CURATE), "match", *rest, "--metadata", metadata, "-o", output, "--quiet",
                       "--executor", executor, "--workers", workers]  # fmt: skip
            processor, seconds = measure(command)
            same = subprocess.run(["diff", "-rq", f"{folder}/{first}/matched", output], check=False)
            print(json.dumps({"executor": executor, "workers": int(workers),
                              "processor_s": round(processor, 1), "seconds": round(seconds, 1),
                              "same_bytes": same.returncode == 0}))  # fmt: skip
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
