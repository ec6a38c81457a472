"""Which files are the inputs of a command, without those that commands of ours wrote."""

import os

from curate.errors import InputError
from curate.files import storage
from curate.files.paths import join
from curate.files.patterns import expand
from curate.pipelines.inputs.image_files import data_files
from curate.pipelines.views.progress import log

__all__ = ["input_files"]

_FOLDERS = ("sources", "metadata", "matched", "balanced", "runs")


def input_files(patterns: list[str], output: str, metadata: str, *, quiet: bool) -> list[str]:
    """Return the files that paths, folders and patterns name; of a workspace, none by accident.

    What stands in a folder of the workspace is left out unless that folder, or a place in it, is
    named: `curate match .` takes a workspace in `./data` for none of its inputs, and
    `curate match data/balanced/pairs` takes what it says. Images are left out too.

    Args:
        patterns: as the user named them.
        output: folder that is about to be written; the workspace is the folder that it is in.
        metadata: folder that is read.
        quiet: do not say how many are left out.

    Raises:
        InputError: a pattern names nothing, or only images.
    """
    root = output.rstrip("/").rpartition("/")[0]
    own = {_absolute(folder) for folder in (output, metadata)}
    own |= {_absolute(join(root, name) if root else name) for name in _FOLDERS}
    kept: dict[str, None] = {}
    left_out = 0
    for pattern in patterns:
        named = _absolute(_without_wildcards(pattern))
        skip = tuple(f"{folder}/" for folder in own if not f"{named}/".startswith(f"{folder}/"))
        for path in expand([pattern]):
            if _absolute(path).startswith(skip):
                left_out += 1
            else:
                kept[path] = None
    if not kept:
        raise InputError(
            f"{patterns[0]}: nothing but files of the workspace itself. Name the folder of them "
            "that is meant, or files of yours."
        )
    if left_out:
        log(f"{left_out} files of the workspace itself are left out; name their folder to take "
            "them", quiet=quiet)  # fmt: skip
    return data_files(list(kept))


def _absolute(path: str) -> str:
    return os.path.abspath(storage.local_path(path)) if storage.is_local(path) else path.rstrip("/")


def _without_wildcards(pattern: str) -> str:
    """Return the folder before the first wildcard, or the path itself.

    >>> _without_wildcards("data/*/a.parquet"), _without_wildcards("a.parquet")
    ('data', 'a.parquet')
    """
    at = min((pattern.find(c) for c in "*?[" if c in pattern), default=-1)
    return pattern if at < 0 else pattern[:at].rpartition("/")[0]
