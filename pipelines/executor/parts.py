"""Run a function over many parts and yield results as they come: here, on Ray or on Slurm.

Threads are for work that compiled code does, which lets go of the interpreter: they start at once
and share the models and indices. Processes are for work that Python itself does.

Results never depend on the number of workers: a part's output is a function of the part, and
whoever gathers results only adds them up.
"""

import os
import threading
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from curate.errors import CurateError
from curate.files.processes import until_interrupted, worker_pool
from curate.files.remedies import called
from curate.files.storage import join
from curate.pipelines.executor.blas import one_blas_thread
from curate.pipelines.executor.cluster import LOCAL, Cluster, current_cluster
from curate.pipelines.executor.lease import require_lease, run_folder
from curate.pipelines.executor.log import WorkerLog
from curate.pipelines.executor.overlap import stop_with
from curate.pipelines.executor.ray import run_on_ray
from curate.pipelines.executor.slurm import run_on_slurm
from curate.pipelines.executor.task import Failure, Work, perform, perform_here

__all__ = ["run_parts"]

State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")


def run_parts(
    function: Callable[[State, Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    setup: Callable[..., State],
    arguments: tuple[Any, ...],
    threads: bool = False,
    anywhere: bool = False,
) -> Iterator[Result]:
    """Yield ``function(setup(*arguments), task)`` of every task, in any order.

    Args:
        function: importable by name.
        tasks: small and picklable.
        workers: processes, threads or jobs at once; 1 runs everything in this process, unless
            `use_cluster` says otherwise.
        setup: makes what all calls of a worker share; called once in each process.
        arguments: of `setup`.
        threads: on this machine, share the work out to threads, which share what `setup` made.
        anywhere: other machines may do it, if `use_cluster` says so: results are all that comes
            back, and what is read and written has the same path everywhere.

    Raises:
        ArtifactError: another driver has taken over the output.
        CurateError: a worker process died; or whatever `function` raises.
    """
    if not tasks:
        return
    require_lease()
    cluster = current_cluster() if anywhere else LOCAL
    folder = run_folder()
    work = Work(
        function=function,
        setup=setup,
        arguments=arguments,
        key=uuid.uuid4().hex,
        log_folder=join(folder, "log") if folder else None,
        retries=cluster.retries,
        working_folder=os.getcwd(),
        called=called(),
    )
    WorkerLog.of(work.log_folder).write(
        "plan", run=work.key, stage=work.stage, parts=len(tasks), executor=cluster.kind
    )
    with closing(_results(work, tasks, cluster, workers, threads, folder)) as results:
        for result in results:
            require_lease()
            yield result


def _results(
    work: Work,
    tasks: Sequence[Any],
    cluster: Cluster,
    workers: int,
    threads: bool,
    folder: str | None,
) -> Generator[Any, None, None]:
    if cluster.kind == "ray":
        yield from run_on_ray(work, tasks, cluster, workers)
    elif cluster.kind == "slurm":
        beside = join(folder, "slurm") if folder else None
        yield from run_on_slurm(work, tasks, cluster, workers, beside)
    elif workers <= 1 or len(tasks) <= 1:
        state = work.setup(*work.arguments)
        yield from (perform(work, state, *item) for item in enumerate(tasks))
    elif threads:
        shared = work.setup(*work.arguments)
        yield from _in_threads(partial(perform, work, shared), tasks, workers)
    else:
        yield from _in_processes(partial(perform_here, work), tasks, workers)


def _in_processes(
    function: Callable[[int, Any], Any], tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    pool = worker_pool(min(workers, len(tasks)))
    try:
        for result in _bounded(pool, partial(until_interrupted, function), tasks, workers):
            if isinstance(result, Failure):
                raise result.error
            yield result
    except BrokenProcessPool as error:
        raise CurateError(
            "a worker process died: memory ran out most often, and where something else ended it, "
            "that stands on standard error. What is done is kept: run the same command again, "
            "with fewer --workers if it repeats."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_threads(
    function: Callable[[int, Any], Any], tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    """Yield results; where the consumer stops or a part fails, end the others' parts early."""
    is_over = threading.Event()
    with (
        one_blas_thread(),
        ThreadPoolExecutor(
            min(workers, len(tasks)), initializer=stop_with, initargs=(is_over,)
        ) as executor,
    ):
        try:
            yield from _bounded(executor, function, tasks, workers)
        finally:
            is_over.set()
            executor.shutdown(wait=True, cancel_futures=True)


def _bounded(
    pool: Executor, function: Callable[[int, Any], Any], tasks: Sequence[Any], workers: int
) -> Iterator[Any]:
    """Keep two tasks per worker in flight, so that a million tasks are not a million futures."""
    waiting = iter(enumerate(tasks))
    pending = {pool.submit(function, *item) for item in islice(waiting, 2 * workers)}
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for item in islice(waiting, len(done)):
            pending.add(pool.submit(function, *item))
        for future in done:
            yield future.result()
