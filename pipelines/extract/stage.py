"""`curate extract`: crawl files → `pairs/`: addresses and texts of images, each once.

The way through: files → records → pages → images → pairs → filters → duplicates taken out. A file's
pairs are one Parquet file with a stamp that names its input and holds its summary, so a killed run
goes on at the first file without one. Where duplicates are taken out, a file first goes to
`_extract/found/`; then all are looked at together. A pair is kept where it comes first, in the
order of the files, so what is written of a file depends on the files before it and on none after
it, and new files can be added. Names in `pairs/` that begin with `_` are our own business: `match`
takes the folder as it is.
"""

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import ArtifactError, BadShareError, UsageError
from curate.files import storage
from curate.files.patterns import expand
from curate.files.remedies import damaged
from curate.pipelines.executor.lease import driven
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.extract.dedup import MODES, Duplicates, find_duplicates
from curate.pipelines.extract.pages import PageOptions
from curate.pipelines.extract.part import ExtractJob, Worker, extract_part
from curate.pipelines.extract.plan import OURS, PLAN, SUMMARY, ExtractPlan, plan_inputs
from curate.pipelines.extract.summary import ExtractSummary
from curate.pipelines.inputs.filters import load_filters
from curate.pipelines.inputs.own_inputs import by_name, refuse_unnamed, seal_inputs
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress

__all__ = ["ExtractOptions", "extract_pairs"]

# Goes up when other pairs come out of the same files.
_CODE = 4
_BATCH_ROWS = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractOptions:
    """What decides the result of extracting.

    Attributes:
        dedup: one of MODES, or ``none``.
        filters: as `--filter` takes them.
        page: which pairs a page gives.
        max_bad: share of bad records, 0 to 1, above which the run fails.
    """

    dedup: str = "pair"
    filters: tuple[str, ...] = ()
    page: PageOptions = field(default_factory=PageOptions)
    max_bad: float = 0.01

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.dedup not in (*MODES, "none"):
            raise UsageError(f"--dedup is {self.dedup!r}; expected one of {', '.join(MODES)}, none")
        if not 0.0 <= self.max_bad <= 1.0:
            raise UsageError(f"--max-bad is {self.max_bad}; expected a share from 0 to 1")


@driven("extract")
def extract_pairs(
    inputs: list[str],
    *,
    output: str,
    options: ExtractOptions,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Extract pairs from crawl files; what is there already is kept and added to.

    Args:
        inputs: files, folders or patterns, of WARC and WAT.
        output: the folder `pairs/`.
        options: what decides the result.
        workers: processes; threads that look for duplicates.
        overwrite: begin anew, throwing away what the folder holds.
        dry_run: plan only; nothing is written.
        quiet: no progress.

    Returns:
        The summary, as in `_extract/summary.json`; with dry_run, the plan.

    Raises:
        InputError: an input is missing.
        BadShareError: too many bad records.
        ArtifactError: the folder holds the pairs of something else.
    """
    refuse_foreign(output, PLAN, OURS)
    addresses = by_name(expand(inputs), quiet=quiet)
    parameters = _parameters(options)
    if dry_run:
        plan = plan_inputs(addresses, output, parameters, anew=overwrite)
        todo = range(len(plan.inputs)) if overwrite else _to_do(plan)
        return {"inputs": len(plan.inputs), "inputs_to_do": len(todo)}
    gone = [path.rsplit("/", 1)[-1] for path in storage.list_files(output, ".parquet")]
    with folder_to_fill(output, overwrite=overwrite, marker=PLAN, sign=OURS, gone=gone) as folder:
        if folder != output and not _is_begun(addresses, folder, parameters):
            storage.remove(folder)
        plan = plan_inputs(addresses, folder, parameters, anew=False)
        return _extract_into(plan, addresses, options, workers=workers, quiet=quiet)


def _to_do(plan: ExtractPlan) -> list[int]:
    """Return the numbers of the inputs that are not done, or are others than they were."""
    return [i for i in range(len(plan.inputs)) if i in plan.replaced or plan.done(i) is None]


def _is_begun(addresses: Mapping[str, str], folder: str, parameters: dict[str, Any]) -> bool:
    """Tell whether the same run has begun in a folder before."""
    try:
        plan = plan_inputs(addresses, folder, parameters, anew=False)
    except ArtifactError:
        return False
    return plan.names() == list(addresses)


def _extract_into(
    plan: ExtractPlan,
    addresses: Mapping[str, str],
    options: ExtractOptions,
    *,
    workers: int,
    quiet: bool,
) -> dict[str, Any]:
    """Extract what is not done yet; return the summary."""
    output = plan.folder
    todo = _to_do(plan)
    if not plan.is_own:
        refuse_unnamed(output, {plan.inputs[i]["path"] for i in todo}, list(addresses))
    summary_path = storage.join(output, SUMMARY)
    if not todo and storage.exists(summary_path):
        done = artifacts.read_json(summary_path)
        if done["plan"] == plan.digest():
            return done
    storage.remove_leftovers(output)
    plan.remove_replaced()  # before the plan says that they are others
    artifacts.write_json(storage.join(output, PLAN), plan.as_dict())
    if plan.is_own:
        seal_inputs(output, plan.names())
    _extract(plan, todo, addresses, options, workers=workers, quiet=quiet)
    if options.dedup != "none":
        _check_bad_share(plan, _summaries(plan), options.max_bad)
        _without_duplicates(plan, options.dedup, workers=workers, quiet=quiet)
        for name in ("found", "keys"):  # keys: of a run that was killed before it removed them
            storage.remove(storage.join(output, OURS, name))
    return _finish(plan, options.max_bad)


def _parameters(options: ExtractOptions) -> dict[str, Any]:
    """Return what decides the pairs of an input."""
    page = {k: v for k, v in asdict(options.page).items() if k != "page_seconds"}
    return {
        "code": _CODE,
        "dedup": options.dedup,
        "filters": load_filters(options.filters).made_from,
        **page,
    }


def _extract(
    plan: ExtractPlan,
    todo: list[int],
    addresses: Mapping[str, str],
    options: ExtractOptions,
    *,
    workers: int,
    quiet: bool,
) -> None:
    """Extract the files that are not there yet, to where they are looked at for duplicates."""
    is_last = options.dedup == "none"
    job = ExtractJob(
        parameters=artifacts.digest(plan.parameters),
        pairs=plan.folder if is_last else storage.join(plan.folder, OURS, "found"),
        rejected=storage.join(plan.folder, OURS, "rejected"),
        options=options.page,
        filters=options.filters,
    )
    todo = [i for i in todo if is_last or plan.found(i) is None]
    names = plan.names()
    tasks = [(i, addresses.get(names[i], names[i]), plan.own(i)) for i in todo]
    results = run_parts(
        extract_part, tasks, workers=workers, setup=Worker, arguments=(job,), anywhere=True
    )
    for _ in progress(results, total=len(tasks), label="extract", unit="file", quiet=quiet):
        pass


@contextmanager
def _scratch(output: str) -> Iterator[str]:
    """Give a local folder for the keys: in the output, or where that is remote, elsewhere."""
    if storage.is_local(output):
        folder = storage.join(output, OURS, "keys")
        storage.remove(folder)
        yield folder
        storage.remove(folder)
        return
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        yield folder


def _without_duplicates(plan: ExtractPlan, mode: str, *, workers: int, quiet: bool) -> None:
    """Write the files that are found but not done, without what earlier ones hold.

    A file that is done holds each of its pairs for the first time, so what was dropped from it need
    not be known.
    """
    done = [plan.done(i) is not None for i in range(len(plan.inputs))]
    if all(done):
        return
    paths = [plan.pairs_path(i) if done[i] else plan.found_path(i) for i in range(len(done))]
    with _scratch(plan.folder) as folder:
        duplicates = find_duplicates(paths, folder, mode, workers=workers, quiet=quiet)
        tasks = [i for i, is_done in enumerate(done) if not is_done]
        results = run_parts(
            _write_unique, tasks, workers=workers, threads=True, anywhere=True,
            setup=lambda: (plan, duplicates, MODES[mode]), arguments=(),
        )  # fmt: skip
        for _ in progress(results, total=len(tasks), label="write", unit="file", quiet=quiet):
            pass


def _write_unique(state: tuple[ExtractPlan, Duplicates, str], index: int) -> None:
    plan, duplicates, reason = state
    later = duplicates.rows(index)
    found = plan.found(index)
    if found is None:
        raise AssertionError(f"{plan.found_path(index)} is gone")
    with artifacts.open_parquet(plan.found_path(index)) as file:
        with artifacts.parquet_writer(plan.pairs_path(index), file.schema_arrow) as writer:
            first = 0
            for batch in file.iter_batches(_BATCH_ROWS):
                keep = np.ones(batch.num_rows, dtype=bool)
                start, stop = np.searchsorted(later, [first, first + batch.num_rows])
                keep[later[start:stop] - first] = False
                writer.write(batch.filter(pa.array(keep)))
                first += batch.num_rows
            summary = found.without(reason, len(later))
            writer.close({**plan.stamp(plan.part(index)), "summary": summary.as_dict()}, "")


def _summaries(plan: ExtractPlan) -> list[ExtractSummary]:
    """Return the summary of each input, whether its duplicates are taken out yet or not."""
    summaries = []
    for index in range(len(plan.inputs)):
        summary = plan.done(index) or plan.found(index)
        if summary is None:
            raise AssertionError(f"{plan.pairs_path(index)} is not there")
        summaries.append(summary)
    return summaries


def _check_bad_share(plan: ExtractPlan, summaries: list[ExtractSummary], max_bad: float) -> None:
    """Raise if bad records, or files that end early, are more than the allowed share."""
    bad = [sum(summary.bad.values()) for summary in summaries]
    read = sum(sum(summary.records.values()) for summary in summaries)
    lost = sum(summary.lost_files for summary in summaries)
    if sum(bad) <= max_bad * read and lost <= max_bad * len(summaries):
        return
    worst = [i for i in sorted(range(len(bad)), key=lambda i: -bad[i])[:5] if bad[i]]
    where = "\n  ".join(
        f"{plan.inputs[i]['path']}: "
        + ", ".join(f"{reason} {num}" for reason, num in summaries[i].bad.items())
        + f"; see {plan.rejected_path(i)}"
        for i in worst
    )
    share = max(sum(bad) / read, lost / len(summaries))
    raise BadShareError(
        f"{sum(bad)} of {read} records are bad"
        + (f" and {lost} of {len(summaries)} files cannot be read whole" if lost else "")
        + f"; --max-bad allows a share of {max_bad:g}:\n  {where}\n"
        "What is found is kept. Fetch these files again, to the same names, and run the same "
        "command again, which reads them alone anew; or leave out what is bad: add "
        f"--max-bad {math.ceil(share * 1000) / 1000:g}."
    )


def _finish(plan: ExtractPlan, max_bad: float) -> dict[str, Any]:
    summaries = _summaries(plan)
    _check_bad_share(plan, summaries, max_bad)
    total = sum(summaries, ExtractSummary()).as_dict()
    for index, one in enumerate(summaries):
        path = plan.pairs_path(index)
        with artifacts.open_parquet(path) as file:
            if file.metadata.num_rows != one.pairs["pairs"]:
                damaged(path, f"it has {file.metadata.num_rows:,} pairs, its stamp counts "
                              f"{one.pairs['pairs']:,}")  # fmt: skip
    if total["read"] != total["pairs"] + sum(total["dropped"].values()):
        raise AssertionError(f"read {total['read']} != {total['pairs']} + {total['dropped']}")
    summary = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "plan": plan.digest(),
        "inputs": len(plan.inputs),
        **total,
    }
    artifacts.write_json(storage.join(plan.folder, SUMMARY), summary)
    return summary
