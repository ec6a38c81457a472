"""Sizes of many files by listing their folders: one request for a thousand files, not one each."""

import os
from collections.abc import Iterable
from typing import Any

from curate.files import storage

__all__ = ["file_sizes", "sizes_and_times"]


def _listed(folder: str) -> dict[str, Any]:
    """Return what the file system says of each file of a folder, by name."""
    filesystem, inside = storage.filesystem_of(folder)
    if not filesystem.isdir(inside):
        return {}
    entries = filesystem.ls(inside, detail=True)
    return {os.path.basename(e["name"].rstrip("/")): e for e in entries if e["type"] == "file"}


def file_sizes(folder: str) -> dict[str, int]:
    """Return the size in bytes of each file of a folder, by name; {} without the folder."""
    if storage.is_local(folder):
        try:
            with os.scandir(storage.local_path(folder)) as found:
                return {e.name: e.stat().st_size for e in found if e.is_file()}
        except FileNotFoundError:
            return {}
    return {name: int(entry["size"]) for name, entry in _listed(folder).items()}


def sizes_and_times(paths: Iterable[str]) -> list[tuple[int, str] | None]:
    """Return size in bytes and time of the last change of files, as their file system tells them.

    Returns:
        None for a file that is not there.
    """
    found: list[tuple[int, str] | None] = []
    listed: dict[str, dict[str, Any]] = {}
    for path in paths:
        # A page of the web is no folder, and a signature is good for its one file.
        if storage.is_local(path) or path.startswith(("http://", "https://")):
            found.append(storage.size_and_time(path) if storage.exists(path) else None)
            continue
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            listed[folder] = _listed(folder)
        entry = listed[folder].get(name)
        found.append(storage.size_and_time_in(entry) if entry is not None else None)
    return found
