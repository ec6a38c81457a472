"""Run a function over many parts, in threads or processes, and yield results as they come.

Threads are for work that compiled code does, which lets go of the interpreter: they start at once
and share the models and indices. Processes are for work that Python itself does.

Results never depend on the number of workers: a part's output is a function of the part, and
whoever gathers results only adds them up.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from metadata.errors import CurateError
from pipelines.overlap import stop_with

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
    threads: bool = False,
) -> Iterator[Result]:
    """Yield ``function(setup(*arguments), task)`` of every task, in any order.

    Args:
        function: importable by name.
        tasks: small and picklable.
        workers: processes or threads; 1 runs everything in this one.
        setup: makes what all calls of a worker share; called once in each process.
        arguments: of `setup`.
        threads: share the work out to threads, which share what `setup` made.

    Raises:
        CurateError: a worker process died; or whatever `function` raises.
    """
    if workers <= 1 or len(tasks) <= 1:
        if tasks:
            state = setup(*arguments)
            yield from (function(state, task) for task in tasks)
        return
    if threads:
        yield from _in_threads(partial(function, setup(*arguments)), tasks, workers)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)),
        multiprocessing.get_context("spawn"),
        _start_worker,
        (setup, arguments),
    )
    try:
        yield from _bounded(pool, partial(_call, function), tasks, workers)
    except BrokenProcessPool as error:
        raise CurateError(
            "a worker process died, most often because memory ran out. What is done is kept: "
            "run the same command again, with fewer --workers if it repeats."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_threads(
    function: Callable[[Any], Any], tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    """Yield results; where the consumer stops or a part fails, end the others' parts early."""
    is_over = threading.Event()
    with ThreadPoolExecutor(
        min(workers, len(tasks)), initializer=stop_with, initargs=(is_over,)
    ) as executor:
        try:
            yield from _bounded(executor, function, tasks, workers)
        finally:
            is_over.set()
            executor.shutdown(wait=True, cancel_futures=True)


def _bounded(
    pool: Executor, function: Callable[[Any], Any], tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    """Keep two tasks per worker in flight, so that a million tasks are not a million futures."""
    waiting = iter(tasks)
    pending = {pool.submit(function, task) for task in islice(waiting, 2 * workers)}
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for task in islice(waiting, len(done)):
            pending.add(pool.submit(function, task))
        for future in done:
            yield future.result()
