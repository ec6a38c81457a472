"""Where a matched folder's metadata is, and which balanced sets came of it, noted beside it.

A plan knows what a folder is made of by its hash, which does not tell where that is. The notes are
in `.curate` beside the folder, with its lease and logs, and are no part of it.
"""

import os
from typing import Any

from curate.curation.hashing.ids import short_hash
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.paths import join
from curate.files.seal import is_sealed, seal
from curate.pipelines.executor.lease import beside
from curate.pipelines.inputs.image_roots import ImageRoots, folder_of
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
    note = _read(matched, join(beside(matched), _METADATA))
    folder = _resolved(matched, note["folder"]) if note else None
    return folder if folder and storage.exists(join(folder, "manifest.json")) else None


def note_balanced(matched: str, output: str, parameters: dict[str, Any]) -> None:
    """Note that a balanced set was made from a matched folder, and what it was made with."""
    folder = _seen_from(matched, output)
    note = {"folder": folder, "parameters": artifacts.digest(parameters)}
    _write(join(beside(matched), _BALANCED, f"{short_hash(folder)}.json"), note)


def noted_balanced(matched: str) -> list[str]:
    """Return the balanced sets that were made from a matched folder, and still are."""
    found = []
    for path in storage.list_files(join(beside(matched), _BALANCED), ".json"):
        note = _read(matched, path)
        folder = _resolved(matched, note["folder"]) if note else ""
        plan = join(folder, "plan.json")
        if note and storage.exists(plan):
            parameters = artifacts.read_json(plan)["parameters"]
            found += [folder] if artifacts.digest(parameters) == note.get("parameters") else []
    return sorted(found)


def same_folder(one: str, other: str) -> bool:
    """Tell whether two paths name the same folder."""
    return _absolute(one) == _absolute(other)


def _write(path: str, note: dict[str, str]) -> None:
    """Write a note, or say that there is none: matches may be in a place that is only read."""
    try:
        artifacts.write_json(path, {**note, "seal": seal(["note", note])})
    except OSError as error:
        log(f"{path}: not noted, so that `curate retract` and `explain` have to be told ({error})")


def _read(matched: str, path: str) -> dict[str, Any] | None:
    """Return a note; None if there is none, or if it leads out of somebody else's workspace.

    A note that came with a copy could have any server asked and any folder read, so that only what
    this user wrote leads anywhere; others lead to the folders beside the matches.
    """
    if not storage.exists(path):
        return None
    found = artifacts.read_json(path)
    if not isinstance(found.get("folder"), str):
        return None
    note = {name: value for name, value in found.items() if name != "seal"}
    is_ours = is_sealed(["note", note], found.get("seal"))
    return note if is_ours or _is_beside(matched, _resolved(matched, note["folder"])) else None


def _is_beside(matched: str, folder: str) -> bool:
    """Tell whether a folder is in the one that a matched folder is in, after links."""
    if storage.is_local(matched) != storage.is_local(folder):
        return False
    if not storage.is_local(matched):
        return ImageRoots([folder_of(matched.rstrip("/"))]).address(folder) is not None
    return ImageRoots([folder_of(_absolute(matched))]).address(folder) is not None


def _absolute(path: str) -> str:
    if storage.is_local(path):
        return os.path.abspath(storage.local_path(path))
    return without_secrets(path).rstrip("/")


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
