"""What the logs of workers say of the run at hand: parts done, running and failed, and how fast."""

import json
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from curate.files import storage
from curate.files.listing import file_sizes
from curate.pipelines.executor.lease import beside, holder

__all__ = ["LogReader", "RunState"]

_RATE_OVER_S = 300.0
_SHOWN = 3

Line = dict[str, Any]


@dataclass(slots=True)
class RunState:
    """One run of parts, as told by the lines about it.

    Attributes:
        stage: the function that works on a part.
        planned: when the driver began; seconds since 1970.
        parts: number of parts in this run; None until its plan is read.
        done: of each part that is done, when, how many seconds it took, and records read.
        begun: the line of each part that was begun and is neither done nor failed.
        failed: the line of each part whose last attempt failed.
        retries: attempts that met a passing fault.
        dropped: records of parts that are done, by the reason why they were dropped.
        compiling: seconds that each process, by host and number, compiled in one part.
    """

    stage: str = ""
    planned: float = 0.0
    parts: int | None = None
    executor: str = "local"
    done: dict[int, tuple[float, float, int]] = field(default_factory=dict)
    begun: dict[int, Line] = field(default_factory=dict)
    failed: dict[int, Line] = field(default_factory=dict)
    retries: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    compiling: dict[tuple[str, int], float] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Take a line; of a part that was done twice, the first counts."""
        event, part = line["event"], line.get("part", -1)
        self.stage = line["stage"]
        if event == "plan":
            self.planned, self.parts = line["time"], line["parts"]
            self.executor = line["executor"]
        elif event == "retry":
            self.retries += 1
        elif event == "start":
            if part not in self.done:
                self.begun[part] = line
                self.failed.pop(part, None)
        else:
            self.begun.pop(part, None)
            self.failed.pop(part, None)
            if event == "done" and part not in self.done:
                self.done[part] = (line["time"], line["seconds"], line.get("read", 0))
                self.dropped.update(line.get("dropped", {}))
                process = (line["host"], line["pid"])
                longest = max(self.compiling.get(process, 0.0), line.get("compiling_s", 0.0))
                self.compiling[process] = longest
            elif event == "failed" and part not in self.done:
                self.failed[part] = line

    def figures(self, *, is_alive: bool, now: float | None = None) -> dict[str, Any]:
        """Return all of it as JSON-able values.

        Args:
            is_alive: there is a driver; without one nothing runs, whatever was begun.
            now: seconds since 1970; None for the clock's.
        """
        now = time.time() if now is None else now
        recent = [num for at, _, num in self.done.values() if at > now - _RATE_OVER_S]
        span = max(1e-3, min(_RATE_OVER_S, now - self.planned) - self._compiling_s(now))
        rate = len(recent) / span
        left = None if self.parts is None else self.parts - len(self.done)
        slow = sorted(self.begun.values(), key=lambda line: line["time"])[:_SHOWN]
        seconds = [took for _, took, _ in self.done.values()]
        return {
            "stage": self.stage,
            "executor": self.executor,
            "parts": self.parts,
            "done": len(self.done),
            "running": len(self.begun) if is_alive else 0,
            "interrupted": 0 if is_alive else len(self.begun),
            "failed": len(self.failed),
            "retries": self.retries,
            "parts_per_s": round(rate, 4),
            "records_per_s": round(sum(recent) / span, 1),
            "eta_s": round(left / rate, 1) if is_alive and left is not None and rate else None,
            "median_part_s": round(statistics.median(seconds), 3) if seconds else None,
            "slowest_running": [
                {"part": line["part"], "host": line["host"], "pid": line["pid"],
                 "seconds": round(now - line["time"], 1)}
                for line in slow if is_alive
            ],
            "errors": [
                {"part": line["part"], "host": line["host"], "pid": line["pid"],
                 "error": line["error"]}
                for line in list(self.failed.values())[-_SHOWN:]
            ],
            "read": sum(num for _, _, num in self.done.values()),
            "dropped": dict(sorted(self.dropped.items())),
        }  # fmt: skip

    def _compiling_s(self, now: float) -> float:
        """Return how long a process compiled at the beginning, as far as rates look back."""
        if not self.compiling or now - self.planned > _RATE_OVER_S:
            return 0.0
        return statistics.mean(self.compiling.values())


_KINDS: dict[str, Any] = {
    "run": str,
    "event": str,
    "stage": str,
    "time": (int, float),
    "host": str,
    "pid": int,
}
_MORE: dict[str, dict[str, Any]] = {
    "plan": {"parts": int, "executor": str},
    "start": {"part": int},
    "done": {"part": int, "seconds": (int, float)},
    "failed": {"part": int, "error": str},
}


def _line(text: bytes) -> Line | None:
    """Return a line of a log; None if it is none of ours."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    kinds = {**_KINDS, **_MORE.get(str(line.get("event")), {})}
    if not all(isinstance(line.get(name), kind) for name, kind in kinds.items()):
        return None
    dropped = line.get("dropped", {})
    is_counted = isinstance(dropped, dict) and all(isinstance(n, int) for n in dropped.values())
    is_counted = is_counted and isinstance(line.get("compiling_s", 0.0), int | float)
    return line if is_counted and isinstance(line.get("read", 0), int) else None


class LogReader:
    """Reads the logs of an output, and at each call only what is new in them."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._folder = storage.join(beside(output), "log")
        self._offsets: dict[str, int] = {}
        self._runs: dict[str, RunState] = {}

    def latest(self) -> RunState | None:
        """Return the run that was planned last, None if there never was one."""
        for name, size in sorted(file_sizes(self._folder).items()):
            if name.endswith(".jsonl") and size > self._offsets.get(name, 0):
                self._read(name)
        planned = [run for run in self._runs.values() if run.parts is not None]
        # Of two that began at the same time, as logs tell it, the one whose lines came later.
        newest = max(reversed(planned), key=lambda run: run.planned, default=None)
        if newest is not None:  # what is over is not asked for again
            self._runs = {k: r for k, r in self._runs.items() if r.parts is None or r is newest}
        return newest

    def _read(self, name: str) -> None:
        offset = self._offsets.get(name, 0)
        content = storage.read_bytes(storage.join(self._folder, name), offset)
        whole = content.rfind(b"\n") + 1
        self._offsets[name] = offset + whole
        for text in content[:whole].split(b"\n"):
            # Cut off by a full disk or a lost machine, or not ours: the others still tell.
            if (line := _line(text)) is not None:
                self._runs.setdefault(line["run"], RunState()).add(line)

    def figures(self) -> dict[str, Any] | None:
        """Return what is known of the latest run as JSON-able values, and who drives it."""
        run = self.latest()
        if run is None:
            return None
        driver = holder(self._output)
        who = {k: driver[k] for k in ("command", "host", "pid")} if driver else None
        return {"driver": who, **run.figures(is_alive=driver is not None)}
