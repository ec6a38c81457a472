"""That something is being compiled, and for how long: told to whoever asked to be told.

Nothing here loads the compiler, so that asking costs nothing where nothing is compiled.
"""

from collections.abc import Callable

__all__ = [
    "add_seconds", "begin", "cannot_keep", "seconds_of_compiling", "tell_when_compiling",
    "why_not_kept",
]  # fmt: skip

_tell: list[Callable[[str], None]] = []
_is_told: set[str] = set()
_seconds = [0.0]
_not_kept: list[str] = []


def tell_when_compiling(tell: Callable[[str], None] | None) -> None:
    """Have a sentence told when this process compiles for the first time; None for nobody."""
    _tell[:] = [tell] if tell else []
    _is_told.clear()


def begin(why: str) -> None:
    """Tell that compiling begins; once.

    Args:
        why: nothing that was shipped is used.
    """
    if not _not_kept:
        _once("begins", f"compiling for this processor, once: about 30 s ({why})")
        return
    _is_told.add("not kept")
    _once(
        "begins",
        f"compiling for this processor: about 30 s ({why}). It cannot be kept, so every process "
        f"does it again: {_not_kept[0]}. Name one with NUMBA_CACHE_DIR",
    )


def cannot_keep(why: str) -> None:
    """Note that what is compiled is not kept on disk, and tell it once if compiling was told of."""
    _not_kept.append(why)
    if "begins" in _is_told:
        _once(
            "not kept",
            f"what was compiled cannot be kept ({why}), so every process does it again. Name a "
            "folder with NUMBA_CACHE_DIR",
        )


def _once(what: str, sentence: str) -> None:
    if what not in _is_told:
        _is_told.add(what)
        for tell in _tell:
            tell(sentence)


def why_not_kept() -> str:
    """Return why something that this process compiled is not kept on disk; "" if all is."""
    return _not_kept[0] if _not_kept else ""


def add_seconds(seconds: float) -> None:
    """Add to how long this process has compiled."""
    _seconds[0] += seconds


def seconds_of_compiling() -> float:
    """Return how long this process has compiled so far, in seconds."""
    return _seconds[0]
