"""A list of pairs that are not to count any more, into matches: the counts are made anew."""

from typing import Any

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.files.remedies import suggest
from curate.pipelines.executor.lease import driving
from curate.pipelines.match.finish import finish_matched
from curate.pipelines.matched.drops import (
    DROPS,
    SAMPLE,
    DropList,
    Drops,
    Found,
    is_sample_stale,
    sampled_from,
)  # fmt: skip
from curate.pipelines.matched.notes import noted_metadata
from curate.pipelines.matched.plan import SUMMARY, MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore
from curate.pipelines.store.swap import forget_next
from curate.pipelines.views.progress import log

__all__ = ["enter_drops", "remove_drops"]


def enter_drops(
    matched: str,
    name: str,
    found: Found | None,
    *,
    about: Any = None,
    metadata: str | None = None,
    workers: int = 1,
    quiet: bool = False,
) -> dict[str, Any]:
    """Have pairs not count any more, or count again.

    Args:
        matched: folder that `match` wrote.
        name: of the list; a list of that name before gives way.
        found: ids of the pairs, and the reason of each, some at a time; None to take the list away.
        about: what the list was made from.
        metadata: folder that it was matched with; None for the one that is noted.
        workers: threads.
        quiet: no progress.

    Returns:
        The summary of the matches, as in `summary.json`.

    Raises:
        ArtifactError: matching is not complete.
        InputError: the metadata is not there.
    """
    place = metadata or noted_metadata(matched)
    if place is None:
        raise InputError(f"{matched}: the metadata that it was matched with is not where it was; "
                         "name it with --metadata")  # fmt: skip
    store = MetadataStore.open(place)
    with driving(matched, "match"), told_when_full(matched), DropList(matched) as listed:
        for pair_ids, reasons in found or ():  # all of it, before anything is changed
            listed.add(pair_ids, reasons)
        forget_next(matched)
        plan = MatchedPlan.read(matched)
        plan.require_all_parts()
        # While the plan says so and no summary fits it, nobody takes the counts for whole.
        plan.dropped = "changing"
        plan.write()
        if found is None:
            storage.remove(storage.join(matched, DROPS, f"{name}.parquet"))
        else:
            listed.write(name, about)
        plan.dropped = Drops.read(matched).digest()
        plan.write()
        if name != SAMPLE and is_sample_stale(matched):
            log(
                f"{matched}: the sample was drawn while other pairs counted: run "
                f"`{suggest('sample')}` as before, which draws from those that count now",
                quiet=quiet,
            )
        lang = plan.parameters["lang"]
        return finish_matched(
            plan, store.only(lang) if lang else store, max_bad=1.0, workers=workers, quiet=quiet
        )


def remove_drops(
    matched: str, name: str, *, metadata: str | None, workers: int, quiet: bool
) -> dict[str, Any]:
    """Have the pairs of a list count again.

    Args:
        matched: folder that `match` wrote.
        name: of the list.
        metadata: folder that it was matched with; None for the one that is noted.
        workers: threads.
        quiet: no progress.

    Returns:
        counted_again: pairs; matched: pairs that count now.

    Raises:
        ArtifactError: matching is not complete, or a sample was drawn from what the list leaves.
        InputError: the metadata is not there.
    """
    MatchedPlan.read(matched).require_all_parts()
    if name in (sampled_from(matched) or ()):
        raise ArtifactError(
            f"{matched}: the sample was drawn from what the list {name!r} leaves, and the pairs of "
            f"that list would all count beside it. Run `{suggest('sample', '--undo')}`, then this "
            f"again, then `{suggest('sample')}` if there is to be a sample."
        )
    before = artifacts.read_json(storage.join(matched, SUMMARY))["matched"]
    left = enter_drops(matched, name, None, metadata=metadata, workers=workers, quiet=quiet)
    return {"counted_again": left["matched"] - before, "matched": left["matched"]}
