"""Where a matched folder's metadata is, and which balanced sets came of it, noted beside it.

A plan knows what a folder is made of by its hash, which does not tell where that is. The notes are
in `.curate` beside the folder, with its lease and logs, and are no part of it.
"""

import os
from typing import Any

from curate.curation.hashing.ids import short_hash
from curate.files import storage
from curate.files.paths import join
from curate.pipelines.executor.lease import beside
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log

__all__ = ["note_balanced", "note_metadata", "noted_balanced", "noted_metadata", "same_folder"]

_METADATA = "metadata.json"
_BALANCED = "balanced"


def note_metadata(matched: str, metadata: str) -> None:
    """Note which metadata folder a folder was matched with."""
    _write(join(beside(matched), _METADATA), {"folder": _seen_from(matched, metadata)})


def noted_metadata(matched: str) -> str | None:
    """Return the metadata folder that a folder was matched with, None if it is not there."""
    path = join(beside(matched), _METADATA)
    if not storage.exists(path):
        return None
    folder = _resolved(matched, storage.read_json(path)["folder"])
    return folder if storage.exists(join(folder, "manifest.json")) else None


def note_balanced(matched: str, output: str, parameters: dict[str, Any]) -> None:
    """Note that a balanced set was made from a matched folder, and what it was made with."""
    folder = _seen_from(matched, output)
    note = {"folder": folder, "parameters": artifacts.digest(parameters)}
    _write(join(beside(matched), _BALANCED, f"{short_hash(folder)}.json"), note)


def noted_balanced(matched: str) -> list[str]:
    """Return the balanced sets that were made from a matched folder, and still are."""
    found = []
    for path in storage.list_files(join(beside(matched), _BALANCED), ".json"):
        note = storage.read_json(path)
        folder = _resolved(matched, note["folder"])
        plan = join(folder, "plan.json")
        if storage.exists(plan):
            parameters = storage.read_json(plan)["parameters"]
            found += [folder] if artifacts.digest(parameters) == note["parameters"] else []
    return sorted(found)


def same_folder(one: str, other: str) -> bool:
    """Tell whether two paths name the same folder."""
    return _absolute(one) == _absolute(other)


def _write(path: str, note: dict[str, str]) -> None:
    """Write a note, or say that there is none: matches may be in a place that is only read."""
    try:
        storage.write_json(path, note)
    except OSError as error:
        log(f"{path}: not noted, so that `curate retract` and `explain` have to be told ({error})")


def _absolute(path: str) -> str:
    return os.path.abspath(storage.local_path(path)) if storage.is_local(path) else path.rstrip("/")


def _seen_from(matched: str, folder: str) -> str:
    """Return a folder's path from a matched folder, so that a workspace may be moved as a whole.

    >>> _seen_from("data/matched", "data/metadata"), _seen_from("data/matched", "s3://a/b")
    ('../metadata', 's3://a/b')
    """
    if storage.is_local(matched) and storage.is_local(folder):
        return os.path.relpath(_absolute(folder), _absolute(matched))
    return _absolute(folder)


def _resolved(matched: str, seen: str) -> str:
    if not storage.is_local(seen) or os.path.isabs(seen):
        return seen
    return os.path.normpath(join(storage.local_path(matched), seen))
