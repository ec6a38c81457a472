"""Ids over all parts: keys that repeat between tars, and ids that repeat all the same.

Keys of tars that another tar has too get the tar's name before them. Which tars share keys is known
when all are matched; those are then matched again with their names. What comes out depends on the
tars alone, not on their order or on which were there before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.pipelines.inputs.rows import Part
from curate.pipelines.match.earlier_inputs import listed
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.repeated_ids import count_repeated_ids, tars_sharing_keys
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.store.workspace import part_name
from curate.pipelines.views.progress import log

__all__ = ["REPEATED_IDS", "name_tars", "repeated_ids"]

REPEATED_IDS = ("refuse", "keep")


def name_tars(plan: MatchedPlan, *, workers: int, quiet: bool) -> bool:
    """Put the tar's name before the keys of tars that share some; what was matched without goes.

    Args:
        plan: all parts of which are matched; changed and written.
        workers: threads.
        quiet: do not say which tars share keys.

    Returns:
        Whether there are parts to match again.

    Raises:
        ArtifactError: pairs were retracted by ids that would be others then.
    """
    if sum(part.kind == "tar" for part in plan.parts) < 2:
        return False
    sharing = tars_sharing_keys(plan, workers=workers, quiet=quiet)
    names = dict(zip(sharing, tar_names([plan.parts[i] for i in sharing]), strict=True))
    changed = [i for i, name in names.items() if plan.parts[i].id_prefix != name]
    if not changed:
        return False
    output = (plan.base or plan).folder
    paths = [plan.parts[i].path for i in changed]
    if len(Tombstones.read(plan.folder).pair_ids):  # keys of tars are known by their tar
        raise ArtifactError(
            f"{listed(paths)}: their keys repeat between tars, so that their pairs need other ids, "
            f"and what was retracted from {output} by id would come back. Match them into "
            "another --output, and retract there again."
        )
    log(f"keys repeat between tars, so that ids begin with the tar's name, in: {listed(paths)}",
        quiet=quiet)  # fmt: skip
    for index in changed:
        for folder in ("pairs", "rejected"):
            path = storage.join(plan.folder, folder, part_name(index, "parquet"))
            if storage.exists(path):
                storage.remove(path)
        plan.replace_part(index, replace(plan.parts[index], id_prefix=names[index]))
    plan.write()  # after the files went: what is there fits the plan whenever a run is killed
    return True


def tar_names(parts: Sequence[Part]) -> list[str]:
    """Return the names of tars without folder and suffix; with the checksum where they repeat.

    >>> kind = dict(sha256="0123456789", kind="tar")
    >>> tar_names([Part(path=path, **kind) for path in ("a/00.tar", "b/00.tar", "b/01.tar")])
    ['00-01234567', '00-01234567', '01']
    """
    stems = [PurePosixPath(part.path).name.removesuffix(".tar") for part in parts]
    times = Counter(stems)
    return [
        stem if times[stem] == 1 else f"{stem}-{part.sha256[:8]}"
        for stem, part in zip(stems, parts, strict=True)
    ]


def repeated_ids(
    plan: MatchedPlan, policy: str, *, workers: int, quiet: bool
) -> dict[str, dict[str, int]]:
    """Count ids that repeat, and what they repeat for.

    Args:
        plan: all parts of which are matched.
        policy: one of REPEATED_IDS.
        workers: threads.
        quiet: no progress.

    Returns:
        ``repeated_ids``: copies, others; {} where no id repeats.

    Raises:
        InputError: pairs that differ share an id, and that is to be refused.
    """
    found = count_repeated_ids(plan, workers=workers, quiet=quiet)
    if found.others and policy == "refuse":
        shown = ", ".join(f"{one!r} in {path}" for one, path in found.examples)
        raise InputError(
            f"{found.others:,} pairs have an id that a pair before them has which is another "
            f"({shown}), so that they would be kept, or retracted, together. Name a column of "
            "unique ids with --uid-column NAME, or --uid-column '' to make ids of URL and text, "
            "and add --overwrite; or take the ids as they are with --repeated-ids keep."
        )
    values = found.as_dict()
    return {"repeated_ids": values} if values else {}
