"""A function over many tasks, in processes that end when their parent does, or when told to.

`multiprocessing` lets a spawned process import its parent's main module, for functions that are
defined there. A script without ``if __name__ == "__main__":`` would begin anew in each. Nothing of
ours is looked for in a main module, so the processes of `spawn_context` leave it alone.
"""

import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import popen_spawn_posix, spawn
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from curate.errors import CurateError

__all__ = ["in_processes", "locked", "spawn_context", "until_interrupted", "worker_pool"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_INTERRUPTED = 130
_LAUNCHING = threading.Lock()


def in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Iterator[Result]:
    """Yield the function's results, in any order.

    Args:
        function: importable by name.
        tasks: picklable.
        workers: processes; 1 does everything in this one.

    Raises:
        CurateError: a process died; or whatever the function raises.
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from map(function, tasks)
        return
    pool = worker_pool(min(workers, len(tasks)))
    try:
        futures: list[Future[Result]] = [
            pool.submit(partial(until_interrupted, function), task) for task in tasks
        ]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise CurateError(
            "a process that counts words died: memory ran out most often, and where something "
            "else ended it, that stands on standard error. What is counted is kept: run the same "
            "command again, with less --memory if it repeats."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of processes that end with their parent, and at SIGINT or SIGTERM.

    Tasks are to be run by `until_interrupted`.
    """
    return ProcessPoolExecutor(workers, spawn_context(), _begin)


def spawn_context() -> SpawnContext:
    """Return a context whose processes start afresh and import no main module of the caller."""
    return _Context()


class _Popen(popen_spawn_posix.Popen):
    def _launch(self, process_obj: BaseProcess) -> None:
        with _told_of_no_main():
            super()._launch(process_obj)  # type: ignore[misc]


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> _Popen:  # noqa: N802 (multiprocessing calls it so)
        return _Popen(process_obj)


class _Context(SpawnContext):
    Process = _Process


@contextmanager
def _told_of_no_main() -> Iterator[None]:
    """Keep the main module from the processes that this thread starts meanwhile."""
    thread = threading.get_ident()
    with _LAUNCHING:
        told = spawn.get_preparation_data

        def without_main(name: str) -> dict[str, Any]:
            values: dict[str, Any] = told(name)
            if threading.get_ident() != thread:
                return values
            return {k: v for k, v in values.items() if not k.startswith("init_main_from_")}

        spawn.get_preparation_data = without_main
        try:
            yield
        finally:
            spawn.get_preparation_data = told


def until_interrupted(function: Callable[..., Result], *arguments: Any) -> Result:
    """Do a task in a worker; if a signal ends it, end the process too, or the next would begin."""
    try:
        return function(*arguments)
    except SystemExit:  # of `_end`: by now the task has removed what it had begun
        os._exit(_INTERRUPTED)


def _begin() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _end(_signal: int, _frame: object) -> None:
    """End without a traceback, as a worker that waits for a task should; further signals are idle.

    A terminal sends an interrupt to parent and workers, and the parent passes SIGTERM on.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(_INTERRUPTED)


def _exit_with(sentinel: int) -> None:
    """End this process when its parent is gone; otherwise it would wait for work for ever."""
    wait([sentinel])
    os._exit(1)


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Wait until no other process or thread of this machine holds a local file's lock; hold it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
