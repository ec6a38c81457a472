"""A small world whose parts can be stopped in their middle: killed once, or held until let go.

The traps are files, and a filter (`--filter trap:keep_all`) that runs in whatever process works on
a part looks for them. So a test waits for what has happened, not for a time.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.pipelines.helpers import WORDS, contents, texts, write_metadata, write_pairs

CURATE = Path(sys.executable).with_name("curate")
ROWS = 300  # of a file, which is a part

_TRAP = """
import os, signal, time
from pathlib import Path

import numpy as np

PLACE = Path(__file__).parent / "traps"


def keep_all(batch):
    number = "".join(c for c in batch.column("url")[0].as_py() if c.isdigit())
    try:
        (PLACE / f"kill-{number}").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    except FileNotFoundError:
        pass
    hold = PLACE / f"hold-{number}"
    if hold.exists():
        (PLACE / f"held-{number}").write_text(str(os.getpid()))
    while hold.exists():
        time.sleep(0.05)
    return np.ones(batch.num_rows, dtype=bool)
"""


class World:
    """Metadata, inputs and traps in a folder, and what an undisturbed local run makes of them."""

    def __init__(self, folder: Path, files: int = 4) -> None:
        self.folder = folder
        write_metadata(folder / "data/metadata", {"en": WORDS})
        for i in range(files):
            write_pairs(folder / f"in/{i}.parquet", texts(ROWS, i), first=ROWS * i)
        (folder / "trap.py").write_text(_TRAP)
        (folder / "traps").mkdir()
        self.run("match", "-o", "expected/matched").check_returncode()
        self.run("balance", "--matched", "expected/matched", "-o", "expected/balanced")
        self.expected = contents(folder / "expected/matched")

    def command(self, command: str, *options: str) -> list[str]:
        inputs = ["in/*.parquet", "--lang", "en", "--filter", "trap:keep_all"]
        chosen = inputs if command == "match" else ["--t", "20"] if command == "balance" else []
        return [str(CURATE), command, *chosen, *options]

    def run(self, command: str, *options: str, **how) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(command, *options), cwd=self.folder, capture_output=True, text=True,
            check=False, timeout=170, **how,
        )  # fmt: skip

    def start(self, command: str, *options: str, **how) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(command, *options), cwd=self.folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, **how,
        )  # fmt: skip

    def trap(self, kind: str, part: int) -> Path:
        self.held(part).unlink(missing_ok=True)
        path = self.folder / "traps" / f"{kind}-{part * ROWS}"
        path.write_text("")
        return path

    def held(self, part: int) -> Path:
        return self.folder / "traps" / f"held-{part * ROWS}"

    def events(self, output: str, event: str) -> list[dict]:
        parent, _, name = output.rpartition("/")
        logs = sorted((self.folder / parent / ".curate" / name / "log").glob("*.jsonl"))
        lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def check(self, output: str) -> None:
        """Compare every byte with the undisturbed run's."""
        assert contents(self.folder / output) == self.expected


def wait_for(is_so, what: str, timeout_s: float = 120.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Tell whether there is a process of this number that is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z" and os.path.exists(f"/proc/{pid}")
