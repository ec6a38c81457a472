"""One language from its plan to its file: fetch what is missing, build, write, drop.

A language that cannot be built is a `Failed`, with the reason: the others go on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curate.curation.matching.normalize import Normalization
from curate.errors import ArtifactError, CurateError, DiskSpaceError, InputError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.metadata.build import BuiltMetadata, LanguageSources, build_language
from curate.metadata.corpus.count import remove_counts
from curate.metadata.entries import Thresholds, metadata_hash
from curate.metadata.languages import wikis_of
from curate.metadata.views.stored_views import StoredViews
from curate.metadata.wordnets.wordnet import wordnet_files
from curate.pipelines.build_metadata.api_corpus import fetch_api_file
from curate.pipelines.build_metadata.count_dumps import (
    count_and_drop,
    counts_folder,
    is_dropped_one_by_one,
    uncounted_dumps,
)
from curate.pipelines.build_metadata.fetch_sources import Sources
from curate.pipelines.build_metadata.find_sources import SourceFile, identity
from curate.pipelines.build_metadata.own_entries import (
    STAMPED,
    built_before,
    differs_in_own,
    note_own_files,
    put_own,
)
from curate.pipelines.build_metadata.pageview_sample import CountedViews
from curate.pipelines.build_metadata.plan import LanguagePlan
from curate.pipelines.build_metadata.prefetch import Prefetched
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import index_path, write_indices
from curate.pipelines.views.progress import progress
from curate.pipelines.views.tables import in_words

__all__ = [
    "NORMALIZATIONS",
    "BuildRun",
    "build_all",
    "language_path",
    "needs_sources",
    "write_language",
]

_REPLACE_OWN = "With --overwrite only your own entries are replaced, and nothing is counted anew."
NORMALIZATIONS: tuple[Normalization, ...] = ("standard", "metaclip")


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTask:
    """One language to build, its files at hand; picklable.

    Attributes:
        lang: metadata language.
        sources: its files.
        thresholds: what is kept.
        stamp: what the file is made from.
        views: files of stored page views.
        own: list of somebody's own entries.
        drop: files to remove once they are counted.
    """

    lang: str
    sources: LanguageSources
    thresholds: Thresholds
    stamp: dict[str, Any]
    views: tuple[str, ...] = ()
    own: SourceFile | None = None
    drop: tuple[SourceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A language that could not be built, and why."""

    lang: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRun:
    """What all languages of a run share.

    Attributes:
        sources: where files come from.
        wordnet_dir: folder of WordNet files; None for nltk's data.
        fetch_wordnet: whether nltk may download them.
        overrides: thresholds that differ from the language's own.
        counted: the page views.
        output: the folder `metadata/`.
        overwrite: whether to replace the languages' files.
        scratch: folder of counted parts, for runs that go on.
        memory_bytes: what counting may take, all processes together.
    """

    sources: Sources
    wordnet_dir: str | None
    fetch_wordnet: bool
    overrides: dict[str, Any]
    counted: CountedViews
    output: str
    overwrite: bool
    scratch: str
    memory_bytes: int


def needs_sources(plan: LanguagePlan, output: str, *, overwrite: bool) -> bool:
    """Tell, before the page views are known, whether a language will need its files."""
    path = language_path(output, plan.lang)
    if not storage.exists(path) or not all(map(identity, plan.files)):
        return True
    own = None if plan.own is None else identity(plan.own)
    return overwrite and artifacts.read_stamp(path)["made_from"].get(STAMPED) == own


def build_all(
    plans: Sequence[LanguagePlan], run: BuildRun, *, workers: int, quiet: bool
) -> dict[str, str]:
    """Build the languages that are not done; return what is wrong with those that failed."""
    failed = {plan.lang: plan.problem for plan in plans if plan.problem is not None}
    todo = []
    for plan in plans:
        if plan.problem is None and plan.has_sources:
            try:
                is_done = _is_planned_done(plan, run)
            except InputError as error:
                failed[plan.lang] = str(error)
                continue
            if is_done:
                _tidy(run.scratch, _task(plan, run))  # a run may have been killed just before it
            else:
                todo.append(plan)

    results = _results(todo, run, workers, quiet=quiet)
    for result in progress(results, total=len(todo), label="build", unit="language", quiet=quiet):
        if result is not None:
            failed[result.lang] = result.problem
    return dict(sorted(failed.items()))


def _results(
    todo: Sequence[LanguagePlan], run: BuildRun, workers: int, *, quiet: bool
) -> Iterator[Failed | None]:
    """Build first, one after the other, the languages whose dumps are dropped one by one."""
    rest = []
    for plan in todo:
        if _is_built(plan, run) or not is_dropped_one_by_one(plan, run.sources, run.scratch):
            rest.append(plan)
            continue
        problem = count_and_drop(
            plan,
            run.sources,
            run.scratch,
            memory_bytes=run.memory_bytes,
            workers=workers,
            quiet=quiet,
        )
        if problem is None:
            yield from _build_plans([plan], run, workers)
        else:
            yield Failed(plan.lang, problem)
    yield from _build_plans(rest, run, workers)


def _build_plans(
    plans: Sequence[LanguagePlan], run: BuildRun, workers: int
) -> Iterator[Failed | None]:
    def prepare(plan: LanguagePlan) -> LanguageTask | Failed:
        try:
            if not _is_built(plan, run):
                _fetch(plan, run)
            return _task(plan, run)
        except DiskSpaceError:
            raise  # it would be full for the others as well
        except CurateError as error:
            return Failed(plan.lang, str(error))

    jobs = Prefetched(plans, prepare, run.sources.fetcher)
    at_once = max(1, min(workers, len(plans)))
    arguments = (
        run.output,
        run.overwrite,
        run.scratch,
        run.memory_bytes // at_once,
        workers if at_once == 1 else 1,
    )
    return run_parts(
        _build, jobs, workers=workers, setup=_Output, arguments=arguments, anywhere=True
    )


def _is_planned_done(plan: LanguagePlan, run: BuildRun) -> bool:
    """Tell whether a language is built, of files that are here or were dropped."""
    known = all(identity(file) is not None for file in plan.files)
    return known and not run.overwrite and _is_done(run.output, _task(plan, run))


def _is_built(plan: LanguagePlan, run: BuildRun) -> bool:
    """Tell whether nothing but own entries has to be replaced in a language's file."""
    path = language_path(run.output, plan.lang)
    if not all(map(identity, plan.files)) or not storage.exists(path):
        return False
    return differs_in_own(artifacts.read_stamp(path)["made_from"], _task(plan, run).stamp)


def _fetch(plan: LanguagePlan, run: BuildRun) -> None:
    if run.sources.options.corpus == "dumps":
        for file in uncounted_dumps(plan, run.scratch):
            run.sources.fetch(file)
        return
    for file in plan.files:
        fetch_api_file(plan.lang, file, run.counted.paths, run.sources)


def _task(plan: LanguagePlan, run: BuildRun) -> LanguageTask:
    thresholds = Thresholds.for_language(plan.lang, **run.overrides)
    needs_articles = bool(set(plan.kinds) - {"wordnet"})
    has_titles = "title" in plan.kinds
    stamp: dict[str, Any] = {
        "lang": plan.lang,
        "kinds": list(plan.kinds),
        "thresholds": asdict(thresholds),
        "dumps": [identity(file) for file in plan.files],
        "pageviews": list(run.counted.made_from) if has_titles else [],
        "wordnet": [],
    }
    if "wordnet" in plan.kinds:
        files = wordnet_files(plan.lang, run.wordnet_dir, fetch=run.fetch_wordnet)
        stamp["wordnet"] = [identity(SourceFile(path=str(path))) for path in files]
    if has_titles and run.counted.sample is not None:
        stamp["pageview_sample"] = run.counted.sample
    if plan.own is not None:
        stamp[STAMPED] = identity(plan.own)
    if plan.absent and needs_articles:
        stamp["absent_wikis"] = list(plan.absent)
    return LanguageTask(
        lang=plan.lang,
        sources=LanguageSources(
            dumps=tuple(file.path for file in plan.files),
            wordnet_dir=run.wordnet_dir,
            kinds=frozenset(plan.kinds),
            fetch=run.fetch_wordnet,
        ),
        thresholds=thresholds,
        stamp=stamp,
        views=run.counted.paths if has_titles else (),
        own=plan.own,
        drop=() if run.sources.options.keep else plan.files,
    )


def language_path(output: str, lang: str) -> str:
    """Return where a language's entries are."""
    return storage.join(output, f"{lang}.parquet")


def _is_done(output: str, task: LanguageTask) -> bool:
    path = language_path(output, task.lang)
    if not storage.exists(path):
        return False
    stamp = artifacts.read_stamp(path)
    remedy = _REPLACE_OWN if differs_in_own(stamp["made_from"], task.stamp) else artifacts.REPLACE
    artifacts.require_same(path, stamp["made_from"], task.stamp, remedy=remedy)
    # The entries come last, so their file says that the indices are there too; unless somebody
    # took one away.
    return all(storage.exists(index_path(output, task.lang, n)) for n in NORMALIZATIONS)


class _Output:
    """Where a worker writes, and what it may take: a single language has all processes."""

    def __init__(
        self, folder: str, overwrite: bool, scratch: str, memory_bytes: int, workers: int
    ) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self.scratch = scratch
        self.memory_bytes = memory_bytes
        self.workers = workers


def _build(output: _Output, job: LanguageTask | Failed) -> Failed | None:
    """Build a language; return what is wrong with it, so that the others go on."""
    if isinstance(job, Failed):
        return job
    try:
        with told_when_full(output.folder):
            if output.overwrite or not _is_done(output.folder, job):
                _build_one(output, job)
    except (ArtifactError, DiskSpaceError):
        raise
    except CurateError as error:
        return Failed(job.lang, str(error))
    _tidy(output.scratch, job)
    return None


def _tidy(scratch: str, task: LanguageTask) -> None:
    """Remove what is not needed any more when a language is written."""
    folder = counts_folder(scratch, task.lang)
    if folder is not None:
        remove_counts(folder)
    for file in task.drop:
        file.drop()


def _build_one(output: _Output, task: LanguageTask) -> None:
    built = built_before(language_path(output.folder, task.lang), task.stamp)
    built = put_own(
        built or _built_anew(output, task), task.own, task.thresholds.max_entry_characters
    )
    write_language(output.folder, task.lang, note_own_files(built, task.sources), task.stamp)


def _built_anew(output: _Output, task: LanguageTask) -> BuiltMetadata:
    views = StoredViews(task.views, wikis_of(task.lang))
    built = build_language(
        task.lang,
        task.sources,
        task.thresholds,
        views=views,
        scratch=counts_folder(output.scratch, task.lang),
        memory_bytes=output.memory_bytes,
        workers=output.workers,
    )
    if task.sources.kinds - {"wordnet"} and not built.report["pages"].get("article"):
        dumps, pages = ", ".join(task.sources.dumps), in_words(built.report["pages"])
        remedy = "Name another --dump-date, or use --sources wordnet."
        raise InputError(f"{dumps}: no article in it, only {pages}. {remedy}")
    return built


def write_language(folder: str, lang: str, built: BuiltMetadata, made_from: dict[str, Any]) -> None:
    """Write the entries of a language and their indices; all appear when all are whole."""
    sha256 = metadata_hash(built.table.column("entry"))
    stamp = {"made_from": made_from, "sha256": sha256, "report": built.report}
    with artifacts.parquet_writer(language_path(folder, lang), built.table.schema) as writer:
        for batch in built.table.to_batches(max_chunksize=writer.ROW_GROUP_ROWS):
            writer.write(batch)
        writer.close(stamp, sha256)
        write_indices(folder, lang, built.table.column("entry"), sha256)
