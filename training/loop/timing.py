"""Where the time of a step goes: waiting for data, copying, computing, communicating.

On a GPU work is queued and done later, so that sections are timed there by events on its stream,
which are read once the step has been waited for; elsewhere by the clock.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["StepTimer"]

SECTIONS = ("data", "copy", "communication")


class StepTimer:
    """Adds up seconds by section; what is in no section is computing.

    Args:
        device: where steps run.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._pending: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._marked: float | torch.cuda.Event | None = None
        self._since = time.perf_counter()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time what this rank's stream (on a GPU) or the interpreter does within."""
        start = self._now()
        yield
        self._add(name, start)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Time how long the interpreter waits for a batch, and a GPU then for its copy."""
        start, host_start = self._now(), time.perf_counter()
        yield
        waited = time.perf_counter() - host_start
        self._seconds["data"] += waited
        if self._on_gpu:
            # Its stream is empty when a step ends: it waits as long as the interpreter, and then
            # for the rest of the copy.
            self._add("copy", start)
            self._seconds["copy"] -= waited

    def mark(self) -> None:
        """Note that gradients are ready up to here; the last mark counts."""
        self._marked = self._now()

    def end_backward(self) -> None:
        """Count the time since the last mark as communication: nothing else was left to do."""
        if self._marked is not None:
            self._add("communication", self._marked)
            self._marked = None

    def leave_out(self, seconds: float) -> None:
        """Leave out seconds in which something else was done than training."""
        self._since += seconds

    def shares(self) -> dict[str, float]:
        """Return the share of each section, and of computing, since the last call; and forget."""
        for name, start, end in self._pending:
            self._seconds[name] += start.elapsed_time(end) / 1000
        now = time.perf_counter()
        total = max(now - self._since, 1e-9)
        found = {name: min(1.0, max(0.0, self._seconds[name]) / total) for name in SECTIONS}
        found["compute"] = max(0.0, 1 - sum(found.values()))
        self._pending.clear()
        self._seconds.clear()
        self._since = now
        return {name: round(share, 4) for name, share in found.items()}

    def _now(self) -> "float | torch.cuda.Event":
        if not self._on_gpu:
            return time.perf_counter()
        return _recorded_event()

    def _add(self, name: str, start: "float | torch.cuda.Event") -> None:
        if isinstance(start, float):
            self._seconds[name] += time.perf_counter() - start
            return
        self._pending.append((name, start, _recorded_event()))


def _recorded_event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event
