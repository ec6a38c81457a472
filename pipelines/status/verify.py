"""`curate status --verify`: every artifact of a workspace against its checksums and its sums."""

from collections.abc import Callable, Iterator
from typing import Any

from curate.errors import ArtifactError, CurateError
from curate.files import storage
from curate.files.sizes import several
from curate.pipelines.executor.lease import holder
from curate.pipelines.matched.balanced_set import require_all, require_part
from curate.pipelines.matched.plan import PLAN, MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.status.derived import derived_stages
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import refuse_half
from curate.pipelines.store.verify import verify_tree
from curate.pipelines.store.workspace import CARD, Workspace
from curate.pipelines.views.progress import log

__all__ = ["verify_workspace"]

_MOST_SHOWN = 20


def verify_workspace(root: str, *, quiet: bool = True) -> dict[str, Any]:
    """Compare everything in a workspace with its checksums, and what belongs together.

    Outputs that a command works on now are left out, and so named.

    Returns:
        files: how many were compared.

    Raises:
        ArtifactError: some are damaged, or parts are missing; the message names them and the
            commands that make them anew.
    """
    place = Workspace(root)
    num, problems = 0, []
    folders = (place.metadata, place.pairs, place.matched, place.balanced, *_derived(place))
    for folder in (*folders, *_runs(place)):
        if holder(folder) is not None:
            log(f"left out, because a command works on it: {folder}", quiet=quiet)
            continue
        for _, problem in verify_tree(folder):
            num += 1
            problems += [problem] if problem is not None else []
    for check in (lambda: _check_matched(place.matched), lambda: _check_balanced(place.balanced)):
        problems += _problem(check)
    problems = list(dict.fromkeys(problems))
    if problems:
        more = len(problems) - _MOST_SHOWN
        lines = [*problems[:_MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise ArtifactError(
            f"{root}: not what was written, of {several(num, 'file')}: {len(problems):,}\n  "
            + "\n  ".join(lines)
        )
    return {"files": num, "damaged": 0}


def _derived(place: Workspace) -> Iterator[str]:
    """Yield the folders of what stands on matches, as far as they are there."""
    yield from map(place.folder, derived_stages(place))


def _runs(place: Workspace) -> Iterator[str]:
    yield from storage.list_files(place.folder("runs"), "")


def _problem(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except CurateError as error:
        return [str(error)]
    return []


def _check_matched(folder: str) -> None:
    """Find all parts that the plan has, and counts that add up to what was matched."""
    if not storage.exists(storage.join(folder, PLAN)) or holder(folder) is not None:
        return
    plan = MatchedPlan.read(folder)
    if plan.summary() is None:
        return  # it is not whole yet
    load_counts(plan)
    for index in range(len(plan.parts)):
        path = plan.pairs_path(index)
        stamp = artifacts.read_stamp(path)
        artifacts.require_same(path, stamp["part"], plan.parts[index].as_dict())


def _check_balanced(folder: str) -> None:
    """Find as many pairs as the card says, and in each place the part that belongs there."""
    refuse_half(folder)
    card, plan = storage.join(folder, CARD), storage.join(folder, artifacts.PLAN)
    if not (storage.exists(card) and storage.exists(plan)) or holder(folder) is not None:
        return
    parameters = artifacts.read_json(plan)["parameters"]
    digest = artifacts.digest(parameters)
    is_parquet = parameters["format"] == "parquet"
    name, suffix = ("pairs", ".parquet") if is_parquet else ("shards", ".tar")
    num = 0
    for index, path in enumerate(storage.list_files(storage.join(folder, name), suffix)):
        require_part(path, index, digest)
        if is_parquet:
            with artifacts.open_parquet(path) as file:
                num += file.metadata.num_rows
        else:
            num += artifacts.read_json(f"{path.removesuffix('.tar')}.json")["pairs"]
    require_all(folder, digest, num)
