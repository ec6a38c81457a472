"""Which files are the inputs of a command, without those that commands of ours wrote."""

import os
import re
from collections.abc import Iterable

from curate.errors import InputError
from curate.files import storage
from curate.files.paths import join
from curate.files.patterns import expand
from curate.files.sizes import several
from curate.pipelines.inputs.image_files import data_files, is_image_name
from curate.pipelines.inputs.readers import input_kind, kind_of
from curate.pipelines.views.progress import log
from curate.pipelines.views.terminal import inert
from curate.training.tars.promised import missing_tars, promised_samples

__all__ = ["input_files"]

_NUMBERED = re.compile(r"(.*(?:^|/)\d+)\.parquet")
_SHOWN = 5
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
    foreign: list[str] = []
    for pattern in patterns:
        named = _absolute(_without_wildcards(pattern))
        skip = tuple(f"{folder}/" for folder in own if not f"{named}/".startswith(f"{folder}/"))
        found = expand([pattern])
        _check_promised(found)
        for path in found:
            if _absolute(path).startswith(skip):
                left_out += 1
            elif found != [pattern] and not is_image_name(path) and kind_of(path) is None:
                foreign.append(path)
            else:
                kept[path] = None
    kept, beside = without_tables_beside_tars(kept)
    if not kept and foreign:
        input_kind(foreign[0])  # says what is read
    if not kept:
        raise InputError(
            f"{patterns[0]}: nothing but files of the workspace itself. Name the folder of them "
            "that is meant, or files of yours."
        )
    if left_out:
        log(f"left out, for they are of the workspace itself: {several(left_out, 'file')}; name "
            "their folder to take them", quiet=quiet)  # fmt: skip
    _tell(foreign, "passed over, for they are no tables or tars", quiet=quiet)
    _tell(beside, "passed over, for the tars beside them hold the same pairs", quiet=quiet)
    return data_files(list(kept))


def _tell(paths: list[str], why: str, *, quiet: bool) -> None:
    if paths:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        log(f"{why}: {', '.join(map(inert, paths[:_SHOWN]))}{more}", quiet=quiet)


def without_tables_beside_tars(paths: Iterable[str]) -> tuple[dict[str, None], list[str]]:
    """Leave out `00000.parquet` where there is `00000.tar`, which holds the same pairs.

    So img2dataset and `curate download` write them, in shards that have numbers for names.

    Returns:
        The other paths in order, and those that are left out.

    >>> without_tables_beside_tars(["a/00000.tar", "a/00000.parquet", "a/cats.parquet"])
    ({'a/00000.tar': None, 'a/cats.parquet': None}, ['a/00000.parquet'])
    """
    there = dict.fromkeys(paths)
    beside = [path for path in there if (m := _NUMBERED.fullmatch(path)) and f"{m[1]}.tar" in there]
    return {path: None for path in there if path not in set(beside)}, beside


def _check_promised(found: list[str]) -> None:
    """Refuse shards of which some are missing, as what stands beside them tells.

    Raises:
        InputError: one is.
    """
    folders: dict[str, list[str]] = {}
    for path in found:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        gone = missing_tars(names) if any(name.endswith(".tar") for name in names) else []
        for tar in gone:
            path = f"{folder}/{tar}" if folder else tar
            if promised := promised_samples(path):
                raise InputError(
                    f"{path} is missing: what stands beside it promises {promised} samples. Get "
                    f"it, or name those that are there: '{join(folder or '.', '*.tar')}'"
                )


def _absolute(path: str) -> str:
    return os.path.abspath(storage.local_path(path)) if storage.is_local(path) else path.rstrip("/")


def _without_wildcards(pattern: str) -> str:
    """Return the folder before the first wildcard, or the path itself.

    >>> _without_wildcards("data/*/a.parquet"), _without_wildcards("a.parquet")
    ('data', 'a.parquet')
    """
    at = min((pattern.find(c) for c in "*?[" if c in pattern), default=-1)
    return pattern if at < 0 else pattern[:at].rpartition("/")[0]
