"""How many threads numpy's matrix products take: one each, while threads of ours compute them.

OpenBLAS lets one caller at a time have its threads, and the others spin until they are free: two
of ours with two of its take five times the processor's time of one each. What is no OpenBLAS is
left as it is; products are the same either way.

threadpoolctl (3.8.0) does not serve: a limit that is left in another thread than it was set in, or
that overlaps with one of another thread, stays or ends too early.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["blas_threads", "one_blas_thread"]

_NAMES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")
_lock = threading.Lock()
_users = 0
_before = 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Have matrix products take one thread, until no one wants it any more."""
    global _users, _before
    set_num = _function("set_num_threads")
    if set_num is None:
        yield
        return
    with _lock:
        if not _users:
            _before = blas_threads() or 1
            set_num(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                set_num(_before)


def blas_threads() -> int | None:
    """Return how many threads a matrix product may take; None if that is not known."""
    get_num = _function("get_num_threads")
    return None if get_num is None else int(get_num())


@cache
def _function(name: str) -> Callable[..., Any] | None:
    """Return a function of the OpenBLAS that numpy stands on; None if it has another library."""
    library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    found = (getattr(library, one.format(name), None) for one in _NAMES)
    return next((one for one in found if one is not None), None)
