"""Page views: which days, fetching them, and counting each file once for all languages.

The days that were drawn, and those of them that the server does not have, are written down
(`pageviews-<…>.sample.json`), so that a run that goes on counts the same. A file is counted into
`<scratch>/<file>-<hash>.parquet` (`curate.metadata.views.stored_views`), after which it may be
dropped.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from curate.errors import InputError, NotFoundError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.files.own_json import of_ours
from curate.files.sealed_json import read_json_of_anyone
from curate.metadata.fetch.notes import RemoteFile, publish_json, remote_file
from curate.metadata.languages import WIKIPEDIA_CODES
from curate.metadata.views.stored_views import filter_views, num_bad_lines
from curate.metadata.wikipedia.wikimedia import pageview_files, sample_days
from curate.pipelines.build_metadata.fetch_sources import Sources
from curate.pipelines.build_metadata.find_sources import (
    SourceFile,
    identity,
    local,
    own_pageviews,
    require_local,
)
from curate.pipelines.build_metadata.prefetch import Prefetched
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["CountedViews", "PageviewSample", "count_sample", "find_sample", "uncounted"]

# Part of the names of counted files, so that those of another way of counting are not taken.
_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PageviewSample:
    """The page views to be counted.

    Attributes:
        folder: where they are.
        files: here or to be fetched.
        request: how the days were drawn; None for files that somebody put there.
        mirror: where they were drawn from.
        missing: files that the server does not have.
        damaged: files that came twice and could not be read.
        problem: why nothing is known of them, in a dry run.
        new_wikis: codes of Wikipedias to count besides those of the table, sorted.
    """

    folder: str
    files: tuple[SourceFile, ...] = ()
    request: dict[str, Any] | None = None
    mirror: str = ""
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    problem: str | None = None
    new_wikis: tuple[str, ...] = ()

    def write(self) -> None:
        """Write down what there is, for runs that go on."""
        values = {
            "request": self.request,
            "mirror": self.mirror,
            "files": [asdict(file.remote) for file in self.files if file.remote is not None],
            "missing": list(self.missing),
            "damaged": list(self.damaged),
        }
        publish_json(local(_note(self.folder, self.request)), values)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedViews:
    """The page views of all wikis.

    Attributes:
        paths: files of `curate.metadata.views.stored_views`.
        made_from: what they were counted from, for stamps.
        sample: how the days were drawn, and which are missing; None for files of somebody's own.
    """

    paths: tuple[str, ...] = ()
    made_from: tuple[dict[str, Any], ...] = ()
    sample: dict[str, Any] | None = None


def find_sample(folder: str, sources: Sources) -> PageviewSample:
    """Find the page views: own files, then a sample written down, then one of the server.

    Raises:
        FetchError: the server could not be asked.
        UsageError: a sample that cannot be drawn, or a folder that cannot be fetched into.
    """
    own = own_pageviews(folder)
    if own:
        return PageviewSample(folder=folder, files=tuple(SourceFile(path=path) for path in own))
    options = sources.options
    request = {
        "days": options.pageview_days,
        "from": options.pageview_from.isoformat(),
        "to": options.pageview_to.isoformat(),
        "seed": options.pageview_seed,
        "files": options.pageview_kind,
    }
    if storage.exists(_note(folder, request)):
        return _read(folder, request, options.mirror)
    if sources.fetcher is None:
        return PageviewSample(folder=folder)
    sample = _draw(folder, request, sources)
    if sample.files and sources.write:
        sample.write()
    return sample


def _note(folder: str, request: dict[str, Any] | None) -> str:
    return storage.join(folder, f"pageviews-{artifacts.digest(request)[:12]}.sample.json")


def _read(folder: str, request: dict[str, Any], mirror: str | None) -> PageviewSample:
    path = _note(folder, request)
    values = read_json_of_anyone(path)
    with of_ours(path), _told_with(path):
        old: str = values["mirror"]
        new = (mirror or old).rstrip("/")
        remotes = [remote_file(file) for file in values["files"]]
        return PageviewSample(
            folder=folder,
            files=tuple(_file(folder, file.at(old, new)) for file in remotes),
            request=request,
            mirror=new,
            missing=tuple(map(str, values["missing"])),
            damaged=tuple(map(str, values["damaged"])),
        )


@contextmanager
def _told_with(path: str) -> Iterator[None]:
    """Say which note names a file that cannot be meant."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _file(folder: str, remote: RemoteFile) -> SourceFile:
    return SourceFile(path=storage.join(folder, remote.name), remote=remote)


def _draw(folder: str, request: dict[str, Any], sources: Sources) -> PageviewSample:
    """Ask the server for the files of the days drawn; those it does not have are counted."""
    require_local(folder, "--pageviews")
    options, fetcher = sources.options, sources.fetcher
    mirror = (options.mirror or "").rstrip("/")
    days = sample_days(
        options.pageview_days, options.pageview_from, options.pageview_to, options.pageview_seed
    )
    wanted = [f for day in days for f in pageview_files(mirror, day, options.pageview_kind)]

    def sized(file: RemoteFile) -> RemoteFile | None:
        if fetcher is None:
            raise AssertionError("nobody to ask")
        try:
            return replace(file, size_bytes=fetcher.size(file.url))
        except NotFoundError:
            return None

    found = sources.in_threads(sized, wanted)
    return PageviewSample(
        folder=folder,
        files=tuple(_file(folder, file) for file in found if file is not None),
        request=request,
        mirror=mirror,
        missing=tuple(w.name for w, f in zip(wanted, found, strict=True) if f is None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A page-view file to be counted; picklable."""

    file: SourceFile
    target: str
    wikis: tuple[str, ...]
    keep: bool


def count_sample(
    sample: PageviewSample, sources: Sources, scratch: str, *, workers: int, quiet: bool
) -> CountedViews:
    """Fetch and count page views; what is counted already is neither fetched nor counted again.

    Raises:
        InputError: a file that somebody put there cannot be read, or a file could not be fetched.
        DiskSpaceError: the disk is full.
    """
    damaged = [
        file
        for file, problem in _count(
            sample, uncounted(sample, scratch), sources, scratch, workers, quiet
        )
        if problem is not None and not _mended(sample, file, problem, sources, scratch)
    ]
    if damaged:
        names = sorted(file.name for file in damaged)
        rest = tuple(file for file in sample.files if file not in damaged)
        sample = replace(sample, files=rest, damaged=(*sample.damaged, *names))
        sample.write()
    if not sources.options.keep:
        for file in sample.files:  # also those that a killed run had counted and not dropped
            file.drop()
    paths = [_target(sample, file, scratch) for file in sample.files]
    made_from = [
        {**(identity(file) or {}), "bad_lines": num_bad_lines(path or "")}
        for file, path in zip(sample.files, paths, strict=True)
    ]
    report = {"missing": list(sample.missing), "damaged": list(sample.damaged)}
    return CountedViews(
        paths=tuple(path for path in paths if path is not None),
        made_from=tuple(made_from),
        sample=None if sample.request is None else {**sample.request, **report},
    )


def uncounted(sample: PageviewSample, scratch: str) -> list[SourceFile]:
    """Return the files that are still to be counted."""
    targets = {file: _target(sample, file, scratch) for file in sample.files}
    return [file for file, path in targets.items() if path is None or not storage.exists(path)]


def _target(sample: PageviewSample, file: SourceFile, scratch: str) -> str | None:
    """Return where a file's counts are; None if nothing is known of it before it is fetched."""
    known = identity(file)
    if known is None:
        return None
    version = "+".join([str(_VERSION), *sample.new_wikis])
    return storage.join(scratch, f"{file.name}-{known['sha256'][:16]}-{version}.parquet")


def _count(
    sample: PageviewSample,
    files: Sequence[SourceFile],
    sources: Sources,
    scratch: str,
    workers: int,
    quiet: bool,
) -> list[tuple[SourceFile, str | None]]:
    def prepare(file: SourceFile) -> _Task:
        sources.fetch(file)
        target = _target(sample, file, scratch)
        if target is None:
            raise AssertionError(f"{file.path} was fetched and has no note")
        wikis = (*WIKIPEDIA_CODES, *sample.new_wikis)
        return _Task(file=file, target=target, wikis=wikis, keep=sources.options.keep)

    tasks = Prefetched(files, prepare, sources.fetcher)
    results = run_parts(_count_file, tasks, workers=workers, setup=str, arguments=(scratch,))
    return list(progress(results, total=len(files), label="page views", unit="file", quiet=quiet))


def _count_file(scratch: str, task: _Task) -> tuple[SourceFile, str | None]:
    """Count a file; return what is wrong with it, if it can be fetched again."""
    try:
        with told_when_full(scratch), storage.publish(task.target) as sink:
            filter_views(task.file.path, task.wikis, sink)
    except InputError as error:
        if task.file.remote is None:
            raise
        return task.file, str(error)
    if not task.keep:
        task.file.drop()
    return task.file, None


def _mended(
    sample: PageviewSample, file: SourceFile, problem: str, sources: Sources, scratch: str
) -> bool:
    """Fetch a file that could not be read once more; tell whether it can be read now."""
    if sources.fetcher is None:
        raise InputError(problem)
    file.forget()
    ((_, problem_again),) = _count(sample, [file], sources, scratch, 1, quiet=True)
    if problem_again is not None:
        file.forget()
    return problem_again is None
