"""`curate match`: inputs → `matched/`: pairs with their language and entries, counts, rejects.

The way through: input files → parts → records → language → entries → `pairs/NNNNN.parquet`, one
file a part, each with a stamp that names its part and holds its summary. A killed run therefore
goes on at the first part without a file. When all parts are there, the counts are added up from
them and `summary.json` is written, which says that the whole is complete.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from curation.lid import default_lid_model
from curation.normalize import check_normalization
from metadata.errors import BadShareError, UsageError
from pipelines import artifacts, storage
from pipelines.counting import count_parts
from pipelines.executor import run_parts
from pipelines.filters import load_filters
from pipelines.match_part import LID_ENGINES, MatchJob, Worker, match_part
from pipelines.matched_plan import PLAN, SUMMARY, MatchedPlan
from pipelines.metadata_store import ENGINES, MetadataStore, combined_hash
from pipelines.part_summary import PartSummary
from pipelines.progress import progress
from pipelines.purge import PurgeJob, purge_part
from pipelines.readers import plan_parts
from pipelines.records import ColumnNames
from pipelines.rows import Part
from pipelines.tombstones import FILE as TOMBSTONES
from pipelines.tombstones import Tombstones
from pipelines.workspace import part_name, refuse_foreign

__all__ = ["MatchOptions", "finish_matched", "match_inputs"]


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
        filters: as `--filter` takes them; what they drop is not matched.
    """

    normalization: str = "standard"
    lang: str | None = None
    lid_model: str | None = None
    columns: ColumnNames = field(default_factory=ColumnNames)
    max_bad: float = 0.01
    engine: str = "index"
    lid_engine: str = "compiled"
    filters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        check_normalization(self.normalization)
        if not 0.0 <= self.max_bad <= 1.0:
            raise UsageError(f"--max-bad is {self.max_bad}; expected a share from 0 to 1")
        if self.engine not in ENGINES:
            raise UsageError(f"--engine is {self.engine!r}; expected one of {', '.join(ENGINES)}")
        if self.lid_engine not in LID_ENGINES:
            raise UsageError(
                f"--lid-engine is {self.lid_engine!r}; expected one of {', '.join(LID_ENGINES)}"
            )


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
    store = MetadataStore.open(metadata)
    store = store.only(options.lang) if options.lang else store
    refuse_foreign(output, PLAN, TOMBSTONES)
    plan = _plan(inputs, store, output, options, anew=overwrite)
    todo = [] if overwrite else _todo(plan)
    if dry_run:
        return {"inputs": len(plan.inputs), "parts": len(plan.parts),
                "parts_to_do": len(plan.parts) if overwrite else len(todo)}  # fmt: skip
    if overwrite:
        _clear(output)
        todo = list(enumerate(plan.parts))
    if not todo and (done := plan.summary()):
        return done
    plan.write()
    storage.remove_leftovers(output)
    job = MatchJob(
        output=output,
        metadata=metadata,
        hashes=store.hashes,
        parameters=artifacts.digest(plan.parameters),
        normalization=check_normalization(options.normalization),
        lang=options.lang,
        lid_model=options.lid_model or default_lid_model(),
        columns=options.columns,
        engine=options.engine,
        lid_engine=options.lid_engine,
        filters=options.filters,
        threads=max(1, workers // max(1, len(todo))),
    )
    _run(job, plan, todo, options.max_bad, workers, quiet)
    return finish_matched(plan, store, max_bad=options.max_bad, workers=workers, quiet=quiet)


def _plan(
    inputs: list[str], store: MetadataStore, output: str, options: MatchOptions, *, anew: bool
) -> MatchedPlan:
    """Return the plan of a folder with the inputs added that it does not have yet."""
    lid_model = None if options.lang else options.lid_model or default_lid_model()
    parameters = {
        "normalization": options.normalization,
        "lang": options.lang,
        "lid_model": storage.file_sha256(lid_model) if lid_model else None,
        "columns": asdict(options.columns),
        "metadata": store.hashes,
        **({"filters": load_filters(options.filters).made_from} if options.filters else {}),
    }
    plan = MatchedPlan(output, parameters, [], [])
    if storage.exists(storage.join(output, PLAN)) and not anew:
        plan = MatchedPlan.read(output)
        artifacts.require_same(output, plan.parameters, parameters)
    plan.retracted = Tombstones.read(output).digest()
    known = {i["path"]: i for i in plan.inputs}
    for path in storage.expand(inputs):
        size, modified = storage.size_and_time(path)
        before = known.get(path)
        if before and (before["size_bytes"], before["modified"]) == (size, modified):
            continue
        sha256 = storage.file_sha256(path)
        if before:
            artifacts.require_same(
                f"{output} holds pairs of {path}, which has changed since; {output}",
                {"sha256": before["sha256"]}, {"sha256": sha256},
            )  # fmt: skip
            continue
        plan.inputs.append(
            {"path": path, "sha256": sha256, "size_bytes": size, "modified": modified}
        )
        plan.parts += plan_parts(path, sha256)
    return plan


def _todo(plan: MatchedPlan) -> list[tuple[int, Part]]:
    """Return the parts that have no file yet; a file of something else is an error."""
    there = set(storage.list_files(storage.join(plan.folder, "pairs"), ".parquet"))
    return [
        (index, part)
        for index, part in enumerate(plan.parts)
        if plan.pairs_path(index) not in there
    ]


def _clear(output: str) -> None:
    for name in ("pairs", "counts", "rejected", SUMMARY, PLAN):
        storage.remove(storage.join(output, name))


def _run(
    job: MatchJob,
    plan: MatchedPlan,
    todo: list[tuple[int, Part]],
    max_bad: float,
    workers: int,
    quiet: bool,
) -> None:
    """Match the parts that are left; stop early once the bad ones are too many for sure."""
    sizes = [part.num_rows for part in plan.parts]
    total = None if None in sizes else sum(n or 0 for n in sizes)
    # Compiled engines on Parquet hardly need the interpreter; everything else lives in it.
    is_compiled = (job.engine, job.lid_engine) == (ENGINES[0], LID_ENGINES[0])
    threads = is_compiled and all(part.kind == "parquet" for _, part in todo)
    results = run_parts(
        match_part, todo, workers=workers, setup=Worker, arguments=(job,), threads=threads
    )
    bad = 0
    for summary in progress(results, total=len(todo), label="match", unit="part", quiet=quiet):
        bad += summary.bad
        if total and bad > max_bad * total:
            _check_bad_share(_summaries(plan, partial=True), max_bad, plan, total)


def _summaries(plan: MatchedPlan, *, partial: bool = False) -> dict[int, PartSummary]:
    """Return each part's summary from its file's stamp, checked to be of this plan's part."""
    parameters = artifacts.digest(plan.parameters)
    summaries = {}
    for index, part in enumerate(plan.parts):
        path = plan.pairs_path(index)
        if partial and not storage.exists(path):
            continue
        stamp = artifacts.read_stamp(path)
        found = {"parameters": stamp["parameters"], "part": stamp["part"]}
        artifacts.require_same(path, found, {"parameters": parameters, "part": part.as_dict()})
        summaries[index] = PartSummary.from_dict(stamp["summary"])
    return summaries


def _check_bad_share(
    summaries: dict[int, PartSummary], max_bad: float, plan: MatchedPlan, num_read: int
) -> None:
    """Raise if bad records, or cut-off files, are more than the allowed share.

    A file that cannot be read to its end counts among the files: nobody knows how many of its
    rows are lost, and one lost file must not pass for one lost row.
    """
    bad = {index: s.bad for index, s in summaries.items() if s.bad}
    lost = {plan.parts[i].path for i, s in summaries.items() if s.lost_files}
    if sum(bad.values()) <= max_bad * num_read and len(lost) <= max_bad * len(plan.inputs):
        return
    worst = sorted(bad, key=lambda index: -bad[index])[:5]
    where = "\n  ".join(
        f"{plan.parts[i].path}: {bad[i]} ({_shown(summaries[i].bad_reasons())}); see "
        + storage.join(plan.folder, "rejected", part_name(i, "parquet"))
        for i in worst
    )
    raise BadShareError(
        f"{sum(bad.values())} of {num_read} records are bad"
        + (f" and {len(lost)} of {len(plan.inputs)} files cannot be read whole" if lost else "")
        + f"; --max-bad allows a share of {max_bad:g}:\n  {where}\n"
        "Mend the input, or rerun with a larger --max-bad to drop and count them."
    )


def _shown(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason} {num}" for reason, num in sorted(reasons.items()))


def finish_matched(
    plan: MatchedPlan, store: MetadataStore, *, max_bad: float, workers: int, quiet: bool
) -> dict[str, Any]:
    """Take out what was retracted, check the sums, write counts and summary.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        BadShareError: too many bad records.
    """
    if plan.retracted:
        _purge(plan, store, workers, quiet)
    summaries = _summaries(plan)
    total = sum(summaries.values(), PartSummary())
    _check_bad_share(summaries, max_bad, plan, total.read)
    if total.read != total.matched + sum(total.dropped().values()):
        raise AssertionError(f"read {total.read} != matched {total.matched} + {total.dropped()}")
    _write_counts(plan, store, quiet)
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": plan.digest(),
        "metadata_hash": combined_hash(store.hashes),
        "inputs": len(plan.inputs),
        "parts": len(plan.parts),
        **total.as_dict(),
    }
    storage.write_json(storage.join(plan.folder, SUMMARY), summary)
    return summary


def _purge(plan: MatchedPlan, store: MetadataStore, workers: int, quiet: bool) -> None:
    """Rewrite the parts that hold retracted pairs; those matched since hold none."""
    job = PurgeJob(
        paths=[plan.pairs_path(index) for index in range(len(plan.parts))],
        tombstones=Tombstones.read(plan.folder),
        metadata_hash=combined_hash(store.hashes),
    )
    tasks = range(len(plan.parts))
    results = run_parts(
        purge_part, tasks, workers=workers, setup=lambda: job, arguments=(), threads=True
    )
    for _ in progress(results, total=len(tasks), label="retract", unit="part", quiet=quiet):
        pass


def _write_counts(plan: MatchedPlan, store: MetadataStore, quiet: bool) -> None:
    paths = [plan.pairs_path(index) for index in range(len(plan.parts))]
    for lang, count in count_parts(paths, store, quiet=quiet).items():
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
