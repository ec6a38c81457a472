"""Look at inputs and cut them into parts, on all workers: a hash reads every byte.

What a plan holds is matched in every later run too, so that an input is looked at before it gets
there: one without the columns would spoil all that follow. A file is what is in it: under another
name or in another folder it is the same file, and its pairs are taken once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from curate.errors import InputError
from curate.files import storage
from curate.files.listing import file_sizes, sizes_and_times
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.extracted import extracted_opt_outs
from curate.pipelines.inputs.image_files import file_column, unread_file_column
from curate.pipelines.inputs.readers import input_kind, input_schema, plan_parts
from curate.pipelines.inputs.records import ColumnNames, check_columns
from curate.pipelines.inputs.rows import Part, together
from curate.pipelines.lid.options import prior_column
from curate.pipelines.lid.priors import prior_problem
from curate.pipelines.match.adding import begun_parts
from curate.pipelines.match.earlier_inputs import listed
from curate.pipelines.matched.plan import REWRITTEN, MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import log, progress

__all__ = ["add_inputs", "copies_of", "planned_work"]

_SHOWN = 5


class _Look(NamedTuple):
    columns: ColumnNames
    rows_per_part: int | None
    prior_column: str | None = ""


class _Seen(NamedTuple):
    """An input that was looked at.

    Attributes:
        sha256: of all its bytes.
        parts: that it is cut into.
        columns: its schema, in words.
        needs_folder: its rows name files beside it, so that elsewhere they are others.
        opt_outs: pairs by what their pages say of their use, where `extract` wrote it.
        prior: why its column of a page's language says nothing, None if it does or is not asked.
        roles: its columns by what they are: text, url, …
    """

    sha256: str
    parts: list[Part]
    columns: str
    needs_folder: bool
    opt_outs: dict[str, int]
    prior: str | None = None
    roles: Mapping[str, str] = {}  # noqa: RUF012


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
    known = {one["path"]: one for entry in plan.inputs for one in (entry, *copies_of(entry))}
    described = dict(_described(addresses))
    new = [path for path in addresses if not _is_known(known.get(path), described[path])]
    opened = [addresses[path] for path in new]
    prior = prior_column(plan.parameters)
    look = _Look(columns, rows_per_part, prior)
    seen = _look_at_all(opened, look, workers=workers, quiet=quiet)
    _tell_of_columns([one.roles for one in seen if one.roles], quiet=quiet)
    _tell_of_priors(dict(zip(new, seen, strict=True)), prior, quiet=quiet)
    planned = {entry["path"]: entry for entry in plan.inputs}
    by_content: dict[str, list[dict[str, Any]]] = {}
    for entry in plan.inputs:
        by_content.setdefault(entry["sha256"], []).append(entry)
    copies: list[tuple[str, str]] = []
    added: list[Part] = []
    for path, found in zip(new, seen, strict=True):
        size, modified = described[path]
        if path in planned:
            artifacts.require_same(
                f"{plan.folder} holds pairs of {path}, which has changed since; {plan.folder}",
                {"sha256": planned[path].get(REWRITTEN, planned[path]["sha256"])},
                {"sha256": found.sha256},
            )  # fmt: skip
            planned[path]["modified"] = modified
            continue
        same = by_content.setdefault(found.sha256, [])
        first = next((e for e in same if _is_same_file(e["path"], path, found)), None)
        if first is not None:
            others = [one for one in copies_of(first) if one["path"] != path]
            copy = {"path": path, "size_bytes": size, "modified": modified}
            first["copies"] = [*others, copy]
            copies.append((first["path"], path))
            continue
        entry = {"path": path, "sha256": found.sha256, "size_bytes": size, "modified": modified}
        if found.opt_outs:
            entry["opt_outs"] = found.opt_outs
        plan.inputs.append(entry)
        same.append(entry)
        added += found.parts
    plan.parts += together(added, {path: one.columns for path, one in zip(new, seen, strict=True)})
    plan.parts = [part.opened_at(addresses) for part in plan.parts]
    _tell_of_copies(copies, quiet=quiet)
    return bool(new)


def copies_of(entry: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the other places where an input was found."""
    found: Sequence[dict[str, Any]] = entry.get("copies", ())
    return found


def _is_same_file(known: str, path: str, found: _Seen) -> bool:
    """Tell whether a file of the same bytes gives the same rows at another place."""
    folders, others = known.split("/")[:-1], path.split("/")[:-1]
    if input_kind(known) != input_kind(path) or (found.needs_folder and folders != others):
        return False
    # Folders that are called column=value give each row a value.
    return [f for f in folders if "=" in f] == [f for f in others if "=" in f]


def _look_at_all(addresses: list[str], look: _Look, *, workers: int, quiet: bool) -> list[_Seen]:
    tasks = list(enumerate(addresses))
    results = run_parts(
        _look_at, tasks, workers=workers, setup=_Look, arguments=tuple(look), threads=True,
        anywhere=True,
    )  # fmt: skip
    shown = progress(results, total=len(tasks), label="look at inputs", unit="file", quiet=quiet)
    found = dict(shown)
    return [found[at] for at, _ in tasks]


def _described(addresses: Mapping[str, str]) -> Iterator[tuple[str, tuple[int, str]]]:
    for path, found in zip(addresses, sizes_and_times(addresses.values()), strict=True):
        if found is None:
            raise InputError(f"{path}: there is no such file")
        yield path, found


def _is_known(before: Mapping[str, Any] | None, now: tuple[int, str]) -> bool:
    return before is not None and (before["size_bytes"], before["modified"]) == now


def _look_at(look: _Look, task: tuple[int, str]) -> tuple[int, _Seen]:
    at, path = task
    schema = input_schema(path)
    roles = {} if schema is None else check_columns(schema, look.columns, path)
    sha256 = storage.file_sha256(path)
    parts = plan_parts(path, sha256, look.rows_per_part)
    if schema is None:
        return at, _Seen(sha256, parts, "", False, {})
    opt_outs = extracted_opt_outs(path) if input_kind(path) == "parquet" else {}
    words = schema.to_string(show_schema_metadata=False)
    prior = prior_problem(schema, look.prior_column)
    files, unread = file_column(schema), unread_file_column(schema)
    if files is not None:
        roles = {**roles, "image": files}
    elif unread is not None and "image" not in roles:
        roles = {**roles, "unread": unread}
    return at, _Seen(sha256, parts, words, files is not None, opt_outs, prior, roles)


def _tell_of_columns(roles: Sequence[Mapping[str, str]], *, quiet: bool) -> None:
    """Say which columns are taken for what, once for all inputs where it is the same."""
    words = {
        "text": "texts from {!r}", "url": "URLs from {!r}", "uid": "ids from {!r}",
        "lang": "languages from {!r}", "image": "images from {!r}",
        "unread": "no files from {!r}, since images are at URLs",
    }  # fmt: skip
    said = dict.fromkeys(
        ", ".join(words[role].format(name) for role, name in one.items()) for one in roles
    )
    for line in list(said)[:_SHOWN]:
        log(f"columns: {line}", quiet=quiet)
    if len(said) > _SHOWN:
        log(f"… and {len(said) - _SHOWN:,} other sets of columns in more inputs", quiet=quiet)


def _tell_of_priors(seen: Mapping[str, _Seen], prior: str | None, *, quiet: bool) -> None:
    """Say of which inputs a column says nothing of the language; refuse if it is so of all.

    Raises:
        InputError: the user named the column.
    """
    problems = [(path, found.prior) for path, found in seen.items() if found.prior]
    if prior and problems and len(problems) == len(seen):
        path, why = problems[0]
        raise InputError(
            f"{path}: {why}. Name the right one with --prior-column, or none with an empty name."
        )
    for path, why in problems[:_SHOWN]:
        log(f"{path}: {why}; languages of its texts are found without it", quiet=quiet)
    if len(problems) > _SHOWN:
        log(f"… and so in {len(problems) - _SHOWN:,} more inputs", quiet=quiet)


def _tell_of_copies(copies: Sequence[tuple[str, str]], *, quiet: bool) -> None:
    """Say which inputs are files that are there already, under another name or elsewhere."""
    paths: dict[str, list[str]] = {}
    for first, copy in copies:
        paths.setdefault(first, []).append(copy)
    for first, found in list(paths.items())[:_SHOWN]:
        log(f"the same file as {first}, whose pairs are taken once: {listed(found)}", quiet=quiet)
    if len(paths) > _SHOWN:
        log(f"… and copies of {len(paths) - _SHOWN:,} more inputs", quiet=quiet)


def planned_work(plan: MatchedPlan, before: int, first_stale: int | None) -> dict[str, Any]:
    """Return what a dry run tells: how much is left to do, and of which inputs."""
    paths = [one["path"] for one in plan.inputs]
    found = file_sizes(storage.join(plan.folder, "pairs"))
    stop = len(plan.parts) if first_stale is None else first_stale
    there = {*found, *(begun_parts(plan) if before else ())}
    num_done = sum(part_name(index, "parquet") in there for index in range(stop))
    return {"inputs": len(paths), "parts": len(plan.parts),
            "parts_to_do": len(plan.parts) - num_done,
            "matched_before": paths[:before], "new": paths[before:]}  # fmt: skip
