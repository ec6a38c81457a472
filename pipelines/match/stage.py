"""`curate match`: inputs → `matched/`: pairs with their language and entries, counts, rejects.

The way through: input files → parts → records → language → entries → `pairs/NNNNN.parquet`, one
file a part, each with a stamp that names its part and holds its summary. A killed run therefore
goes on at the first part without a file. What is done is noted in a journal (`exec_journal`). When
all parts are there, the counts are added up from them and `summary.json` is written, which says
that the whole is complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from curate.curation.lid.identify import default_lid_model
from curate.curation.matching.normalize import check_normalization
from curate.errors import UsageError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.listing import sizes_and_times
from curate.pipelines.caption_tables.instead import CaptionsInstead
from curate.pipelines.duplicates.keys import KEYS
from curate.pipelines.executor.cluster import current_cluster
from curate.pipelines.executor.journal import JOURNAL, PARTS, Journal
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.filters import load_filters
from curate.pipelines.inputs.own_inputs import by_name
from curate.pipelines.inputs.own_outputs import input_files
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.lid.options import LID_ENGINES, LidOptions, way_to_identify_alike
from curate.pipelines.match.adding import (
    begin_addition,
    end_addition,
    is_whole,
    require_chosen,
    seal_replacement,
)
from curate.pipelines.match.earlier_inputs import (
    leave_out_unmatched,
    remove_parts,
    told_of_earlier_inputs,
)
from curate.pipelines.match.finish import finish_matched, open_journal
from curate.pipelines.match.ids import REPEATED_IDS, name_tars
from curate.pipelines.match.label_hint import hint_at_labels
from curate.pipelines.match.part import MatchJob, Worker, match_part
from curate.pipelines.match.plan import add_inputs, copies_of, planned_work
from curate.pipelines.match.summary import PartSummary
from curate.pipelines.match.totals import MatchTotals, stamped_summary
from curate.pipelines.matched.counting import COUNTING
from curate.pipelines.matched.drops import DROPS, Drops
from curate.pipelines.matched.notes import note_metadata
from curate.pipelines.matched.plan import PLAN, SUMMARY, MatchedPlan
from curate.pipelines.matched.stale import require_metadata
from curate.pipelines.matched.tombstones import FILE as TOMBSTONES
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import ENGINES, MetadataStore
from curate.pipelines.store.swap import ADDING, folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress

__all__ = ["MatchOptions", "match_inputs"]

# What a folder of matches holds, and an overwrite replaces.
_ENTRIES = (
    "pairs", "counts", "rejected", COUNTING, JOURNAL, PARTS, KEYS, DROPS, SUMMARY, PLAN, ADDING,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchOptions:
    """What decides the result of matching.

    Attributes:
        normalization: ``standard`` or ``metaclip``.
        lang: take every text as this language; None to identify the language of each.
        lid_model: fastText model; None for lid.176.ftz.
        columns: names of the input's columns.
        max_bad: share of bad records, 0 to 1, above which the run fails.
        engine: one of ENGINES; it changes how long matching takes and nothing else.
        lid_engine: one of LID_ENGINES; likewise, but for the last digits of scores.
        lid: how languages are identified.
        filters: as `--filter` takes them; what they drop is not matched.
        repeated_ids: one of REPEATED_IDS: whether to fail where pairs that differ share an id.
        rows_per_part: rows of a Parquet file that one task matches, at least a row group; None for
            an eighth of the file, within limits.
        image_roots: folders that tables may name images in, besides their own.
        captions: tables of captions, whose entries are taken instead of those of alt-texts.
    """

    normalization: str = "standard"
    lang: str | None = None
    lid_model: str | None = None
    columns: ColumnNames = field(default_factory=ColumnNames)
    max_bad: float = 0.01
    engine: str = "index"
    lid_engine: str = "compiled"
    lid: LidOptions = field(default_factory=LidOptions)
    filters: tuple[str, ...] = ()
    repeated_ids: str = "refuse"
    rows_per_part: int | None = None
    image_roots: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        check_normalization(self.normalization)
        if not 0.0 <= self.max_bad <= 1.0:
            raise UsageError(f"--max-bad is {self.max_bad}; expected a share from 0 to 1")
        if self.rows_per_part is not None and self.rows_per_part < 1:
            raise UsageError(f"--rows-per-part is {self.rows_per_part}; expected at least 1")
        if self.repeated_ids not in REPEATED_IDS:
            raise UsageError(
                f"--repeated-ids is {self.repeated_ids!r}; expected {' or '.join(REPEATED_IDS)}"
            )
        if self.engine not in ENGINES:
            raise UsageError(f"--engine is {self.engine!r}; expected one of {', '.join(ENGINES)}")
        if self.lid_engine not in LID_ENGINES:
            raise UsageError(
                f"--lid-engine is {self.lid_engine!r}; expected one of {', '.join(LID_ENGINES)}"
            )


@driven("match")
def match_inputs(
    inputs: list[str],
    *,
    metadata: str,
    output: str,
    options: MatchOptions,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Match input files against the metadata; what is there already is kept and added to.

    Args:
        inputs: files, folders or patterns.
        metadata: folder that `build-metadata` wrote.
        output: the folder `matched/`.
        options: what decides the result.
        workers: threads, or processes where Python does the work.
        overwrite: begin anew, throwing away what the folder holds.
        dry_run: plan only; nothing is written.
        quiet: no progress.

    Returns:
        The summary, as in `summary.json`; with dry_run, the plan.

    Raises:
        InputError: an input is missing or lacks a text column.
        BadShareError: too many bad records.
        ArtifactError: the folder holds the matches of something else.
    """
    options = replace(options, lid=options.lid.resolved(quiet=quiet or options.lang is not None))
    store = MetadataStore.open(metadata)
    store = store.only(options.lang) if options.lang else store
    captions = CaptionsInstead.of(options.captions, quiet=quiet)
    parameters = _parameters(store, options, captions)
    refuse_foreign(output, PLAN, TOMBSTONES)
    addresses = by_name(input_files(inputs, output, metadata, quiet=quiet), quiet=quiet)
    paths = list(addresses)
    if dry_run:
        plan, first_stale = _plan(store, output, parameters, paths, anew=overwrite, quiet=quiet)
        add_inputs(
            plan, addresses, options.columns, options.rows_per_part, workers=workers, quiet=quiet
        )
        before = 0 if overwrite else plan.completed().inputs
        return planned_work(plan, before, 0 if overwrite else first_stale)
    with folder_to_fill(
        output, overwrite=overwrite, marker=PLAN, sign=SUMMARY, gone=_ENTRIES
    ) as folder:
        if folder != output:
            _begin_anew(folder, output, parameters, addresses)
        job = _job(folder, store, metadata, options, parameters, captions)
        summary = _match_into(job, store, options, parameters, addresses, workers, quiet)
        if folder != output:
            seal_replacement(folder, output, paths)
    note_metadata(output, metadata)
    return summary


def _begin_anew(
    folder: str, output: str, parameters: dict[str, Any], addresses: Mapping[str, str]
) -> None:
    """Make a folder ready in which matches are made anew: empty, or as the same run left it.

    What was retracted is so in the new matches too.
    """
    if storage.exists(storage.join(folder, PLAN)):
        begun = MatchedPlan.read(folder)
        entries = [one for entry in begun.inputs for one in (entry, *copies_of(entry))]
        known = {one["path"]: (one["size_bytes"], one["modified"]) for one in entries}
        now = sizes_and_times(addresses.values())
        is_same = known == dict(zip(addresses, now, strict=True))
        if begun.parameters != parameters or not is_same:
            storage.remove(folder)
    tombstones = Tombstones.read(output)
    if tombstones.digest() != Tombstones.read(folder).digest():
        storage.remove(folder)
        tombstones.write(folder)


def _match_into(
    job: MatchJob, store: MetadataStore, options: MatchOptions, parameters: dict[str, Any],
    addresses: Mapping[str, str], workers: int, quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """Match files into a folder, on top of what is there; return the summary."""
    output, paths = job.output, list(addresses)
    plan, first_stale = _plan(store, output, parameters, paths, anew=False, quiet=quiet)
    before, was_whole = plan.completed().inputs, first_stale is None and is_whole(plan)
    is_another = add_inputs(
        plan, addresses, options.columns, options.rows_per_part, workers=workers, quiet=quiet
    )
    if first_stale is not None:
        remove_parts(plan, first_stale)
    added = {"inputs_added": len(plan.inputs) - before}
    if (done := plan.summary()) and is_whole(plan):
        if is_another:
            plan.write()
        return {**done, **added}
    if was_whole and plan.summary() is None:
        begin_addition(plan, addresses, quiet=quiet)
    require_chosen(plan, paths)
    if options.lang is None:
        hint_at_labels(store, options.lid_model, quiet=quiet)
    plan.write()
    storage.remove_leftovers(output)
    job = replace(job, output=plan.folder)  # which is another one where inputs are added
    with told_of_earlier_inputs(plan, paths):
        _run(job, plan, open_journal(plan), options.max_bad, workers, quiet)
        if name_tars(plan, workers=workers, quiet=quiet):
            require_chosen(plan, paths)
            _run(job, plan, open_journal(plan), options.max_bad, workers, quiet)
        summary = finish_matched(
            plan, store, max_bad=options.max_bad, on_repeated_ids=options.repeated_ids,
            workers=workers, quiet=quiet,
        )  # fmt: skip
    if plan.base is not None:
        plan.seal(output)
        end_addition(output)
    return {**summary, **added}


def _plan(
    store: MetadataStore, output: str, parameters: dict[str, Any], paths: list[str], *,
    anew: bool, quiet: bool,
) -> tuple[MatchedPlan, int | None]:  # fmt: skip
    """Return a folder's plan without new inputs, and the first part whose files are to go."""
    plan, first_stale = MatchedPlan(output, parameters, [], [], is_own=True), None
    if storage.exists(storage.join(output, PLAN)) and not anew:
        plan = MatchedPlan.read(output)
        plan.is_own = plan.is_sealed() or set(plan.sources()) <= set(paths)
        first_stale = leave_out_unmatched(plan, paths, parameters, quiet=quiet)
        if {**plan.parameters, "metadata": parameters["metadata"]} == parameters:
            require_metadata(plan, store.hashes)
        way = way_to_identify_alike(plan.parameters, parameters) or artifacts.REPLACE
        artifacts.require_same(output, plan.parameters, parameters, remedy=way)
    plan.retracted = Tombstones.read(output).digest()
    plan.dropped = Drops.read(output).digest() if not anew else None
    return plan, first_stale


def _parameters(
    store: MetadataStore, options: MatchOptions, captions: CaptionsInstead | None
) -> dict[str, Any]:
    """Return what decides the result."""
    lid_model = None if options.lang else options.lid_model or default_lid_model()
    roots = [without_secrets(root) for root in options.image_roots]
    return {
        "normalization": options.normalization,
        "lang": options.lang,
        "lid_model": storage.file_sha256(lid_model) if lid_model else None,
        **({} if options.lang else options.lid.as_parameters()),
        "columns": options.columns.as_dict(),
        "metadata": store.hashes,
        **({"filters": load_filters(options.filters).made_from} if options.filters else {}),
        **({"image_roots": roots} if roots else {}),
        **({"captions": captions.digest} if captions else {}),
    }


def _job(
    output: str, store: MetadataStore, metadata: str, options: MatchOptions,
    parameters: dict[str, Any], captions: CaptionsInstead | None,
) -> MatchJob:  # fmt: skip
    return MatchJob(
        output=output,
        metadata=metadata,
        hashes=store.hashes,
        parameters=artifacts.digest(parameters),
        normalization=check_normalization(options.normalization),
        lang=options.lang,
        lid_model=options.lid_model or default_lid_model(),
        columns=options.columns,
        engine=options.engine,
        lid_engine=options.lid_engine,
        lid=options.lid,
        filters=options.filters,
        image_roots=options.image_roots,
        captions=captions,
        threads=1,
    )


def _run(
    job: MatchJob,
    plan: MatchedPlan,
    journal: Journal,
    max_bad: float,
    workers: int,
    quiet: bool,
) -> None:
    """Match the parts that are left; stop early once the bad ones are too many for sure."""
    journal.complete(partial(stamped_summary, plan, job.parameters))
    todo = [(index, plan.parts[index]) for index in journal.missing()]
    totals = MatchTotals(plan, max_bad)
    for index, summary in journal.summaries():
        totals.add(index, PartSummary.from_dict(summary))
    if current_cluster().kind == "local":
        job = replace(job, threads=max(1, workers // max(1, len(todo))))
    sizes = [part.all_rows() for part in plan.parts]
    total = None if None in sizes else sum(n or 0 for n in sizes)
    # Compiled engines on Parquet hardly need the interpreter; everything else lives in it.
    is_compiled = (job.engine, job.lid_engine) == (ENGINES[0], LID_ENGINES[0])
    threads = is_compiled and all(part.kind == "parquet" for _, part in todo)
    results = run_parts(
        match_part, todo, workers=workers, setup=Worker, arguments=(job,), threads=threads,
        anywhere=True,
    )  # fmt: skip
    try:
        for index, size_bytes, found in progress(
            results, total=len(todo), label="match", unit="part", quiet=quiet
        ):
            journal.note(index, size_bytes, found.as_dict())
            totals.add(index, found)
            if total is not None:
                totals.check_bad_share(total)
    finally:
        journal.flush()
