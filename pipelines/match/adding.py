"""Inputs added to matches that are whole: judged in `.adding`, before they become part of them.

What is whole stays as it is until its additions have passed every check, then files are moved into
it at once (`store.swap`). An addition that is refused, or killed, keeps what it has matched; the
next one goes on with it as far as its inputs are the same.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.listing import file_sizes
from curate.pipelines.duplicates.keys import KEYS
from curate.pipelines.executor.journal import JOURNAL, PARTS
from curate.pipelines.inputs.own_inputs import refuse_unnamed
from curate.pipelines.inputs.rows import Part
from curate.pipelines.match.earlier_inputs import listed
from curate.pipelines.match.finish import open_journal
from curate.pipelines.matched.counting import COUNTING
from curate.pipelines.matched.plan import PLAN, SUMMARY, MatchedPlan
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import adding_folder, swap_in
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import log

__all__ = [
    "begin_addition", "begun_parts", "end_addition", "is_whole", "require_chosen",
    "seal_replacement",
]  # fmt: skip

_GROWING = ("pairs", "rejected")
_PASSING = ("counts", COUNTING, JOURNAL, KEYS, PARTS, SUMMARY, PLAN)


def begin_addition(plan: MatchedPlan, addresses: Mapping[str, str], *, quiet: bool) -> None:
    """Let a plan that has grown be filled in `.adding`, on top of what is whole.

    Args:
        plan: is changed: its folder is `.adding`, and its base what is in the output.
        addresses: where each input of this run is opened, by its name.
        quiet: do not say what an earlier addition had that this one has not.
    """
    output = plan.folder
    plan.folder, plan.base = adding_folder(output), MatchedPlan.read(output)
    plan.base.retracted, plan.base.dropped = plan.retracted, plan.dropped
    tombstones = Tombstones.read(output)
    if tombstones.digest() != Tombstones.read(plan.folder).digest():
        storage.remove(plan.folder)
        tombstones.write(plan.folder)
    begun = _begun(plan.folder)
    if begun is not None and _are_same(begun, plan):
        for index, part in enumerate(begun.parts):  # with the names of tars that share keys
            plan.replace_part(index, part.opened_at(addresses))
        return
    if begun is not None:
        _tell_what_is_left_out(begun, plan, quiet=quiet)
    for name in _PASSING:
        storage.remove(storage.join(plan.folder, name))
    _remove_others(plan)


def end_addition(output: str) -> None:
    """Move what was added, and is judged, into what was whole before."""
    storage.remove(storage.join(adding_folder(output), KEYS))
    swap_in(output, sign=SUMMARY, added=_GROWING)


def begun_parts(plan: MatchedPlan) -> Collection[str]:
    """Return the names of the parts that an earlier addition of the same inputs has matched."""
    begun = _begun(adding_folder(plan.folder))
    if begun is None or not _are_same(begun, plan):
        return ()
    return file_sizes(storage.join(begun.folder, "pairs")).keys()


def is_whole(plan: MatchedPlan) -> bool:
    """Tell whether parts and counts are all there: somebody may have removed a damaged one."""
    there = file_sizes(storage.join(plan.folder, "counts"))
    has_counts = all(f"{lang}.parquet" in there for lang in plan.parameters["metadata"])
    journal = open_journal(plan)
    is_there = has_counts and journal.is_closed and not journal.missing()
    return plan.summary() is not None and is_there


def require_chosen(plan: MatchedPlan, paths: list[str]) -> None:
    """Refuse to read inputs that are still to be matched and only somebody else's plan names.

    Raises:
        ArtifactError: there is one.
    """
    if not plan.is_own:
        todo = {plan.parts[index].path for index in open_journal(plan).missing()}
        refuse_unnamed((plan.base or plan).folder, todo, paths)


def seal_replacement(folder: str, output: str, paths: list[str]) -> None:
    """Note that this user chose the inputs of what is about to replace an output."""
    plan = MatchedPlan.read(folder)
    plan.is_own = set(plan.sources()) <= set(paths)
    plan.seal(output)


def _begun(folder: str) -> MatchedPlan | None:
    there = storage.exists(storage.join(folder, PLAN))
    return MatchedPlan.read(folder) if there else None


def _are_same(begun: MatchedPlan, plan: MatchedPlan) -> bool:
    """Tell whether two plans match the same parts in the same way, whatever ids they give."""
    is_alike = begun.parameters == plan.parameters
    return is_alike and list(_without_names(begun)) == list(_without_names(plan))


def _without_names(plan: MatchedPlan) -> Iterator[Part]:
    return (replace(part, id_prefix=None) for part in plan.parts)


def _tell_what_is_left_out(begun: MatchedPlan, plan: MatchedPlan, *, quiet: bool) -> None:
    now = set(plan.sources())
    output = plan.base.folder if plan.base is not None else plan.folder
    if gone := [path for path in begun.sources() if path not in now]:
        log(f"left out of {output}: {listed(gone)}, which an earlier run was to add and did not; "
            "name it again to add it", quiet=quiet)  # fmt: skip


def _remove_others(plan: MatchedPlan) -> None:
    """Remove the files of parts that the plan has not, or has as another number."""
    made_from = {"parameters": artifacts.digest(plan.parameters)}
    kept = set()
    for path in storage.list_files(storage.join(plan.folder, "pairs"), ".parquet"):
        name = path.rsplit("/", 1)[-1]
        if _is_of(plan, name, path, made_from):
            kept.add(name)
        else:
            storage.remove(path)
    for path in storage.list_files(storage.join(plan.folder, "rejected"), ".parquet"):
        if path.rsplit("/", 1)[-1] not in kept:
            storage.remove(path)


def _is_of(plan: MatchedPlan, name: str, path: str, made_from: dict[str, str]) -> bool:
    number = name.partition(".")[0]
    index = int(number) if number.isdigit() else len(plan.parts)
    if index >= len(plan.parts) or name != part_name(index, "parquet") or plan.is_of_base(index):
        return False
    try:
        stamp = artifacts.read_stamp(path)
    except ArtifactError:  # damaged meanwhile
        return False
    wanted = {**made_from, "part": plan.parts[index].as_dict()}
    return {key: stamp.get(key) for key in wanted} == wanted
