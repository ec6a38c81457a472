"""The end of matching: what was retracted taken out, sums checked, counts and summary written."""

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.executor.journal import Journal
from curate.pipelines.inputs.extracted import sum_opt_outs
from curate.pipelines.match.ids import repeated_ids
from curate.pipelines.match.not_counted import leave_out_drops
from curate.pipelines.match.purge import purge_parts
from curate.pipelines.match.summary import PartSummary
from curate.pipelines.match.totals import MatchTotals, stamped_summary
from curate.pipelines.matched.counting import count_parts
from curate.pipelines.matched.drops import CONTAMINATED, Drops
from curate.pipelines.matched.plan import SUMMARY, MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MetadataStore, combined_hash
from curate.pipelines.views.progress import log

__all__ = ["finish_matched", "open_journal"]

_SHOWN = 5


def open_journal(plan: MatchedPlan) -> Journal:
    """Return the notes of the parts that are done."""
    made_from = {"parameters": artifacts.digest(plan.parameters)}
    base = plan.base.folder if plan.base is not None else None
    of_base = [index for index in range(len(plan.parts)) if plan.is_of_base(index)]
    return Journal(plan.folder, len(plan.parts), made_from, base, of_base)


def finish_matched(
    plan: MatchedPlan,
    store: MetadataStore,
    *,
    max_bad: float,
    on_repeated_ids: str = "keep",
    workers: int,
    quiet: bool,
) -> dict[str, Any]:
    """Take out what was retracted, check sums and ids, write counts and summary.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        BadShareError: too many bad records.
        InputError: pairs that differ share an id, and they are not to be kept so; or no input has
            any row.
    """
    if plan.retracted and plan.base is None:  # what is whole holds none, nor what is matched since
        open_journal(plan).forget()
        purge_parts(plan, combined_hash(store.hashes), workers=workers, quiet=quiet)
    journal = open_journal(plan)
    journal.complete(partial(stamped_summary, plan, artifacts.digest(plan.parameters)))
    if missing := journal.missing():
        raise ArtifactError(
            f"{plan.pairs_path(missing[0])} is not there any more. Run the same "
            f"`{suggest('match')}` again."
        )
    totals = MatchTotals(plan, max_bad)
    rows: Counter[str] = Counter()
    for index, found in journal.summaries():
        totals.add(index, PartSummary.from_dict(found))
        rows.update({piece.path: found["read"] for piece in plan.parts[index].pieces()})
    _tell_of_empty([one["path"] for one in plan.inputs if not rows[one["path"]]], plan, quiet=quiet)
    totals.check_bad_share(totals.total.read)
    _require_captions(plan, totals.total)
    drops = Drops.read((plan.base or plan).folder) if plan.dropped else Drops()
    if drops.lists:
        leave_out_drops(plan, drops, totals.total, workers=workers)
    sums = totals.check_sums()
    repeats = repeated_ids(plan, on_repeated_ids, workers=workers, quiet=quiet)
    matches = _write_counts(plan, store, drops, workers, quiet)
    journal.close()
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": plan.digest(),
        "metadata_hash": combined_hash(store.hashes),
        "inputs": len(plan.inputs),
        "parts": len(plan.parts),
        "matches": matches,
        "with_image": 0,
        "without_url": 0,
        **sums,
        **repeats,
    }
    if about := drops.about.get(CONTAMINATED):
        summary[CONTAMINATED] = about
    if opt_outs := sum_opt_outs(plan.inputs):
        summary["opt_outs"] = opt_outs
    artifacts.write_json(storage.join(plan.folder, SUMMARY), summary)
    return summary


def _require_captions(plan: MatchedPlan, total: PartSummary) -> None:
    """Refuse captions of other pairs.

    Raises:
        InputError: no pair was matched by its caption.
    """
    if "captions" not in plan.parameters or total.facts["by_caption"] or not total.matched:
        return
    with artifacts.open_parquet(plan.pairs_path(0)) as file:
        batch = next(file.iter_batches(1, columns=["pair_id"]), None)
    example = f", such as {batch.column('pair_id')[0].as_py()!r}," if batch else ""
    raise InputError(
        f"none of {total.matched:,} pairs was matched by a caption: the ids of pairs{example} and "
        "those in the tables of --captions have to be the same. Name other tables, and match with "
        "--overwrite."
    )


def _tell_of_empty(empty: list[str], plan: MatchedPlan, *, quiet: bool) -> None:
    """Say which inputs have no rows.

    Raises:
        InputError: not one of them has any, so that there is nothing to go on with.
    """
    if not empty:
        return
    more = f" and {len(empty) - _SHOWN:,} more" if len(empty) > _SHOWN else ""
    shown = ", ".join(empty[:_SHOWN]) + more
    if len(empty) == len(plan.inputs):
        raise InputError(
            f"nothing was read: {shown}: no rows. Expected a pair in each row; look at what wrote "
            f"{'them' if len(empty) > 1 else 'it'}."
        )
    log(f"without rows, and so without pairs: {shown}", quiet=quiet)


def _write_counts(
    plan: MatchedPlan, store: MetadataStore, drops: Drops, workers: int, quiet: bool
) -> dict[str, int]:
    """Write the counts of all languages; return the sum of each, with which readers compare."""
    paths = [plan.pairs_path(index) for index in range(len(plan.parts))]
    counts = count_parts(
        paths, store, folder=plan.folder, plan=plan.digest(), left=drops.left if drops.lists else
        None, workers=workers, quiet=quiet,
    )  # fmt: skip
    for lang, count in counts.items():
        entry = store.table(lang).column("entry")
        table = pa.table(
            {
                "entry_id": pa.array(np.arange(len(count), dtype=np.uint32)),
                "entry": entry,
                "count": pa.array(count.astype(np.uint64)),
            }
        )
        stamp = {"lang": lang, "plan": plan.digest()}
        artifacts.write_table(plan.counts_path(lang), table, stamp, store.hashes[lang])
    return {lang: int(count.sum()) for lang, count in counts.items()}
