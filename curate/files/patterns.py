"""Paths, folders and glob patterns in, the files that they name out."""

import os
from typing import Any

from curate.errors import InputError
from curate.files.paths import join
from curate.files.storage import filesystem_of, is_local

__all__ = ["expand", "is_no_data"]


def is_no_data(path: str) -> bool:
    """Tell whether a file's name, or that of a folder that it is in, says that it is no data.

    By custom these begin with ``.`` (macOS's ``._x``, Spark's ``.x.crc``, ``.ipynb_checkpoints``)
    or with ``_`` (Spark's ``_SUCCESS``, macOS's ``__MACOSX``), unless they are partitions
    (``_day=1``).

    Args:
        path: below the folder that was named; what is above is not asked.

    >>> [is_no_data(p) for p in ("a/._b.jpg", "__MACOSX/a", "_year=1/a.parquet", "../a", "./a")]
    [True, True, False, False, False]
    """
    return any(_is_hidden(name) for name in path.split("/"))


def _is_hidden(name: str) -> bool:
    if name in ("", ".", ".."):
        return False
    return name[0] == "." or (name[0] == "_" and "=" not in name)


def expand(patterns: list[str]) -> list[str]:
    """Return the files that paths, folders and glob patterns name, in order, each once.

    Of what folders and patterns name, files that are no data (`is_no_data`) are left out; what a
    path or a pattern's own words name is taken.

    Raises:
        InputError: a pattern names nothing.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        filesystem, inside = filesystem_of(pattern)
        prefix = pattern[: len(pattern) - len(inside)] if pattern.endswith(inside) else ""
        if is_local(pattern) and prefix == "":
            inside = pattern
        hidden = 0
        if filesystem.isdir(inside):
            names = sorted(p for p in filesystem.find(inside))
            paths = [_relative_to(pattern, filesystem, inside, p) for p in names]
            skip = len(pattern.rstrip("/"))
            paths = [p for p in paths if not is_no_data(p[skip:])]
            hidden = len(names) - len(paths)
        elif any(c in inside for c in "*?[") and not filesystem.exists(inside):
            found_here = sorted(_as_given(pattern, p) for p in filesystem.glob(inside))
            paths = [p for p in found_here if not _is_wildcard_hidden(pattern, p)]
            hidden = len(found_here) - len(paths)
        else:
            paths = [pattern] if filesystem.exists(inside) else []
        if not paths and hidden:
            raise InputError(
                f"{pattern}: nothing but names that begin with a point or an underscore "
                f"({hidden:,}), which are no data. Name a file in full to take it."
            )
        if not paths:
            raise InputError(f"{pattern}: no such file; expected a file, a folder or a pattern")
        found.update(dict.fromkeys(paths))
    return list(found)


def _is_wildcard_hidden(pattern: str, path: str) -> bool:
    """Tell whether a wildcard found what is no data, as in a shell, where `*` takes no `.x`."""
    words = set(pattern.split("/"))
    asked = any(word[:1] in (".", "_") and set(word) & set("*?[") for word in words)
    return not asked and any(_is_hidden(name) for name in path.split("/") if name not in words)


def _relative_to(pattern: str, filesystem: Any, inside: str, path: str) -> str:
    """Return a file found in a folder under the name the folder was given by."""
    base = filesystem._strip_protocol(inside).rstrip("/")
    return join(pattern, path[len(base) :].lstrip("/"))


def _as_given(pattern: str, path: str) -> str:
    """Return a path that a glob found, absolute or relative or with its protocol as the pattern."""
    if not is_local(pattern):
        return f"{pattern.split('://', 1)[0]}://{path}"
    return path if os.path.isabs(pattern) else os.path.relpath(path)
