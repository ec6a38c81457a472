"""A function over many tasks, in processes that end when their parent does, or when told to."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.connection import wait
from typing import Any, TypeVar

from curate.errors import CurateError

__all__ = ["in_processes", "until_interrupted", "worker_pool"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_INTERRUPTED = 130


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
            "a process that counts words died, most often because memory ran out. What is counted "
            "is kept: run the same command again, with less --memory if it repeats."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Return a pool of processes that end with their parent, and at SIGINT or SIGTERM.

    Tasks are to be run by `until_interrupted`.
    """
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)


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
