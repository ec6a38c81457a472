"""A list of pairs that are not to count any more, into matches: the counts are made anew."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curate.errors import InputError
from curate.files import storage
from curate.pipelines.executor.lease import driving
from curate.pipelines.match.finish import finish_matched
from curate.pipelines.matched.drops import DROPS, Drops, write_drops
from curate.pipelines.matched.notes import noted_metadata
from curate.pipelines.matched.plan import SUMMARY, MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore
from curate.pipelines.store.swap import forget_next

__all__ = ["enter_drops", "remove_drops"]


def enter_drops(
    matched: str,
    name: str,
    pair_ids: pa.StringArray | None,
    reasons: Sequence[str] = (),
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
        pair_ids: of the pairs; None to take the list away.
        reasons: of each pair.
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
    with driving(matched, "match"):
        forget_next(matched)
        plan = MatchedPlan.read(matched)
        plan.require_all_parts()
        # While the plan says so and no summary fits it, nobody takes the counts for whole.
        plan.dropped = "changing"
        plan.write()
        if pair_ids is None:
            storage.remove(storage.join(matched, DROPS, f"{name}.parquet"))
        else:
            write_drops(matched, name, pair_ids, reasons, about)
        plan.dropped = Drops.read(matched).digest()
        plan.write()
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
        ArtifactError: matching is not complete.
        InputError: the metadata is not there.
    """
    MatchedPlan.read(matched).require_all_parts()
    before = artifacts.read_json(storage.join(matched, SUMMARY))["matched"]
    left = enter_drops(matched, name, None, metadata=metadata, workers=workers, quiet=quiet)
    return {"counted_again": left["matched"] - before, "matched": left["matched"]}
