"""The sources of a language in, its entries out: the recipe from beginning to end."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.metadata.best import NUM_EXAMPLES, Selected
from curate.metadata.corpus.count import DEFAULT_MEMORY_BYTES, Corpus, count_corpus
from curate.metadata.corpus.part import TEMPORARY, CountedPart
from curate.metadata.entries import Thresholds, assemble_entries
from curate.metadata.languages import is_new_wikipedia, wikis_of, written_in
from curate.metadata.ngrams.candidates import select_bigrams, select_unigrams
from curate.metadata.ngrams.words import segmenter_name, segmenter_version
from curate.metadata.views.missing import MostViewed
from curate.metadata.views.pageviews import count_views
from curate.metadata.views.titles import Views, select_titles
from curate.metadata.wikipedia.text_script import dump_script
from curate.metadata.wordnets.wordnet import english_lemmas, omw_lemmas

__all__ = ["BuiltMetadata", "LanguageSources", "build_language"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSources:
    """Where the candidates of a language come from.

    Attributes:
        dumps: Wikipedia dumps, of the language and of the wikis merged into it: XML, plain or
            compressed, and Parquet files of title and plain text.
        wordnet_dir: folder of WordNet files; None for nltk's data.
        kinds: of wordnet, unigram, bigram, title.
        pageviews: page-view files, read only if no counted views are given.
        fetch: whether nltk's data are downloaded if they are missing.
    """

    dumps: tuple[str, ...]
    wordnet_dir: str | None
    kinds: frozenset[str]
    pageviews: tuple[str, ...] = ()
    fetch: bool = True

    @property
    def needs_words(self) -> bool:
        """Whether words and pairs have to be counted."""
        return not self.kinds.isdisjoint({"unigram", "bigram"})


@dataclass(frozen=True, slots=True)
class BuiltMetadata:
    """The entries of a language, and how they came to be, as JSON-able values.

    Attributes:
        table: entry, source, score.
        report: the same for the same sources, so it can go where bytes are compared.
        measured: what another run would have otherwise: seconds, and bytes of pages.
    """

    table: pa.Table
    report: dict[str, Any]
    measured: dict[str, Any] = field(default_factory=dict)


def build_language(
    lang: str,
    sources: LanguageSources,
    thresholds: Thresholds,
    views: Views | None = None,
    *,
    scratch: Path | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    workers: int = 1,
    part_bytes: int | None = None,
    on_part: Callable[[CountedPart], object] | None = None,
) -> BuiltMetadata:
    """Build the entries of one language.

    Args:
        lang: metadata language.
        sources: where from.
        thresholds: what is kept.
        views: page views by title, of all wikis of the language; None to count those of
            sources.pageviews. Files hold all languages, so whoever builds several counts once.
        scratch: folder of this language's counts; a run that was killed goes on with what is
            there. It can be removed once the entries are written. None for one that is removed.
        memory_bytes: what counting may take, all processes together.
        workers: processes that count.
        part_bytes: size of the parts that are counted one by one, as the dumps are on the disk;
            None for what is best. What comes out does not depend on it, as on none of these.
        on_part: called with each part that is counted.

    Returns:
        The table (entry, source, score); a report: per source the candidates, how many were kept
        and what stands at the cut, pages by kind, words, entries left out by reason, and how many
        of the most viewed titles the dumps lack; and what was measured.

    Raises:
        InputError: a source is missing or corrupt.
        MissingExtraError: the language needs a segmenter that is not installed.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.1; Chuang et al. 2025, arXiv:2507.22062,
    section 3.2.
    """
    start = time.monotonic()
    bad_lines: Counter[str] = Counter()
    found: dict[str, Selected] = {}
    viewed = MostViewed()
    if "wordnet" in sources.kinds:
        found["wordnet"] = _wordnet(lang, sources, bad_lines)
    dumps = sources.dumps if sources.kinds - {"wordnet"} else ()
    script = dump_script(dumps) if is_new_wikipedia(lang) else None
    written = written_in(lang, script)
    with (
        _folder(scratch) as folder,
        count_corpus(  # hours for the largest: after what may fail at once
            written,
            dumps,
            folder,
            memory_bytes=memory_bytes,
            workers=workers,
            needs_words=sources.needs_words,
            part_bytes=part_bytes,
            on_part=on_part,
        ) as corpus,
    ):
        found |= _select_ngrams(written, corpus, sources.kinds, thresholds)
        if "title" in sources.kinds:
            if views is None:
                views = _count_views(lang, sources.pageviews, bad_lines)
            temporary = folder / TEMPORARY
            found["title"] = select_titles(corpus.titles, views, thresholds, temporary, viewed)
    table, left_out = assemble_entries(
        {source: f.kept for source, f in found.items()}, thresholds.max_entry_characters
    )
    kept = Counter(table.column("source").to_pylist())
    report = {
        **({"script": script} if script is not None else {}),
        "segmenter": segmenter_name(written),
        "segmenter_version": segmenter_version(written),
        "pages": dict(sorted(corpus.pages.items())),
        "words": corpus.counts.num_tokens,
        "word_pairs": corpus.counts.num_pair_tokens,
        "bad_lines": {Path(path).name: num for path, num in sorted(bad_lines.items())},
        "left_out": left_out,
        **({"most_viewed": viewed.report()} if "title" in found else {}),
        "sources": {source: _summary(f, kept[source]) for source, f in found.items()},
    }
    measured = {
        "seconds": round(time.monotonic() - start, 3),
        "counting_seconds": round(corpus.seconds, 3),
        "page_bytes": corpus.page_bytes,
    }
    return BuiltMetadata(table, report, measured)


@contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    if scratch is not None:
        yield scratch
        return
    with tempfile.TemporaryDirectory(prefix="curate-counts-") as temporary:
        yield Path(temporary)


def _select_ngrams(
    lang: str, corpus: Corpus, kinds: frozenset[str], limits: Thresholds
) -> dict[str, Selected]:
    found = {}
    unigrams = select_unigrams(corpus.counts, limits)
    if "unigram" in kinds:
        found["unigram"] = unigrams
    if "bigram" in kinds:
        found["bigram"] = select_bigrams(corpus.counts, lang, limits, len(unigrams.kept))
    return found


def _summary(found: Selected, num_kept: int) -> dict[str, Any]:
    """Describe a source; of candidates of equal score, their order by code point decides."""
    return {
        "raw": found.num_raw,
        "within_thresholds": len(found.kept),
        "kept": num_kept,
        "lowest_score": round(found.kept[-1][1], 6) if found.kept else None,
        "last_kept": _rounded(found.kept[-NUM_EXAMPLES:]),
        "first_left_out": _rounded(found.left_out),
    }


def _rounded(candidates: list[tuple[str, float]]) -> list[list[Any]]:
    return [[entry, round(score, 6)] for entry, score in candidates]


def _wordnet(lang: str, sources: LanguageSources, bad_lines: Counter[str]) -> Selected:
    folder, fetch = sources.wordnet_dir, sources.fetch
    if lang == "en":
        names = english_lemmas(folder, fetch=fetch)
    else:
        names = omw_lemmas(lang, folder, bad_lines, fetch=fetch) or []
    return Selected(len(names), [(name, 0.0) for name in names], [])


def _count_views(lang: str, paths: tuple[str, ...], bad_lines: Counter[str]) -> Counter[str]:
    summed: Counter[str] = Counter()
    for views in count_views(paths, wikis_of(lang), bad_lines).values():
        summed.update(views)
    return summed
