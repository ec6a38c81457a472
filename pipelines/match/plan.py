"""Look at inputs and cut them into parts, on all workers: a hash reads every byte.

What a plan holds is matched in every later run too, so that an input is looked at before it gets
there: one without the columns would spoil all that follow.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from curate.errors import InputError
from curate.files import storage
from curate.files.listing import file_sizes, sizes_and_times
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.readers import input_schema, plan_parts
from curate.pipelines.inputs.records import ColumnNames, check_columns
from curate.pipelines.inputs.rows import Part, together
from curate.pipelines.match.earlier_inputs import listed
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import log, progress

__all__ = ["add_inputs", "planned_work", "warn_of_copies"]

_SHOWN = 5


class _Look(NamedTuple):
    columns: ColumnNames
    rows_per_part: int | None


def add_inputs(
    plan: MatchedPlan,
    addresses: Mapping[str, str],
    columns: ColumnNames,
    rows_per_part: int | None,
    *,
    workers: int,
    quiet: bool,
) -> bool:
    """Add the inputs to a plan that it does not have yet, in the given order.

    Parts of inputs that are named get their addresses, with what gives access.

    Args:
        plan: is changed.
        addresses: where each input is opened, by the name that it is known by.
        columns: names of the inputs' columns.
        rows_per_part: rows of a Parquet file in a part, at least; None for an eighth of it.
        workers: threads.
        quiet: no progress.

    Returns:
        Whether the plan is another one now, if only in what it says of times.

    Raises:
        ArtifactError: one that it has is another file now.
        InputError: one cannot be read, or lacks a column.
    """
    known = {i["path"]: i for i in plan.inputs}
    described = dict(_described(addresses))
    new = [path for path in addresses if not _is_known(known.get(path), described[path])]
    tasks = [(at, addresses[path]) for at, path in enumerate(new)]
    results = run_parts(
        _look_at, tasks, workers=workers, setup=_Look, arguments=(columns, rows_per_part),
        threads=True, anywhere=True,
    )  # fmt: skip
    found: dict[int, tuple[str, list[Part]]] = {}
    columns_of: dict[str, str] = {}
    for at, sha256, parts, columns_of[new[at]] in progress(
        results, total=len(tasks), label="look at inputs", unit="file", quiet=quiet
    ):
        found[at] = (sha256, parts)
    added: list[Part] = []
    for at, path in enumerate(new):
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
        added += parts
    plan.parts += together(added, columns_of)
    plan.parts = [part.opened_at(addresses) for part in plan.parts]
    return bool(tasks)


def _described(addresses: Mapping[str, str]) -> Iterator[tuple[str, tuple[int, str]]]:
    for path, found in zip(addresses, sizes_and_times(addresses.values()), strict=True):
        if found is None:
            raise InputError(f"{path}: there is no such file")
        yield path, found


def _is_known(before: Mapping[str, Any] | None, now: tuple[int, str]) -> bool:
    return before is not None and (before["size_bytes"], before["modified"]) == now


def _look_at(look: _Look, task: tuple[int, str]) -> tuple[int, str, list[Part], str]:
    at, path = task
    schema = input_schema(path)
    if schema is not None:
        check_columns(schema, look.columns, path)
    sha256 = storage.file_sha256(path)
    parts = plan_parts(path, sha256, look.rows_per_part)
    return at, sha256, parts, "" if schema is None else schema.to_string(show_schema_metadata=False)


def warn_of_copies(plan: MatchedPlan, first: int, *, quiet: bool) -> None:
    """Say which inputs have the bytes of another one: each of their pairs counts once for each.

    Args:
        plan: with the hash of each input.
        first: number of the first input that is new.
        quiet: no message.
    """
    paths: dict[str, list[str]] = {}
    new = {one["sha256"] for one in plan.inputs[first:]}
    for one in plan.inputs:
        paths.setdefault(one["sha256"], []).append(one["path"])
    copies = [found for sha256, found in paths.items() if sha256 in new and len(found) > 1]
    for found in copies[:_SHOWN]:
        log(f"the same content, so that its pairs count {len(found)} times: {listed(found)}",
            quiet=quiet)  # fmt: skip
    if len(copies) > _SHOWN:
        log(f"… and {len(copies) - _SHOWN} more inputs that have copies", quiet=quiet)


def planned_work(plan: MatchedPlan, before: int, first_stale: int | None) -> dict[str, Any]:
    """Return what a dry run tells: how much is left to do, and of which inputs."""
    paths = [one["path"] for one in plan.inputs]
    found = file_sizes(storage.join(plan.folder, "pairs"))
    stop = len(plan.parts) if first_stale is None else first_stale
    num_done = sum(part_name(index, "parquet") in found for index in range(stop))
    return {"inputs": len(paths), "parts": len(plan.parts),
            "parts_to_do": len(plan.parts) - num_done,
            "matched_before": paths[:before], "new": paths[before:]}  # fmt: skip
