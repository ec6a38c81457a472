"""Inputs of earlier runs in a plan: left out where nothing came of them, named where they fail."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from curate.errors import InputError
from curate.files import storage
from curate.files.listing import file_sizes
from curate.pipelines.executor.journal import JOURNAL, PARTS
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import log

__all__ = ["leave_out_unmatched", "listed", "remove_parts", "told_of_earlier_inputs"]

_SHOWN = 5


def leave_out_unmatched(
    plan: MatchedPlan, paths: Sequence[str], parameters: Mapping[str, Any], *, quiet: bool
) -> int | None:
    """Leave out of a plan what an earlier run added and got no pair of, unless it is named again.

    Nothing is done where one of the files of that run has pairs, for it may have been killed. A
    plan of which nothing is matched at all takes other parameters.

    Args:
        plan: is changed.
        paths: inputs of this run.
        parameters: of this run.
        quiet: do not say what is left out.

    Returns:
        The first part whose files are of the old plan; None if the plan is as it was.
    """
    done = plan.completed()
    pending, named = plan.inputs[done.inputs :], set(paths)
    is_other = not done.inputs and plan.parameters != parameters
    if not is_other and all(i["path"] in named for i in pending):
        return None
    there = file_sizes(storage.join(plan.folder, "pairs"))
    for index in range(done.parts, len(plan.parts)):
        path = plan.pairs_path(index)
        if path.rsplit("/", 1)[-1] in there and _holds_pairs(path):
            return None
    if gone := [i["path"] for i in pending if i["path"] not in named]:
        log(f"left out of {plan.folder}: {listed(gone)}, of which an earlier run got no pair",
            quiet=quiet)  # fmt: skip
    plan.inputs[done.inputs :] = [i for i in pending if i["path"] in named]
    pending_parts = (part.only(named) for part in plan.parts[done.parts :])
    plan.parts[done.parts :] = [part for part in pending_parts if part is not None]
    if is_other:
        plan.parameters = dict(parameters)
    return done.parts


def _holds_pairs(path: str) -> bool:
    with artifacts.open_parquet(path) as file:
        return bool(file.metadata.num_rows)


@contextmanager
def told_of_earlier_inputs(plan: MatchedPlan, paths: Sequence[str]) -> Iterator[None]:
    """Say of an input that fails, and that this run does not name, where it comes from.

    Raises:
        InputError: that of the block.
    """
    try:
        yield
    except InputError as error:
        named = set(paths)
        earlier = [i["path"] for i in plan.inputs if i["path"] not in named]
        failed = [p for p in earlier if re.search(rf"(^|\s){re.escape(p)}[:,]", str(error))]
        if not failed:
            raise
        raise type(error)(
            f"{error}\nOf an earlier run, whose inputs {(plan.base or plan).folder} holds: "
            f"{listed(failed)}. To leave that out, name the other inputs, those of earlier runs "
            "too, and add --overwrite: they are matched anew."
        ) from error


def remove_parts(plan: MatchedPlan, first: int) -> None:
    """Remove the files of parts that the plan has no more, and the notes of them."""
    for folder in ("pairs", "rejected"):
        for name in file_sizes(storage.join(plan.folder, folder)):
            number = name.partition(".")[0]
            if number.isdigit() and int(number) >= first:
                storage.remove(storage.join(plan.folder, folder, name))
    for name in (JOURNAL, PARTS):
        storage.remove(storage.join(plan.folder, name))


def listed(paths: Sequence[str]) -> str:
    """Name the first few of some files.

    >>> listed(["a", "b"]), listed(["a"] * 7)
    ('a, b', 'a, a, a, a, a and 2 more')
    """
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
