"""Every file of a folder of ours against its checksums."""

import os
from collections.abc import Callable, Iterator
from functools import partial

from curate.errors import CurateError
from curate.files import storage
from curate.files.remedies import damaged
from curate.files.sealed_json import read_json_of_anyone
from curate.files.sums import SUMS, check_shard, check_sum, read_sums
from curate.pipelines.store import artifacts
from curate.pipelines.store.shapes import read_json

__all__ = ["verify_tree"]

# JSON files of a stage's own, which cannot do without a checksum.
_OURS = ("plan.json", "summary.json", "manifest.json", "datacard.json", SUMS)
_PAGES = ("datacard.md", "datacard.html")


def verify_tree(folder: str) -> Iterator[tuple[str, str | None]]:
    """Yield each file of a folder and below that has a checksum, and what is wrong with it.

    Files whose names begin with a point, or that nobody gave a checksum, are left out.
    """
    for path in sorted(_files(folder)):
        check = _check_of(path)
        if check is not None:
            yield path, _problem(check)
    for path in sorted(_files(folder)):
        if path.endswith(f"/{SUMS}"):
            yield from _listed(path.removesuffix(f"/{SUMS}"))


def _listed(folder: str) -> Iterator[tuple[str, str | None]]:
    try:
        sums = read_sums(folder)
    except CurateError:
        return  # it is told of above
    for name, expected in sums.items():
        path = storage.join(folder, name)
        yield path, _problem(partial(check_sum, path, expected))


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
    except CurateError as error:
        return str(error)
    return None


def _files(folder: str) -> list[str]:
    if not storage.is_folder(folder):
        return []
    filesystem, inside = storage.filesystem_of(folder)
    found = (str(path)[len(inside.rstrip("/")) + 1 :] for path in filesystem.find(inside))
    return [storage.join(folder, n) for n in found if not any(
        piece.startswith(".") for piece in n.split("/"))]  # fmt: skip


def _check_of(path: str) -> Callable[[], object] | None:
    name = os.path.basename(path)
    if name.endswith(".parquet"):
        return partial(artifacts.verify_parquet, path)
    if name.endswith(".index"):
        return partial(_check_index, path)
    if name.endswith(".tar"):
        return partial(check_shard, path)
    if name in _OURS:
        return partial(_check_ours, path)
    if name.endswith(".json"):
        return partial(read_json_of_anyone, path)
    return None


def _check_index(path: str) -> None:
    from curate.curation.matching.index import unpack_index

    unpack_index(storage.map_file(path), path).check()


def _check_ours(path: str) -> None:
    found = read_json(path)
    for name, expected in found.get("pages", {}).items():
        if name not in _PAGES:
            damaged(path, f"it lists {name!r} as a page of it")
        check_sum(storage.join(path.rpartition("/")[0], name), expected)
