"""The dumps of a language in, the counts of all of them out: part by part, then merged."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.files.processes import in_processes
from curate.metadata.corpus.part import (
    TEMPORARY,
    CountedPart,
    CountTask,
    count_part,
    dump_note,
    part_size,
    read_counted,
    remedy_of,
    split_dumps,
)
from curate.metadata.fetch.notes import publish_json, read_note
from curate.metadata.ngrams.candidates import CorpusCounts
from curate.metadata.ngrams.merge import merge_runs
from curate.metadata.ngrams.runs import Run

__all__ = [
    "DEFAULT_MEMORY_BYTES",
    "Corpus",
    "count_corpus",
    "count_dump",
    "is_counted",
    "part_size",
    "remove_counts",
    "remove_leftovers",
]

DEFAULT_MEMORY_BYTES = 1 << 30
# What a process takes before it counts anything: the interpreter, its libraries, one dump's page.
_PROCESS_BYTES = 220 << 20
# Less is slow: small tables are written to the disk over and over.
_LEAST_BYTES = 48 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What the dumps of a language hold.

    Attributes:
        counts: of words and pairs.
        titles: files of titles and redirects.
        pages: by kind: article, redirect, other_namespace, of_another_part, broken.
        page_bytes: of all pages that were read.
        seconds: of the processors, for parts that were not counted before.
    """

    counts: CorpusCounts
    titles: tuple[Path, ...]
    pages: Counter[str]
    page_bytes: int
    seconds: float


@contextmanager
def count_corpus(
    lang: str,
    dumps: Sequence[str],
    folder: Path,
    *,
    memory_bytes: int,
    workers: int,
    needs_words: bool,
    part_bytes: int | None = None,
    on_part: Callable[[CountedPart], object] | None = None,
) -> Iterator[Corpus]:
    """Count the words, pairs, titles and redirects of dumps.

    Args:
        lang: metadata language.
        dumps: XML, plain or compressed, and Parquet files of title and text; those that
            `count_dump` has counted need not be there any more.
        folder: counts of parts are written to it, and are used if they are there; when the context
            ends, nothing else of it is left. One run at a time works in it.
        memory_bytes: what all processes together may take; small values mean fewer processes.
        workers: processes at most.
        needs_words: False to take titles and redirects only.
        part_bytes: size of a part, as the files are on the disk; None for what is best.
        on_part: called with each part that is counted.

    Raises:
        InputError: a dump is missing, cut off or corrupt.
        MissingExtraError: the language needs a segmenter that is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    counted, uncounted = [], []
    for dump in dumps:
        parts_of_dump = _counted_parts(dump, lang, folder, needs_words=needs_words)
        counted += parts_of_dump or []
        uncounted += [dump] if parts_of_dump is None else []
    parts = split_dumps(uncounted, part_bytes, dumps)
    workers, of_each = share_memory(memory_bytes, min(workers, len(parts)))
    tasks = [
        CountTask(
            lang=lang, part=part, folder=folder, memory_bytes=of_each, needs_words=needs_words
        )
        for part in parts
    ]
    for done in in_processes(count_part, tasks, workers):
        counted.append(done)
        if on_part is not None:
            on_part(done)
    try:
        yield _sum(counted, folder, memory_bytes)
    finally:
        remove_leftovers(folder)


def count_dump(
    dump: str,
    lang: str,
    folder: Path,
    *,
    memory_bytes: int,
    needs_words: bool,
    part_bytes: int,
    among: Sequence[str] | None = None,
) -> None:
    """Count one of the dumps of a language, so that it can be removed before the others come.

    Args:
        dump: as for `count_corpus`, which is to be called with all of them in the end.
        lang: metadata language.
        folder: of the language's counts; other dumps may be counted into it at the same time.
        memory_bytes: what it may take, the interpreter included.
        needs_words: as for `count_corpus`.
        part_bytes: size of a part; `part_size` of all dumps of the language is best.
        among: all dumps of the language, as for `split_dumps`; None if it has no other.

    Raises:
        InputError: the dump is missing, cut off or corrupt.
        MissingExtraError: the language needs a segmenter that is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _, of_each = share_memory(memory_bytes, 1)
    counted = [
        count_part(
            CountTask(
                lang=lang, part=part, folder=folder, memory_bytes=of_each, needs_words=needs_words
            )
        )
        for part in split_dumps([dump], part_bytes, among)
    ]
    note = dump_note(dump, lang, folder, needs_words=needs_words)
    if note is None:
        raise AssertionError(f"{dump} was counted and is not known")
    publish_json(note, {"parts": [part.path.name for part in counted]})


def is_counted(dump: str, lang: str, folder: Path, *, needs_words: bool) -> bool:
    """Tell whether `count_dump` has counted a dump, there or removed."""
    return _counted_parts(dump, lang, folder, needs_words=needs_words) is not None


def _counted_parts(
    dump: str, lang: str, folder: Path, *, needs_words: bool
) -> list[CountedPart] | None:
    note = dump_note(dump, lang, folder, needs_words=needs_words)
    if note is None or not note.is_file():
        return None
    names = read_note(note, _part_names, "the note of a counted dump", remedy_of(note), must=True)
    found = [read_counted(folder / name) for name in names]
    parts = [part for part in found if part is not None]
    return parts if len(parts) == len(found) else None


def _part_names(values: Any) -> list[str]:
    names = values["parts"]
    if not isinstance(names, list) or not all(isinstance(n, str) and "/" not in n for n in names):
        raise TypeError("it lists no parts")
    return names


def share_memory(memory_bytes: int, workers: int) -> tuple[int, int]:
    """Return how many processes fit into the memory, and what each may take for its counts.

    >>> share_memory(1 << 30, 2)
    (2, 190840832)
    """
    free = memory_bytes - _PROCESS_BYTES  # this process has its own
    fitting = free // (_PROCESS_BYTES + _LEAST_BYTES)
    if workers < 2 or fitting < 2:
        return 1, max(_LEAST_BYTES, free)
    workers = min(workers, fitting)
    return workers, max(_LEAST_BYTES, free // workers - _PROCESS_BYTES)


def _sum(counted: Sequence[CountedPart], folder: Path, memory_bytes: int) -> Corpus:
    tally: Counter[str] = Counter()
    for part in counted:
        tally.update(part.tally)
    page_bytes = tally.pop("bytes", 0)
    counts = CorpusCounts(
        run=_merged([part.run for part in counted], folder, memory_bytes),
        num_tokens=sum(part.num_tokens for part in counted),
        num_pair_tokens=sum(part.num_pair_tokens for part in counted),
    )
    return Corpus(
        counts=counts,
        titles=tuple(part.titles for part in counted),
        pages=tally,
        page_bytes=page_bytes,
        seconds=sum(part.seconds for part in counted),
    )


def _merged(runs: Sequence[Run], folder: Path, memory_bytes: int) -> Run:
    if len(runs) == 1:
        return runs[0]
    merged = Run(folder / f"{TEMPORARY}all")
    merge_runs(runs, merged, max(_LEAST_BYTES, memory_bytes - _PROCESS_BYTES))
    return merged


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed run, or this one, does not need any more."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink()


def remove_counts(folder: Path) -> None:
    """Remove the counts of a language; nothing happens if they are not there.

    The notes go first: one says that the files it stands for are there.
    """
    for note in folder.glob("*.json"):
        note.unlink()
    if folder.is_dir():
        shutil.rmtree(folder)
