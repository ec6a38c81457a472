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
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.files.paths import beside
from curate.pipelines.executor.log import flush_logs
from curate.pipelines.store.swap import finish_swap, forget_next
from curate.pipelines.views.progress import log

__all__ = [
    "LEASE",
    "beside",
    "driven",
    "driven_outputs",
    "driving",
    "holder",
    "require_lease",
    "run_folder",
]

Result = TypeVar("Result")

LEASE = "lease.json"
BEAT_S = 10.0
# A driver of another machine that has not been heard of for so long is taken for dead.
STALE_S = 60.0
# Of two that take a dead driver's lease over at once, the one that is read after this has it.
_SETTLE_S = 0.2
_SETTLE_REMOTE_S = 1.0

# What an unreadable lease is taken for: all are published whole, so a machine died with it.
_NOBODYS = {"token": "", "machine": "", "pid": 0, "started": None, "time": 0.0, "beat": 0}


@dataclass(slots=True)
class _Lease:
    """The lease that this process has on an output.

    Attributes:
        renewed: when it was known to be ours; seconds since 1970, so that a sleep of the whole
            machine counts.
    """

    output: str
    path: str
    mine: dict[str, Any]
    renewed: float = field(default_factory=time.time)
    is_over: threading.Event = field(default_factory=threading.Event)
    is_lost: threading.Event = field(default_factory=threading.Event)

    def is_ours(self) -> bool:
        """Look whether it is still there; what is gone was taken over by one that is done."""
        if not _has(self.path, self.mine):
            self.is_lost.set()
        return not self.is_lost.is_set()

    def require(self) -> None:
        """Refuse to go on with an output that is another's now.

        Raises:
            ArtifactError: it was taken over.
        """
        if abs(time.time() - self.renewed) > STALE_S / 2 and self.is_ours():
            return  # asked again each time, until the heart beats again
        if self.is_lost.is_set():
            raise ArtifactError(
                f"{self.output}: another `curate` took this output over, because this one was not "
                f"heard of for {STALE_S:.0f} s. It goes on there; what is done is kept."
            )

    def beat(self) -> None:
        """Renew it until the run is over; leave it alone once it is another's."""
        while not self.is_over.wait(BEAT_S):
            try:
                if not self.is_ours():
                    return
                self.mine |= {"beat": self.mine["beat"] + 1, "time": time.time()}
                storage.write_json(self.path, self.mine)
                self.renewed = time.time()
            except Exception as error:  # a full disk, a busy store: the next may come through
                log(f"{self.path} could not be renewed, which is tried again: {error}")

    def give_back(self) -> None:
        """Remove it, unless it is another's; what was done is not lost for a lease that stays."""
        try:
            if self.is_ours():
                storage.remove(self.path)
        except Exception as error:
            log(f"{self.path} could not be removed; it ends after {STALE_S:.0f} s: {error}")


_folder: ContextVar[str | None] = ContextVar("run_folder", default=None)
_held: ContextVar[tuple[_Lease, ...]] = ContextVar("leases", default=())
_driven: list[str] = []


def driven_outputs() -> list[str]:
    """Return the outputs that this process works on now."""
    return list(_driven)


def require_lease() -> None:
    """Refuse to go on where another driver has taken over what is worked on.

    Raises:
        ArtifactError: one has, because this process was stopped for a while, or cut off.
    """
    for lease in _held.get():
        lease.require()


def run_folder() -> str | None:
    """Return the folder beside the output that is worked on now; None outside of `driving`."""
    return _folder.get()


def holder(output: str) -> dict[str, Any] | None:
    """Return the lease of the driver that works on an output now, None if none does."""
    lease = _read(storage.join(beside(output), LEASE))
    return lease if lease is not None and _is_alive(lease) else None


@contextmanager
def driving(output: str, command: str) -> Iterator[None]:
    """Be the only driver of an output within the block.

    At its end what workers that were killed had begun to write is removed.

    Raises:
        ArtifactError: another one works on it, or took it over.
        DiskSpaceError: the disk is full.
    """
    with told_when_full(output), _driving(output, command):
        yield


@contextmanager
def _driving(output: str, command: str) -> Iterator[None]:
    folder = beside(output)
    path = storage.join(folder, LEASE)
    mine = {"token": uuid.uuid4().hex, "command": command, **_identity(), "beat": 0}
    new = _missing_folders(folder)
    _take(path, mine, output)
    lease = _Lease(output, path, mine)
    heart = threading.Thread(target=lease.beat, name="lease", daemon=True)
    heart.start()
    tokens = _folder.set(folder), _held.set((*_held.get(), lease))
    _driven.append(output)
    try:
        finish_swap(output)  # that a driver which died had begun
        yield
        lease.require()
        storage.remove_leftovers(output)
        new.clear()  # only a command that failed leaves nothing of what it made
    finally:
        _driven.remove(output)
        _folder.reset(tokens[0])
        _held.reset(tokens[1])
        lease.is_over.set()
        heart.join()
        flush_logs()
        lease.give_back()
        _remove_empty(new)
    lease.require()


def _missing_folders(folder: str) -> list[Path]:
    """Return the local folders that are to be made for a folder, itself first."""
    if not storage.is_local(folder):
        return []
    path = Path(os.path.abspath(storage.local_path(folder)))
    return [one for one in (path, *path.parents) if not one.exists()]


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, as long as they are empty: of a command that failed."""
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:  # something is in it, of this command or of another one
            return


def driven(command: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Make a function with the keywords `output` and `dry_run` the only driver of its output."""

    def wrap(function: Callable[..., Result]) -> Callable[..., Result]:
        @wraps(function)
        def run(*arguments: Any, **options: Any) -> Result:
            if options.get("dry_run"):
                return function(*arguments, **options)
            with driving(options["output"], command):
                if not options.get("overwrite"):
                    forget_next(options["output"])
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
    """Return a lease, None where there is none."""
    try:
        lease = storage.read_json(path)
    except InputError:
        return None
    except ArtifactError:
        return _NOBODYS
    return lease if all(_is_alike(lease.get(k, ...), v) for k, v in _NOBODYS.items()) else _NOBODYS


def _is_alike(found: Any, usual: Any) -> bool:
    """Tell whether a value of a lease has the type that it has in ours."""
    if usual is None:
        return found is None or isinstance(found, str)
    kinds = (int, float) if isinstance(usual, float) else type(usual)
    return isinstance(found, kinds) and not isinstance(found, bool)


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
            raise _refused(output, found)
        if (now := _read(path)) is not None and now["token"] != found["token"]:
            raise _refused(output, now)
        storage.remove(path)
    # Of a request that was answered too late and sent again, the first may have written ours.
    if not storage.create_json(path, mine) and not _has(path, mine):
        raise _refused(output, _read(path) or {})
    if found is not None or not storage.is_local(path):
        time.sleep(_SETTLE_S if storage.is_local(path) else _SETTLE_REMOTE_S)
        if not _has(path, mine):
            raise _refused(output, _read(path) or {})


def _has(path: str, mine: dict[str, Any]) -> bool:
    found = _read(path)
    return found is not None and bool(found["token"] == mine["token"])


def _beats(path: str, found: dict[str, Any]) -> bool:
    """Tell whether a lease of another machine that looks stale, by our clock, is renewed still."""
    if found["machine"] == _machine():
        return False
    time.sleep(1.5 * BEAT_S)
    now = _read(path)
    return now is not None and (now["token"], now["beat"]) != (found["token"], found["beat"])


def _refused(output: str, lease: dict[str, Any]) -> ArtifactError:
    who = f"process {lease.get('pid', '?')} on {lease.get('host', 'another machine')}"
    return ArtifactError(
        f"{output}: `curate {lease.get('command', '')}` ({who}) works on it already. Wait for it "
        f"or stop it. A driver that died on another machine is given up after {STALE_S:.0f} s."
    )
