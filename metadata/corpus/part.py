"""A part of a dump in, its counts out: words, pairs, titles and redirects, in files.

The files' name is made of what they come from, and the one that says that all are there
(``<name>.json``) is written last. So a part that is counted is not counted again. A note on a whole
dump (``dump-….json``) names its parts, for which the dump is then not needed any more.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from curate.errors import InputError
from curate.files.parquet.sealed import sealed_writer
from curate.metadata.fetch.notes import publish_json, read_note, read_source
from curate.metadata.ngrams.counter import NgramCounter
from curate.metadata.ngrams.merge import merge_runs
from curate.metadata.ngrams.runs import Run, write_run
from curate.metadata.ngrams.words import (
    character_classes,
    cut_segments,
    is_segmented,
    segmenter_name,
    segmenter_version,
)
from curate.metadata.views.titles import TITLES
from curate.metadata.wikipedia.article_table import ArticlePart, read_articles, split_articles
from curate.metadata.wikipedia.dump import MAIN_NAMESPACE, DumpPart, read_part, split_dump
from curate.metadata.wikipedia.export_parts import page_spans
from curate.metadata.wikipedia.wikitext import strip_wikitext

__all__ = [
    "TEMPORARY",
    "CountTask",
    "CountedPart",
    "count_part",
    "dump_note",
    "part_size",
    "read_counted",
    "remedy_of",
    "split_dumps",
]

# What files that come and go are called first.
TEMPORARY = ".tmp-"
# Of what is in the files; another number, and all parts are counted anew.
_FORMAT = 2
_PART_BYTES = 64 << 20
# At most so many parts, since merging holds a little of each.
_MAX_PARTS = 256
_TITLES_PER_BATCH = 100_000

Part = DumpPart | ArticlePart


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTask:
    """A part to count; picklable.

    Attributes:
        lang: metadata language.
        part: of a dump.
        folder: where its files are.
        memory_bytes: what counting may take, the interpreter not included.
        needs_words: False to take titles and redirects only.
    """

    lang: str
    part: Part
    folder: Path
    memory_bytes: int
    needs_words: bool

    @property
    def path(self) -> Path:
        """Return what the part's files are called, without what tells them apart."""
        of_dump = _made_from(self.part.path, self.lang, needs_words=self.needs_words)
        return self.folder / f"part-{_digest([of_dump, asdict(self.part)])}"


def _made_from(path: str, lang: str, *, needs_words: bool) -> list[Any]:
    return [
        _FORMAT, _version(path), lang, segmenter_name(lang), segmenter_version(lang), needs_words,
    ]  # fmt: skip


def _version(path: str) -> str:
    """Return what tells a file from another of its name, also if it was fetched and dropped.

    Raises:
        FileNotFoundError: nothing is known of it.
    """
    fs, name = fsspec.core.url_to_fs(path)
    source = read_source(Path(name)) if isinstance(fs, LocalFileSystem) else None
    return source.sha256 if source is not None else str(fs.ukey(name))


def _digest(value: list[Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def dump_note(path: str, lang: str, folder: Path, *, needs_words: bool) -> Path | None:
    """Return where it is noted which parts a dump has; None if nothing is known of the dump.

    Args:
        path: of the dump.
        lang: metadata language.
        folder: of the counts.
        needs_words: as for `CountTask`.
    """
    try:
        return folder / f"dump-{_digest(_made_from(path, lang, needs_words=needs_words))}.json"
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedPart:
    """What a part has.

    Attributes:
        path: what its files are called, without what tells them apart.
        tally: pages by kind (article, redirect, other_namespace, of_another_part, broken), and
            their bytes.
        num_tokens: occurrences of words.
        num_pair_tokens: occurrences of pairs.
        seconds: of the processor; 0 if it was counted before.
    """

    path: Path
    tally: Counter[str]
    num_tokens: int
    num_pair_tokens: int
    seconds: float = 0.0

    @property
    def run(self) -> Run:
        """The counts of words and pairs."""
        return Run(self.path)

    @property
    def titles(self) -> Path:
        """The titles of articles and redirects."""
        return _named(self.path, ".titles.parquet")


def _named(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def read_counted(path: Path) -> CountedPart | None:
    """Return a part that is counted, by what its files are called; None if it is not."""
    note = _named(path, ".json")
    if not note.is_file():
        return None

    def made(known: Any) -> CountedPart:
        numbers = {name: int(known[name]) for name in ("num_tokens", "num_pair_tokens")}
        tally = Counter({str(kind): int(num) for kind, num in known["tally"].items()})
        return CountedPart(path=path, tally=tally, **numbers)

    return read_note(note, made, "the note of a counted part", remedy_of(note), must=True)


def remedy_of(note: Path) -> str:
    """Return what to do about a damaged note among counts."""
    return f"Remove {note.parent}, and what is in it is counted again."


def part_size(num_bytes: int) -> int:
    """Return the best size of a part, of dumps that together have so many bytes."""
    return max(_PART_BYTES, num_bytes // _MAX_PARTS)


def split_dumps(
    paths: Sequence[str], part_bytes: int | None = None, among: Sequence[str] | None = None
) -> list[Part]:
    """Cut dumps into parts, which are counted one by one.

    Args:
        paths: XML, plain or compressed, and Parquet files of title and text.
        part_bytes: size of a part, as the files are on the disk; None for what is best.
        among: all dumps of the language, whose names say which page of an export counts in which
            file; None if `paths` are all.

    Raises:
        InputError: a dump is missing, is none, or its beginning is corrupt; or files of one export
            overlap.
    """
    spans = page_spans(paths if among is None else among)
    if part_bytes is None:
        part_bytes = part_size(sum(fs.size(path) or 0 for fs, path in map(_find, paths)))
    parts: list[Part] = []
    for path in paths:
        if path.endswith(".parquet"):
            parts += split_articles(path, part_bytes)
        else:
            parts += split_dump(path, part_bytes, spans.get(path))
    return parts


def _find(path: str) -> tuple[Any, str]:
    fs, name = fsspec.core.url_to_fs(path)
    if not fs.exists(name):
        raise InputError(f"{path}: there is no such dump")
    return fs, name


def count_part(task: CountTask) -> CountedPart:
    """Count a part, unless its files are there.

    Raises:
        InputError: the dump is cut off or corrupt.
        MissingExtraError: the language needs a segmenter that is not installed.
    """
    path = task.path
    known = read_counted(path)
    if known is not None:
        return known
    start = time.process_time()
    counting = _Counting(task, path.with_name(f"{TEMPORARY}{path.name}"))
    counted = counting.count(path)
    publish_json(
        _named(path, ".json"),
        {
            "tally": dict(sorted(counted.tally.items())),
            "num_tokens": counted.num_tokens,
            "num_pair_tokens": counted.num_pair_tokens,
        },
    )
    return replace(counted, seconds=time.process_time() - start)


class _Counting:
    """The work on one part."""

    def __init__(self, task: CountTask, temporary: Path) -> None:
        self._task = task
        self._temporary = temporary
        self._runs: list[Run] = []
        self._tally: Counter[str] = Counter()
        self._counter = self._new_counter() if task.needs_words else None

    def _new_counter(self) -> NgramCounter:
        return NgramCounter(
            character_classes(self._task.lang),
            segmented=is_segmented(self._task.lang),
            memory_bytes=self._task.memory_bytes,
            spill=self._spill,
        )

    def count(self, path: Path) -> CountedPart:
        """Count all pages; the files are there when this returns."""
        titles = _named(self._temporary, ".titles.parquet")
        with (
            titles.open("wb") as sink,
            sealed_writer(sink, TITLES, compression="zstd") as writer,
        ):
            for rows in _batches(self._pages(), _TITLES_PER_BATCH):
                writer.write_table(pa.Table.from_pylist(rows, TITLES))
        if self._counter is not None:
            self._counter.finish()
        run = self._one_run()
        counted = CountedPart(
            path=path,
            tally=self._tally,
            num_tokens=self._counter.num_tokens if self._counter else 0,
            num_pair_tokens=self._counter.num_pair_tokens if self._counter else 0,
        )
        for file, target in (
            (titles, counted.titles),
            (run.words, counted.run.words),
            (run.pairs, counted.run.pairs),
        ):
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
            file.replace(target)
        return counted

    def _pages(self) -> Iterator[dict[str, str | None]]:
        """Count the pages; yield titles of articles and redirects."""
        part, tally = self._task.part, self._tally
        if isinstance(part, ArticlePart):
            for title, text in read_articles(part, tally):
                tally["article"] += 1
                self._add(text)
                yield {"title": title, "redirect": None}
            return
        for page in read_part(part, tally, MAIN_NAMESPACE):
            if page.redirect is None and self._counter is not None:
                self._add(strip_wikitext(page.text, page.media_prefixes))
            tally["article" if page.redirect is None else "redirect"] += 1
            yield {"title": page.title, "redirect": page.redirect}

    def _add(self, text: str) -> None:
        if self._counter is not None:
            lang = self._task.lang
            self._counter.add(cut_segments(text, lang) if is_segmented(lang) else text)

    def _spill(self, words: Iterator[pa.Table], pairs: Iterator[pa.Table]) -> None:
        self._runs.append(Run(_named(self._temporary, f".{len(self._runs)}")))
        write_run(self._runs[-1], words, pairs)

    def _one_run(self) -> Run:
        if len(self._runs) == 1:
            return self._runs[0]
        merged = Run(_named(self._temporary, ".all"))
        merge_runs(self._runs, merged, self._task.memory_bytes)
        for run in self._runs:
            run.remove()
        return merged


def _batches(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(rows, size)):
        yield batch
