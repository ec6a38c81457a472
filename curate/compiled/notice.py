"""That something is being compiled, and for how long: told to whoever asked to be told.

Nothing here loads the compiler, so that asking costs nothing where nothing is compiled.
"""

from collections.abc import Callable

__all__ = ["add_seconds", "begin", "seconds_of_compiling", "tell_when_compiling"]

_tell: list[Callable[[str], None]] = []
_seconds = [0.0]


def tell_when_compiling(tell: Callable[[str], None] | None) -> None:
    """Have a sentence told when this process compiles for the first time; None for nobody."""
    _tell[:] = [tell] if tell else []


def begin(why: str, *, is_kept: bool) -> None:
    """Tell that compiling begins; once.

    Args:
        why: nothing that was shipped is used.
        is_kept: whether what is compiled is kept on disk.
    """
    while _tell:
        tell = _tell.pop()
        if is_kept:
            tell(f"compiling for this processor, once: about 30 s ({why})")
        else:
            tell(
                f"compiling for this processor: about 30 s ({why}). It cannot be kept, so every "
                "process does it again: there is no folder for it that can be written. Name one "
                "with NUMBA_CACHE_DIR"
            )


def add_seconds(seconds: float) -> None:
    """Add to how long this process has compiled."""
    _seconds[0] += seconds


def seconds_of_compiling() -> float:
    """Return how long this process has compiled so far, in seconds."""
    return _seconds[0]
