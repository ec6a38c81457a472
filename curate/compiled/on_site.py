"""Kernels compiled where they are used, by numba: kept on disk, counted, and said.

Used where nothing was shipped for the processor, where a kernel's source is not the one that the
shipped code is of, and for arguments of kinds that nothing was shipped for.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
from numba.core import event

from curate.compiled.shipped import source_digest

__all__ = ["kept_on_disk", "seconds_of_compiling", "when_compiling"]


def kept_on_disk(function: Callable[..., Any]) -> Any:
    """Have a function compiled when it is first called, and its machine code kept on disk.

    numba looks at a function's own file to tell whether what it kept is still true; what is
    compiled here calls functions of other files, so all of them count. Where no cache can be
    written (a read-only installation without a home), every process compiles anew;
    NUMBA_CACHE_DIR names a place.
    """
    try:
        dispatcher: Any = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        _watch.has_no_cache = True
        return _without_literals(numba.njit(nogil=True, error_model="numpy")(function))
    kept = dispatcher._cache._cache_file
    kept._source_stamp = (kept._source_stamp, source_digest())
    return _without_literals(dispatcher)


def _without_literals(dispatcher: Any) -> Any:
    """Have a variable that begins as a constant passed as the number that it becomes.

    While numba infers types, such an argument is a literal at first: the function, and all that it
    calls, would be compiled for it, never run, and compiled again for a number.
    """
    of_types, plain = dispatcher.get_call_template, cast(Any, numba.types.unliteral)

    def of_numbers(args: Any, kws: Any) -> Any:
        return of_types(tuple(map(plain, args)), {name: plain(kws[name]) for name in kws})

    dispatcher.get_call_template = of_numbers
    return dispatcher


class _Watch(event.TimingListener):
    """Measures how long this process compiles, and says so when it begins."""

    has_no_cache = False
    tell: Callable[[bool], None] | None = None

    def on_start(self, event: Any) -> None:
        """Begin with the outermost function; numba compiles one at a time."""
        super().on_start(event)
        tell, self.tell = self.tell, None
        if tell is not None:
            tell(self.has_no_cache)


_watch = _Watch()
event.register("numba:compile", _watch)


def when_compiling(tell: Callable[[bool], None]) -> None:
    """Have it told once that something is compiled: `tell` gets whether it cannot be kept."""
    _watch.tell = tell


def seconds_of_compiling() -> float:
    """Return how long this process has compiled so far."""
    return float(_watch.duration) if _watch.done else 0.0
