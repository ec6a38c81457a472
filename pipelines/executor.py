"""Run a function over many parts, in this process or in several, and yield results as they come.

Results never depend on the number of workers: a part's output is a function of the part, and
whoever gathers results only adds them up.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from metadata.errors import CurateError

__all__ = ["run_parts"]

State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")

_state: Any = None


def _start_worker(setup: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _state
    _state = setup(*arguments)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _exit_with(sentinel: int) -> None:
    """End this worker when its parent is gone; otherwise it would wait for work for ever."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _call(function: Callable[[Any, Any], Any], task: Any) -> Any:
    return function(_state, task)


def run_parts(
    function: Callable[[State, Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    setup: Callable[..., State],
    arguments: tuple[Any, ...],
) -> Iterator[Result]:
    """Yield ``function(setup(*arguments), task)`` of every task, in any order.

    Args:
        function: importable by name.
        tasks: small and picklable.
        workers: processes; 1 runs everything in this one.
        setup: makes what all calls of a worker share; called once in each.
        arguments: of `setup`.

    Raises:
        CurateError: a worker process died; or whatever `function` raises.
    """
    if workers <= 1 or len(tasks) <= 1:
        if tasks:
            state = setup(*arguments)
            yield from (function(state, task) for task in tasks)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)),
        multiprocessing.get_context("spawn"),
        _start_worker,
        (setup, arguments),
    )
    try:
        yield from _bounded(pool, function, tasks, workers)
    except BrokenProcessPool as error:
        raise CurateError(
            "a worker process died, most often because memory ran out. What is done is kept: "
            "run the same command again, with fewer --workers if it repeats."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _bounded(
    pool: ProcessPoolExecutor, function: Any, tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    """Keep two tasks per worker in flight, so that a million tasks are not a million futures."""
    waiting = iter(tasks)
    pending = {pool.submit(_call, function, task) for task in islice(waiting, 2 * workers)}
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for task in islice(waiting, len(done)):
            pending.add(pool.submit(_call, function, task))
        for future in done:
            yield future.result()
