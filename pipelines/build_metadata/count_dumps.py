"""`--drop-sources`: the dumps of a language that has several are counted and dropped one by one.

The English dump comes in some seventy files. So the disk holds those that are being counted, and
the counts, but never all of them.
"""

from dataclasses import dataclass
from pathlib import Path

from curate.errors import CurateError, DiskSpaceError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.metadata.build import LanguageSources
from curate.metadata.corpus.count import count_dump, is_counted, part_size, remove_leftovers
from curate.metadata.languages import is_new_wikipedia
from curate.pipelines.build_metadata.fetch_sources import Sources
from curate.pipelines.build_metadata.find_sources import SourceFile, local
from curate.pipelines.build_metadata.plan import LanguagePlan
from curate.pipelines.build_metadata.prefetch import Prefetched
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.views.progress import progress

__all__ = [
    "count_and_drop",
    "counts_folder",
    "is_dropped_one_by_one",
    "needs_words",
    "uncounted_dumps",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A dump to count and drop; picklable. With a problem there is nothing to do."""

    lang: str
    file: SourceFile
    folder: Path
    needs_words: bool
    memory_bytes: int
    part_bytes: int
    among: tuple[str, ...]
    problem: str | None = None


def counts_folder(scratch: str, lang: str) -> Path | None:
    """Return where the counts of a language are: on this machine, since they are mapped."""
    return local(scratch) / "words" / lang if storage.is_local(scratch) else None


def is_dropped_one_by_one(plan: LanguagePlan, sources: Sources, scratch: str) -> bool:
    """Tell whether the dumps of a language are dropped before all of them are counted."""
    options = sources.options
    return (
        not options.keep
        and options.corpus == "dumps"
        and len(plan.files) > 1
        and not is_new_wikipedia(plan.lang)  # small, and its script is found from all of it
        and storage.is_local(scratch)
    )


def uncounted_dumps(plan: LanguagePlan, scratch: str) -> tuple[SourceFile, ...]:
    """Return the dumps of a language without those that were counted, and maybe dropped."""
    folder = counts_folder(scratch, plan.lang)
    if folder is None or not folder.is_dir():
        return plan.files
    words = needs_words(plan)
    return tuple(
        file
        for file in plan.files
        if not is_counted(file.path, plan.lang, folder, needs_words=words)
    )


def needs_words(plan: LanguagePlan) -> bool:
    """Tell whether words and pairs of a language have to be counted."""
    kinds = frozenset(plan.kinds)
    return LanguageSources(dumps=(), wordnet_dir=None, kinds=kinds).needs_words


def count_and_drop(
    plan: LanguagePlan,
    sources: Sources,
    scratch: str,
    *,
    memory_bytes: int,
    workers: int,
    quiet: bool,
) -> str | None:
    """Fetch, count and drop the dumps of a language; what is counted is not fetched again.

    Args:
        plan: one for which `is_dropped_one_by_one`.
        sources: what to fetch with.
        scratch: folder of counts.
        memory_bytes: what all processes together may take.
        workers: processes.
        quiet: no progress.

    Returns:
        What is wrong with the first dump that could not be fetched or counted, which is kept.

    Raises:
        DiskSpaceError: the disk is full.
    """
    folder = counts_folder(scratch, plan.lang)
    if folder is None:
        raise AssertionError(f"counts in {scratch} are not on this machine")
    remove_leftovers(folder)
    files = uncounted_dumps(plan, scratch)
    part_bytes = part_size(sum(file.whole_bytes for file in plan.files))
    at_once = max(1, min(workers, len(files)))
    problems: list[str] = []

    def prepare(file: SourceFile) -> _Task:
        return _Task(
            lang=plan.lang,
            file=file,
            folder=folder,
            needs_words=needs_words(plan),
            memory_bytes=memory_bytes // at_once,
            part_bytes=part_bytes,
            among=tuple(file.path for file in plan.files),
            problem=fetch(file),
        )

    def fetch(file: SourceFile) -> str | None:
        if problems:  # nothing is gained by fetching the rest
            return problems[0]
        try:
            sources.fetch(file)
        except DiskSpaceError:
            raise
        except CurateError as error:
            problems.append(str(error))
            return str(error)
        return None

    tasks = Prefetched(files, prepare, sources.fetcher)
    results = run_parts(_count, tasks, workers=workers, setup=str, arguments=())
    label = f"count {plan.lang}"
    for result in progress(results, total=len(files), label=label, unit="file", quiet=quiet):
        if result is not None:
            problems.append(result)
    return problems[0] if problems else None


def _count(_: str, task: _Task) -> str | None:
    """Count and drop a dump; return what is wrong with it."""
    if task.problem is not None:
        return task.problem
    try:
        with told_when_full(str(task.folder)):
            count_dump(
                task.file.path,
                task.lang,
                task.folder,
                memory_bytes=task.memory_bytes,
                needs_words=task.needs_words,
                part_bytes=task.part_bytes,
                among=task.among,
            )
    except DiskSpaceError:
        raise
    except CurateError as error:
        return str(error)
    task.file.drop()
    return None
