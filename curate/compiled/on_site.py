"""Kernels compiled where they are used, by numba: kept on disk, counted, and said.

Used where nothing was shipped for the processor, where a kernel's source is not the one that the
shipped code is of, and for arguments of kinds that nothing was shipped for.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

import numba
from numba.core import event

from curate.compiled.kept import KeptCode
from curate.compiled.notice import add_seconds, begin, cannot_keep
from curate.compiled.shipped import shipped, source_digest

__all__ = ["kept_on_disk"]


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
        cannot_keep("there is no folder for it that can be written")
        return _without_literals(numba.njit(nogil=True, error_model="numpy")(function))
    kept, usual = dispatcher._cache, dispatcher._cache.save_overload
    made_from = (numba.__version__, kept._impl.locator.get_source_stamp(), source_digest())
    kept._cache_file = KeptCode(kept.cache_path, kept._impl.filename_base, repr(made_from))
    kept.save_overload = lambda sig, data: _unless_full(usual, sig, data)
    return _without_literals(dispatcher)


def _unless_full(save: Callable[..., Any], sig: Any, data: Any) -> None:
    """Keep what was compiled; where the disk is full it is used, and told that it is not kept."""
    try:
        save(sig, data)
    except OSError as error:
        cannot_keep(error.strerror or str(error))


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


class _Watch(event.Listener):
    """Measures how long this process compiles, and has it told when it begins.

    numba compiles one function at a time, and within it those that it calls.
    """

    def __init__(self) -> None:
        self._depth, self._start = 0, 0.0

    def on_start(self, event: Any) -> None:
        """Begin with the outermost function."""
        del event
        if self._depth == 0:
            self._start = perf_counter()
            why = shipped().why_not or "what it is asked for is not in the code that was shipped"
            begin(why)
        self._depth += 1

    def on_end(self, event: Any) -> None:
        """Add the time up with the outermost function."""
        del event
        self._depth -= 1
        if self._depth == 0:
            add_seconds(perf_counter() - self._start)


_watch = _Watch()
cast(Any, event.register)("numba:compile", _watch)
