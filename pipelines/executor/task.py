"""What a worker does with a task, wherever it runs: set up once, try, write it into its log."""

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from curate.compiled.notice import seconds_of_compiling
from curate.errors import CurateError
from curate.files.remedies import Called, in_force_again
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.executor.log import WorkerLog
from curate.pipelines.executor.overlap import StoppedError

__all__ = ["Failure", "Work", "perform", "perform_here", "task_name"]

_FIRST_WAIT_S = 1.0
_WAIT_AT_MOST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all tasks of a run have in common; picklable where its functions are.

    Attributes:
        function: takes what `setup` made, and a task.
        setup: makes what all tasks of a worker share.
        arguments: of `setup`.
        key: of this run; a worker that gets another one sets up anew.
        log_folder: of the logs of workers; None to write none.
        retries: how often a task is tried again after a fault that may have passed.
        working_folder: that relative paths mean.
        called: command and options that what is suggested in messages has.
    """

    function: Callable[[Any, Any], Any]
    setup: Callable[..., Any]
    arguments: tuple[Any, ...]
    key: str
    log_folder: str | None
    retries: int
    working_folder: str
    called: Called = Called()

    @property
    def stage(self) -> str:
        """Name of the function, for logs."""
        return str(getattr(self.function, "__name__", self.function))


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of ours as a value, which any executor carries home unchanged."""

    error: CurateError

    def __reduce__(self) -> tuple[Any, ...]:
        """Take the error apart: `pickle` would make it with its message for all its arguments."""
        return _failure, (type(self.error), self.error.args, self.error.__dict__)


def _failure(kind: type[CurateError], args: tuple[Any, ...], values: dict[str, Any]) -> Failure:
    error = kind.__new__(kind, *args)
    error.__dict__.update(values)
    return Failure(error)


_state: tuple[str, Any] = ("", None)


def perform_here(work: Work, number: int, task: Any) -> Any:
    """Do a task in this process, which keeps what `setup` made for the next one; never raises ours.

    Returns:
        What the function returns, or a `Failure`.
    """
    global _state
    try:
        if _state[0] != work.key:
            if os.path.isdir(work.working_folder):
                os.chdir(work.working_folder)
            with in_force_again(work.called):
                _state = (work.key, work.setup(*work.arguments))
        return perform(work, _state[1], number, task)
    except CurateError as error:
        return Failure(error)


def task_name(number: int, task: Any) -> int:
    """Return the number that a task goes by: its own if it begins with one, else its place.

    >>> task_name(0, 7), task_name(0, (8, "x")), task_name(9, "x")
    (7, 8, 9)
    """
    first = task[0] if isinstance(task, tuple) and task else task
    return first if isinstance(first, int) else number


def perform(work: Work, state: Any, number: int, task: Any) -> Any:
    """Do a task, again if a fault may have passed, and write begin and end into the log."""
    log = WorkerLog.of(work.log_folder)
    about = {"run": work.key, "stage": work.stage, "part": task_name(number, task)}
    for attempt in range(work.retries + 1):
        log.write("start", **about, attempt=attempt)
        start, compiled_before = time.perf_counter(), seconds_of_compiling()
        try:
            with in_force_again(work.called):
                result = work.function(state, task)
        except StoppedError:
            log.write("stopped", **about)
            raise
        except Exception as error:
            seconds = round(time.perf_counter() - start, 3)
            is_last = attempt == work.retries or not is_transient(error)
            event = "failed" if is_last else "retry"
            log.write(event, **about, seconds=seconds, error=_in_a_line(error))
            if is_last:
                raise
            time.sleep(min(_FIRST_WAIT_S * 2**attempt, _WAIT_AT_MOST_S))
        else:
            seconds = round(time.perf_counter() - start, 3)
            compiling = round(seconds_of_compiling() - compiled_before, 3)
            of_compiling = {"compiling_s": compiling} if compiling else {}
            log.write("done", **about, seconds=seconds, **of_compiling, **_figures(result))
            return result
    raise AssertionError("the last attempt returns or raises")


def _in_a_line(error: Exception) -> str:
    return traceback.format_exception_only(error)[-1].strip()[:500]


def _figures(result: Any) -> dict[str, Any]:
    last = result[-1] if isinstance(result, tuple) and result else result
    figures = getattr(last, "log_figures", None)
    return dict(figures()) if figures is not None else {}
