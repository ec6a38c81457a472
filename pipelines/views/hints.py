"""Commands that messages suggest, so that they can be pasted: with the options in force.

The API notes what it was called with (`in_force`); whoever suggests a command asks for it here. The
same command carries all of its options, another one the folders that it shares.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["in_force", "suggest"]

_NEVER = ("overwrite", "dry_run", "quiet")
_SHARED = {
    "metadata": ("match", "explain", "retract"),
    "matched": ("balance", "card", "yield", "explain", "retract"),
    "balanced": ("card", "download", "explain", "retract"),
}

_called: ContextVar[tuple[str, tuple[str, ...], Mapping[str, Any]]] = ContextVar(
    "called", default=("", (), {})
)


@contextmanager
def in_force(command: str, words: tuple[str, ...], options: Mapping[str, Any]) -> Iterator[None]:
    """Note within the block what a command was called with.

    Args:
        command: such as ``balance``.
        words: its arguments.
        options: by their names in Python, those that were given and are not the default.
    """
    token = _called.set((command, words, options))
    try:
        yield
    finally:
        _called.reset(token)


def suggest(command: str, *words: str) -> str:
    """Return a command line that somebody can paste.

    Args:
        command: such as ``balance``.
        words: arguments and options that it is to have.

    >>> suggest("build-metadata", "--lang", "de")
    'curate build-metadata --lang de'
    >>> with in_force("balance", (), {"t": "20k", "workspace": "my data"}):
    ...     suggest("balance", "--overwrite"), suggest("yield")
    ("curate balance --t 20k -w 'my data' --overwrite", "curate yield -w 'my data'")
    """
    called, arguments, options = _called.get()
    line = ["curate", command]
    if command == called:
        line += [*arguments, *_words({k: v for k, v in options.items() if k not in _NEVER}, words)]
    else:
        kept = {name: options[name] for name, users in _SHARED.items()
                if name in options and command in users}  # fmt: skip
        kept |= {name: value for name, value in options.items() if name == "workspace"}
        return shlex.join([*line, *words, *_words(kept, words)])
    return shlex.join([*line, *words])


def _words(options: Mapping[str, Any], given: tuple[str, ...]) -> list[str]:
    """Write options as on a command line, but for those that are given anew."""
    found = []
    for name, value in options.items():
        option = "-w" if name == "workspace" else f"--{name.replace('_', '-')}"
        if option in given or value is False:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        for one in values:
            text = str(getattr(one, "folder", None) or one)
            found += [option] if one is True else [option, text]
    return found
