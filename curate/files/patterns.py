"""Paths, folders and glob patterns in, the files that they name out."""

import os
from typing import Any

from curate.errors import InputError
from curate.files.paths import join
from curate.files.storage import filesystem_of, is_local

__all__ = ["expand"]


def expand(patterns: list[str]) -> list[str]:
    """Return the files that paths, folders and glob patterns name, in order, each once.

    Of a folder's files those are left out whose name, or whose folder's name in it, begins with
    ``_`` or ``.``: by custom they are no data.

    Raises:
        InputError: a pattern names nothing.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        filesystem, inside = filesystem_of(pattern)
        prefix = pattern[: len(pattern) - len(inside)] if pattern.endswith(inside) else ""
        if is_local(pattern) and prefix == "":
            inside = pattern
        if filesystem.isdir(inside):
            names = sorted(p for p in filesystem.find(inside))
            paths = [_relative_to(pattern, filesystem, inside, p) for p in names]
            skip = len(pattern.rstrip("/"))
            paths = [p for p in paths if not any(f in p[skip:] for f in ("/_", "/."))]
        elif any(c in inside for c in "*?[") and not filesystem.exists(inside):
            paths = sorted(_as_given(pattern, p) for p in filesystem.glob(inside))
        else:
            paths = [pattern] if filesystem.exists(inside) else []
        if not paths:
            raise InputError(f"{pattern}: no such file; expected a file, a folder or a pattern")
        found.update(dict.fromkeys(paths))
    return list(found)


def _relative_to(pattern: str, filesystem: Any, inside: str, path: str) -> str:
    """Return a file found in a folder under the name the folder was given by."""
    base = filesystem._strip_protocol(inside).rstrip("/")
    return join(pattern, path[len(base) :].lstrip("/"))


def _as_given(pattern: str, path: str) -> str:
    """Return a path that a glob found, absolute or relative or with its protocol as the pattern."""
    if not is_local(pattern):
        return f"{pattern.split('://', 1)[0]}://{path}"
    return path if os.path.isabs(pattern) else os.path.relpath(path)
