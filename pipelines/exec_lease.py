"""One driver per output: a lease beside it, with a heartbeat, that a second driver respects.

Beside an output `data/matched` stands `data/.curate/matched/`: `lease.json` while a command works
on it, and the logs of its workers. None of it is part of the output.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from metadata.errors import ArtifactError
from pipelines import storage
from pipelines.disk_space import told_when_full
from pipelines.exec_log import flush_logs
from pipelines.progress import log

__all__ = ["LEASE", "beside", "driven", "driven_outputs", "driving", "holder", "run_folder"]

Result = TypeVar("Result")

LEASE = "lease.json"
BEAT_S = 10.0
# A driver of another machine that has not been heard of for so long is taken for dead.
STALE_S = 60.0
# Of two that take a dead driver's lease over at once, the one that is read after this has it.
_SETTLE_S = 0.2
_SETTLE_REMOTE_S = 1.0

_folder: ContextVar[str | None] = ContextVar("run_folder", default=None)


_driven: list[str] = []


def driven_outputs() -> list[str]:
    """Return the outputs that this process works on now."""
    return list(_driven)


def run_folder() -> str | None:
    """Return the folder beside the output that is worked on now; None outside of `driving`."""
    return _folder.get()


def beside(output: str) -> str:
    """Return the folder for the lease and the logs of an output.

    >>> beside("data/matched"), beside("s3://bucket/a/balanced/"), beside("out")
    ('data/.curate/matched', 's3://bucket/a/.curate/balanced', '.curate/out')
    """
    parent, _, name = output.rstrip("/").rpartition("/")
    if parent.endswith(":/"):  # the output is a bucket itself
        return f"{output.rstrip('/')}/.curate"
    return storage.join(parent, ".curate", name) if parent else f".curate/{name}"


def holder(output: str) -> dict[str, Any] | None:
    """Return the lease of the driver that works on an output now, None if none does."""
    lease = _read(storage.join(beside(output), LEASE))
    return lease if lease is not None and _is_alive(lease) else None


@contextmanager
def driving(output: str, command: str) -> Iterator[None]:
    """Be the only driver of an output within the block.

    Raises:
        ArtifactError: another one works on it, or took it over.
    """
    folder = beside(output)
    path = storage.join(folder, LEASE)
    mine = {"token": uuid.uuid4().hex, "command": command, **_identity(), "beat": 0}
    _take(path, mine, output)
    is_over, is_lost = threading.Event(), threading.Event()
    heart = threading.Thread(
        target=_beat, args=(path, mine, is_over, is_lost), name="lease", daemon=True
    )
    heart.start()
    token = _folder.set(folder)
    _driven.append(output)
    try:
        yield
    finally:
        _driven.remove(output)
        _folder.reset(token)
        flush_logs()
        is_over.set()
        heart.join()
        if not is_lost.is_set():
            storage.remove(path)
    if is_lost.is_set():
        raise ArtifactError(
            f"{output}: another `curate` took this output over, because this one was not heard of "
            f"for {STALE_S:.0f} s. It goes on there; what is done is kept."
        )


def driven(command: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Make a function with the keywords `output` and `dry_run` the only driver of its output."""

    def wrap(function: Callable[..., Result]) -> Callable[..., Result]:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> Result:
            if options.get("dry_run"):
                return function(*arguments, **options)
            with told_when_full(options["output"]), driving(options["output"], command):
                return function(*arguments, **options)

        return run

    return wrap


def _identity() -> dict[str, Any]:
    return {"host": socket.gethostname(), "machine": _machine(), "pid": os.getpid(),
            "started": _start_of(os.getpid()), "time": time.time()}  # fmt: skip


def _machine() -> str:
    """Name what process ids belong to: this boot of this machine, and its namespace of them."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return socket.gethostname()
    return f"{boot.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"


def _start_of(pid: int) -> str | None:
    """Return when a process was started, so that another one of its number is not taken for it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _read(path: str) -> dict[str, Any] | None:
    try:
        lease = storage.read_json(path) if storage.exists(path) else None
    except (ArtifactError, FileNotFoundError):  # is being written, or was just removed
        return None
    return lease if isinstance(lease, dict) else None


def _is_alive(lease: dict[str, Any]) -> bool:
    if lease["machine"] != _machine():
        return bool(time.time() - lease["time"] < STALE_S)
    started = _start_of(lease["pid"])
    if lease["started"] is None:  # no /proc here
        return bool(time.time() - lease["time"] < STALE_S)
    return bool(started == lease["started"])


def _take(path: str, mine: dict[str, Any], output: str) -> None:
    found = _read(path)
    if found is not None:
        if _is_alive(found) or _beats(path, found):
            raise _held(output, found)
        storage.remove(path)
    if not storage.create_json(path, mine):
        raise _held(output, _read(path) or {})
    if found is not None or not storage.is_local(path):
        time.sleep(_SETTLE_S if storage.is_local(path) else _SETTLE_REMOTE_S)
        now = _read(path)
        if now is None or now["token"] != mine["token"]:
            raise _held(output, now or {})


def _beats(path: str, found: dict[str, Any]) -> bool:
    """Tell whether a lease of another machine that looks stale, by our clock, is renewed still."""
    if found["machine"] == _machine():
        return False
    time.sleep(1.5 * BEAT_S)
    now = _read(path)
    return now is not None and (now["token"], now["beat"]) != (found["token"], found["beat"])


def _held(output: str, lease: dict[str, Any]) -> ArtifactError:
    who = f"process {lease.get('pid', '?')} on {lease.get('host', 'another machine')}"
    return ArtifactError(
        f"{output}: `curate {lease.get('command', '')}` ({who}) works on it already. Wait for it "
        f"or stop it. A driver that died on another machine is given up after {STALE_S:.0f} s."
    )


def _beat(
    path: str, mine: dict[str, Any], is_over: threading.Event, is_lost: threading.Event
) -> None:
    """Renew the lease until the run is over; leave it alone once it is another's."""
    while not is_over.wait(BEAT_S):
        try:
            found = _read(path)
            if found is not None and found["token"] != mine["token"]:
                is_lost.set()
                return
            mine |= {"beat": mine["beat"] + 1, "time": time.time()}
            storage.write_json(path, mine)
        except Exception as error:  # a full disk, a busy store: the next beat may come through
            log(f"{path} could not be renewed, which is tried again: {error}")
