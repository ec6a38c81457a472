"""A log of each worker in JSON lines: which part began, ended, failed, and what came of it.

A line has `time` (seconds since 1970), `event` (plan, start, done, retry, failed, stopped), `run`,
`stage`, `host` and `pid`; `part` if it is about one; with `plan`, which the driver writes, how many
`parts` there are; with `done` also `seconds`, of which `compiling_s` if there was something to
compile, and counts of records. Local logs are appended
to; where a store cannot append, the lines of late are published anew now and then.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from curate.files import storage
from curate.files.addresses import hide_secrets
from curate.pipelines.views.progress import log

__all__ = ["WorkerLog", "flush_logs"]

_PUBLISH_EVERY_S = 10.0
_LINES_PER_FILE = 2000

_logs: dict[tuple[str, int], "WorkerLog"] = {}
_lock = threading.Lock()


class WorkerLog:
    """The log of this process in a folder; None for no log."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._lines: list[str] = []
        self._file = 0
        self._published = 0.0
        self._is_torn = False  # the last line may have been written in part
        self._lock = threading.Lock()

    @classmethod
    def of(cls, folder: str | None) -> "WorkerLog":
        """Return this process's log in a folder, the same one at each call."""
        if folder is None:
            return cls(None)
        with _lock:
            return _logs.setdefault((folder, os.getpid()), cls(folder))

    def write(self, event: str, **figures: Any) -> None:
        """Add a line."""
        if self._folder is None:
            return
        host, _, pid = self._name.rpartition("-")
        values = {"time": round(time.time(), 3), "event": event, "host": host, "pid": int(pid)}
        values |= {k: hide_secrets(v) if isinstance(v, str) else v for k, v in figures.items()}
        line = json.dumps(values, ensure_ascii=False) + "\n"
        with self._lock, self._told():
            if storage.is_local(self._folder):
                self._append(line)
            else:
                self._gather(line, is_urgent=event in ("failed", "plan"))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what kept lines from being written: no part and no run is lost for its log."""
        try:
            yield
        except Exception as error:  # clients of stores have errors of their own kinds
            log(f"{self._folder}: the log could not be written ({type(error).__name__}: {error})")

    def _append(self, line: str) -> None:
        folder = storage.local_path(self._folder or "")
        path = os.path.join(folder, f"{self._name}.jsonl")
        # One write, so that lines do not mix; after one that was cut off, a line of its own.
        text = "\n" + line if self._is_torn else line
        self._is_torn = True
        try:
            file = open(path, "a", encoding="utf-8")  # noqa: SIM115  closed below
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            file = open(path, "a", encoding="utf-8")  # noqa: SIM115
        with file:
            file.write(text)
        self._is_torn = False

    def _gather(self, line: str, *, is_urgent: bool) -> None:
        self._lines.append(line)
        is_full = len(self._lines) >= _LINES_PER_FILE
        if is_full or is_urgent or time.monotonic() - self._published > _PUBLISH_EVERY_S:
            self._publish()
        if is_full:
            self._lines, self._file = [], self._file + 1

    def _publish(self) -> None:
        self._published = time.monotonic()
        name = f"{self._name}-{self._file:05d}.jsonl"
        with storage.publish(storage.join(self._folder or "", name)) as file:
            file.write("".join(self._lines).encode())

    def flush(self) -> None:
        """Publish what is gathered."""
        with self._lock, self._told():
            if self._lines:
                self._publish()


def flush_logs() -> None:
    """Publish what this process has gathered, at the end of a run."""
    with _lock:
        logs = list(_logs.values())
    for one in logs:
        one.flush()
