"""How long work shows itself: messages to the logger `curate`, and bars where somebody looks.

As a library this package says nothing by itself: who wants messages gives the logger a handler.
Bars are drawn in notebooks, and on a terminal if the program in front of it asks for them, as the
command line does (`shown_on_terminal`).
"""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from curate.compiled.notice import tell_when_compiling
from curate.files.addresses import hide_secrets
from curate.pipelines.views.terminal import inert_lines

__all__ = ["bar", "log", "progress", "shown_on_terminal"]

Item = TypeVar("Item")

_SECONDS_BETWEEN_LINES = 30.0

_logger = logging.getLogger("curate")
_logger.addHandler(logging.NullHandler())
_is_terminal: ContextVar[bool] = ContextVar("is_terminal", default=False)


def log(message: str, *, quiet: bool = False) -> None:
    """Tell whoever listens to the logger `curate`."""
    if not quiet:
        _logger.info("%s", hide_secrets(message))


class _ToStderr(logging.Handler):
    """Writes each message as a line to what is stderr at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{inert_lines(record.getMessage())}\n")


@contextmanager
def shown_on_terminal() -> Iterator[None]:
    """Within the block, messages are lines on stderr, and bars are drawn if that is a terminal."""
    if _is_terminal.get():
        yield
        return
    handler, before = _ToStderr(), (_logger.level, _logger.propagate)
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False
    token = _is_terminal.set(True)
    tell_when_compiling(log)
    try:
        yield
    finally:
        tell_when_compiling(None)
        _is_terminal.reset(token)
        _logger.removeHandler(handler)
        _logger.setLevel(before[0])
        _logger.propagate = before[1]


def _in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def bar(*, quiet: bool, **options: Any) -> Any:
    """Return a tqdm bar with the options if somebody looks at it, else None."""
    if quiet:
        return None
    if _in_notebook():
        from tqdm.auto import tqdm
    elif _is_terminal.get() and sys.stderr.isatty():
        from tqdm import tqdm

        options = {"dynamic_ncols": True, **options}
    else:
        return None
    return tqdm(**options)


def progress(
    items: Iterable[Item], *, total: int, label: str, unit: str, quiet: bool
) -> Iterator[Item]:
    """Yield the items and show how many of them have gone by."""
    shown = bar(quiet=quiet, iterable=items, total=total, desc=label, unit=unit)
    if shown is not None:
        yield from shown
    elif quiet:
        yield from items
    else:
        yield from _with_lines(items, total, label, unit)


def _with_lines(items: Iterable[Item], total: int, label: str, unit: str) -> Iterator[Item]:
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log(f"{label}: {done} of {total} {unit}s")
