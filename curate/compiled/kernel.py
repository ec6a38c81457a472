"""Decorators of functions that become machine code: whole kernels, and what they are made of.

A `Kernel` is called from Python. Where this package has machine code for the processor and for the
kinds of its arguments, that is called; everywhere else numba compiles the function, as it does with
the functions that a kernel calls. The source is one and the same.
"""

from collections.abc import Callable
from functools import cached_property, update_wrapper
from types import FunctionType
from typing import Any

from curate.compiled.shipped import Routine, kind_of, shipped_routines

__all__ = ["KERNELS", "Inlined", "Intrinsic", "Kernel", "compiled", "inlined", "intrinsic"]

KERNELS: dict[str, "Kernel"] = {}  # by name: every one whose module was loaded


class Kernel:
    """A compiled function that Python and other compiled functions call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._routines: dict[tuple[str, ...], Routine] | None = None

    def __call__(self, *args: Any) -> Any:
        """Call the machine code for arguments of these kinds; compile it where there is none."""
        if self._routines is None:
            self._routines = shipped_routines(self.name)
        if self._routines:
            routine = self._routines.get(tuple(map(kind_of, args)))
            if routine is not None:
                return routine(args)
        return self.made(*args)

    @cached_property
    def made(self) -> Any:
        """What numba makes of it: nothing is compiled before this is called."""
        from curate.compiled.on_site import kept_on_disk

        return kept_on_disk(_with_made_globals(self.function))


class Inlined:
    """A small function that stands in the machine code of its callers."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any) -> Any:
        """Compute it by itself, which only tests do."""
        return self.made(*args)

    @cached_property
    def made(self) -> Any:
        """What numba makes of it."""
        import numba

        of_globals = _with_made_globals(self.function)
        return numba.njit(forceinline=True, error_model="numpy")(of_globals)


class Intrinsic:
    """A function of compiled code that says which machine instructions it is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.function = function

    def __call__(self, *_args: Any) -> Any:
        """Refuse: it is a part of compiled code alone."""
        raise TypeError(f"{self.function.__name__} can only be called in compiled code")

    @cached_property
    def made(self) -> Any:
        """What numba makes of it."""
        import numba

        return numba.extending.intrinsic(self.function)


def compiled(function: Callable[..., Any]) -> Any:
    """Make a function a kernel."""
    kernel = Kernel(function)
    KERNELS[kernel.name] = kernel
    return kernel


def inlined(function: Callable[..., Any]) -> Any:
    """Make a function a part of every kernel that calls it."""
    return Inlined(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make a function, which takes a typing context and types, an instruction of kernels."""
    return Intrinsic(function)


def _with_made_globals(function: Any) -> Any:
    """Return a function that sees what numba makes of ours in the place of ours."""
    names: dict[str, Any] = dict(function.__globals__)
    for name in function.__code__.co_names:
        if isinstance(names.get(name), Kernel | Inlined | Intrinsic):
            names[name] = names[name].made
    made = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    made.__doc__, made.__annotations__ = function.__doc__, function.__annotations__
    return made
