"""Calls, commands, processes and folders in; seconds and bytes out."""

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "ROOT", "Took", "best", "bytes_below", "curate", "in_turns", "memory_of", "most_of",
    "peak_bytes", "processor_s_of", "ran", "ratio", "resident_bytes", "timed",
]  # fmt: skip

ROOT = Path(__file__).parents[3]
_TICK = os.sysconf("SC_CLK_TCK")


class Took(NamedTuple):
    """What a call or a command took.

    Attributes:
        processor_s: user and system time: of a call, of all threads of this process; of a command,
            of its children too.
        clock_s: seconds until it ended.
        peak_bytes: the most memory that a command itself had; 0 of a call.
        result: of a call.
    """

    processor_s: float
    clock_s: float
    peak_bytes: int = 0
    result: Any = None


def timed(work: Callable[[], Any]) -> Took:
    """Call once."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    processor_s, clock_s = time.process_time() - processor, time.perf_counter() - clock
    return Took(processor_s, clock_s, result=result)


def best(work: Callable[[], Any], times: int) -> Took:
    """Call some times; return the least of either time, and the last result."""
    took = [timed(work) for _ in range(times)]
    return Took(
        min(one.processor_s for one in took),
        min(one.clock_s for one in took),
        result=took[-1].result,
    )


def in_turns(
    works: Mapping[str, Callable[[int], Any]], rounds: int, warm_up: int = 0
) -> dict[str, list[Took]]:
    """Call each once a round, so that what else the machine does slows all.

    Args:
        works: by name; they are given the number of the round. Every other round is the other way
            round. What they return is dropped.
        rounds: that are measured.
        warm_up: rounds before them, as the first.
    """
    took: dict[str, list[Took]] = {name: [] for name in works}
    for number in range(-warm_up, rounds):
        for name in works if number % 2 == 0 else list(works)[::-1]:
            found = timed(partial(works[name], max(0, number)))
            if number >= 0:
                took[name].append(found._replace(result=None))
    return took


def ratio(of: Sequence[float], to: Sequence[float]) -> str:
    """Say what one is of another, round by round: the median, the least and the most."""
    ratios = sorted(a / b for a, b in zip(of, to, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def ran(
    command: Sequence[object], env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Took:
    """Run a command, from its start to its end; what it prints is dropped.

    The peak is what /proc says while it runs: the kernel's account at its end counts the process
    that it was forked from.

    Raises:
        RuntimeError: it failed.
    """
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            list(map(str, command)), env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=errors
        )
        while True:
            done, code, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            peak = max(peak, memory_of(process.pid).get("VmHWM", 0))
            time.sleep(0.02)
        clock_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(code)
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{command} ended with {process.returncode}: {said}")
    return Took(usage.ru_utime + usage.ru_stime, clock_s, peak)


def curate(*words: object) -> Took:
    """Run a command of this checkout, quietly."""
    return ran([sys.executable, "-m", "curate", *words, "--quiet"], cwd=ROOT)


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory_of(process: int | str = "self") -> dict[str, int]:
    """Return a process's memory in bytes, named as in /proc: VmHWM, VmRSS, RssAnon, RssFile."""
    lines = Path(f"/proc/{process}/status").read_text()
    return {name: int(num) << 10 for name, num in re.findall(r"(\w+):\s+(\d+) kB", lines)}


def processor_s_of(process: int) -> float:
    """Return the processor time of another process so far, its children left out."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def most_of(look: Callable[[], int], every_s: float = 0.05) -> Iterator[list[int]]:
    """Look again and again; the list's one number is the most that was seen."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(every_s):
            most[0] = max(most[0], look())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def bytes_below(folder: Path) -> int:
    """Return the size of all files below a folder, of which some may come and go."""
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def resident_bytes(process: int) -> int:
    """Return what a process and all that it began have in memory."""
    size = 0
    for one in _processes_of(process):
        try:
            size += memory_of(one).get("VmRSS", 0)
        except OSError:
            continue  # it ended between the two looks
    return size


def _processes_of(root: int) -> Iterator[int]:
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from _processes_of(int(child))
