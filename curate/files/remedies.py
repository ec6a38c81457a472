"""What to type when a file of ours is damaged: the command that makes it anew, by where it lies."""

from typing import NoReturn

from curate.errors import ArtifactError
from curate.files import storage

__all__ = ["damaged", "remedy"]

# Folders of a stage's output that a file may lie in, from the innermost on.
_INNER = ("pairs", "rejected", "found", "_extract", ".next")
_MARKS = (
    ("manifest.json", "build-metadata"),
    ("_extract", "extract"),
    ("probabilities", "balance"),
    ("config.json", "train"),
    ("counts", "match"),
    ("parts.parquet", "match"),
)


def remedy(path: str) -> str:
    """Return a sentence that says how to make a file anew.

    >>> remedy("data/balanced/probabilities/en.parquet")
    'Remove it and run `curate balance` again with the same options: it is made anew.'
    """
    command = _command(path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    if name == "retracted.parquet":
        return "Take it from a backup, or remove it and run `curate retract` with the whole list."
    if name == "plan.json":
        return f"Run `curate {command}` again with the same options and --overwrite."
    if command == "build-metadata":
        return "Run `curate build-metadata` for its language again, with --overwrite."
    if command == "extract":
        return "Run `curate extract` again with the same files and --overwrite."
    return f"Remove it and run `curate {command}` again with the same options: it is made anew."


def damaged(path: str, why: str) -> NoReturn:
    """Refuse a file that is not what was written.

    Raises:
        ArtifactError: always.
    """
    raise ArtifactError(f"{path} is damaged: {why}. {remedy(path)}")


def _command(path: str) -> str:
    folder = path.rstrip("/").rpartition("/")[0]
    name = path.rsplit("/", 1)[-1]
    inner = folder.rsplit("/", 1)[-1]
    if inner == "probabilities" or name.startswith("datacard."):
        return "balance"
    if inner == "checkpoints" or name in ("config.json", "tokenizer.json", "modelcard.json"):
        return "train"
    if inner == "shards":
        return "download" if _is_there(folder, "plan.json") else "balance"
    if inner in ("counts", "journal", "counting") or name in ("summary.json", "parts.parquet"):
        return "extract" if inner == "_extract" else "match"
    while folder.rsplit("/", 1)[-1] in _INNER and "/" in folder:
        if _is_there(folder, "_extract"):
            return "extract"
        folder = folder.rpartition("/")[0]
    found = (command for mark, command in _MARKS if _is_there(folder, mark))
    return next(found, "match" if inner in ("pairs", "rejected") else "balance")


def _is_there(folder: str, name: str) -> bool:
    return bool(folder) and storage.exists(storage.join(folder, name))
