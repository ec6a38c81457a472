"""Look at inputs and cut them into parts, on all workers: a hash reads every byte."""

from collections.abc import Iterator, Mapping
from typing import Any

from metadata.errors import InputError
from pipelines import artifacts, storage
from pipelines.executor import run_parts
from pipelines.listing import sizes_and_times
from pipelines.matched_plan import MatchedPlan
from pipelines.progress import progress
from pipelines.readers import plan_parts
from pipelines.rows import Part

__all__ = ["add_inputs"]


def add_inputs(
    plan: MatchedPlan, paths: list[str], rows_per_part: int | None, *, workers: int, quiet: bool
) -> bool:
    """Add the inputs to a plan that it does not have yet, in the given order.

    Returns:
        Whether the plan is another one now, if only in what it says of times.

    Raises:
        ArtifactError: one that it has is another file now.
        InputError: one cannot be read.
    """
    known = {i["path"]: i for i in plan.inputs}
    described = dict(_described(paths))
    new = [path for path in paths if not _is_known(known.get(path), described[path])]
    tasks = [(at, path) for at, path in enumerate(new)]
    results = run_parts(
        _look_at, tasks, workers=workers, setup=_rows_per_part, arguments=(rows_per_part,),
        threads=True, anywhere=True,
    )  # fmt: skip
    found: dict[int, tuple[str, list[Part]]] = {}
    for at, sha256, parts in progress(
        results, total=len(tasks), label="look at inputs", unit="file", quiet=quiet
    ):
        found[at] = (sha256, parts)
    for at, path in tasks:
        sha256, parts = found.pop(at)
        if path in known:
            artifacts.require_same(
                f"{plan.folder} holds pairs of {path}, which has changed since; {plan.folder}",
                {"sha256": known[path]["sha256"]}, {"sha256": sha256},
            )  # fmt: skip
            known[path]["modified"] = described[path][1]
            continue
        size, modified = described[path]
        plan.inputs.append(
            {"path": path, "sha256": sha256, "size_bytes": size, "modified": modified}
        )
        plan.parts += parts
    return bool(tasks)


def _described(paths: list[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    for path, found in zip(paths, sizes_and_times(paths), strict=True):
        if found is None:
            raise InputError(f"{path}: there is no such file")
        yield path, found


def _is_known(before: Mapping[str, Any] | None, now: tuple[int, str]) -> bool:
    return before is not None and (before["size_bytes"], before["modified"]) == now


def _rows_per_part(num_rows: int | None) -> int | None:
    return num_rows


def _look_at(rows_per_part: int | None, task: tuple[int, str]) -> tuple[int, str, list[Part]]:
    at, path = task
    sha256 = storage.file_sha256(path)
    return at, sha256, plan_parts(path, sha256, rows_per_part)
