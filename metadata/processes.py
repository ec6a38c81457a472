"""A function over many tasks, in processes that end when their parent does."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from metadata.errors import CurateError

__all__ = ["in_processes"]

Task = TypeVar("Task")
Result = TypeVar("Result")


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
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _watch_parent)
    try:
        futures: list[Future[Result]] = [pool.submit(function, task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise CurateError(
            "a process that counts words died, most often because memory ran out. What is counted "
            "is kept: run the same command again, with less --memory if it repeats."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _exit_with(sentinel: int) -> None:
    """End this process when its parent is gone; otherwise it would wait for work for ever."""
    wait([sentinel])
    os._exit(1)
