"""The sources of a language in, its entries out: the recipe from beginning to end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from metadata.dump import MAIN_NAMESPACE, read_pages
from metadata.entries import Candidate, Thresholds, assemble_entries, rank
from metadata.languages import wikis_of
from metadata.ngrams import NgramCounts, pmi
from metadata.pageviews import count_views
from metadata.wikitext import strip_wikitext
from metadata.wordnet import english_lemmas, omw_lemmas
from metadata.words import join_words, segmenter_name, split_runs

__all__ = ["BuiltMetadata", "LanguageSources", "build_language"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSources:
    """Where the candidates of a language come from.

    Attributes:
        dumps: Wikipedia dumps, of the language and of the wikis merged into it.
        wordnet_dir: folder of WordNet files; None for nltk's data.
        kinds: of wordnet, unigram, bigram, title.
        pageviews: hourly page-view files, read only if no counted views are given.
    """

    dumps: tuple[str, ...]
    wordnet_dir: str | None
    kinds: frozenset[str]
    pageviews: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltMetadata:
    """The entries of a language, and how they came to be, as JSON-able values."""

    table: pa.Table
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Found:
    """The candidates of one source: how many there were, and those within the thresholds."""

    num_raw: int
    kept: list[Candidate]


@dataclass(slots=True)
class _Corpus:
    """What one pass over the dumps gives."""

    counts: NgramCounts = field(default_factory=NgramCounts)
    titles: set[str] = field(default_factory=set)
    redirects: dict[str, str] = field(default_factory=dict)
    pages: Counter[str] = field(default_factory=Counter)


def build_language(
    lang: str,
    sources: LanguageSources,
    thresholds: Thresholds,
    views: Counter[str] | None = None,
) -> BuiltMetadata:
    """Build the entries of one language.

    Args:
        lang: metadata language.
        sources: where from.
        thresholds: what is kept.
        views: page views by title, of all wikis of the language; None to count those of
            sources.pageviews. Files hold all languages, so whoever builds several counts once.

    Returns:
        The table (entry, source, score), and a report: per source the candidates, how many were
        kept and the lowest score among them; pages by kind; words; entries left out by reason.

    Raises:
        InputError: a source is missing or corrupt.
        MissingExtraError: the language needs a segmenter that is not installed.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.1; Chuang et al. 2025, arXiv:2507.22062,
    section 3.2.
    """
    bad_lines: Counter[str] = Counter()
    found: dict[str, _Found] = {}
    if "wordnet" in sources.kinds:
        found["wordnet"] = _wordnet(lang, sources.wordnet_dir, bad_lines)
    corpus = _read_corpus(lang, sources)  # hours for the largest: after what may fail at once
    unigrams = _unigrams(corpus.counts, thresholds)
    if "unigram" in sources.kinds:
        found["unigram"] = unigrams
    if "bigram" in sources.kinds:
        found["bigram"] = _bigrams(lang, corpus.counts, thresholds, len(unigrams.kept))
    if "title" in sources.kinds:
        if views is None:
            views = _count_views(lang, sources.pageviews, bad_lines)
        found["title"] = _titles(corpus, views, thresholds)
    table, left_out = assemble_entries(
        {source: f.kept for source, f in found.items()}, thresholds.max_entry_characters
    )
    kept = Counter(table.column("source").to_pylist())
    report = {
        "segmenter": segmenter_name(lang),
        "pages": dict(sorted(corpus.pages.items())),
        "words": corpus.counts.num_tokens,
        "bad_lines": dict(sorted(bad_lines.items())),
        "left_out": left_out,
        "sources": {source: _summary(f, kept[source]) for source, f in found.items()},
    }
    return BuiltMetadata(table, report)


def _summary(found: _Found, num_kept: int) -> dict[str, Any]:
    return {
        "raw": found.num_raw,
        "within_thresholds": len(found.kept),
        "kept": num_kept,
        "lowest_score": round(found.kept[-1][1], 6) if found.kept else None,
    }


def _wordnet(lang: str, wordnet_dir: str | None, bad_lines: Counter[str]) -> _Found:
    if lang == "en":
        names = english_lemmas(wordnet_dir)
    else:
        names = omw_lemmas(lang, wordnet_dir, bad_lines) or []
    return _Found(len(names), [(name, 0.0) for name in names])


def _count_views(lang: str, paths: tuple[str, ...], bad_lines: Counter[str]) -> Counter[str]:
    summed: Counter[str] = Counter()
    for views in count_views(paths, wikis_of(lang), bad_lines).values():
        summed.update(views)
    return summed


def _read_corpus(lang: str, sources: LanguageSources) -> _Corpus:
    corpus = _Corpus()
    needs_words = not sources.kinds.isdisjoint({"unigram", "bigram"})
    for path in sources.dumps if sources.kinds - {"wordnet"} else ():
        for page in read_pages(path):
            if page.namespace != MAIN_NAMESPACE:
                corpus.pages["other_namespace"] += 1
            elif page.redirect is not None:
                corpus.pages["redirect"] += 1
                corpus.redirects[page.title] = page.redirect
            else:
                corpus.pages["article"] += 1
                corpus.titles.add(page.title)
                if needs_words:
                    text = strip_wikitext(page.text, page.media_prefixes)
                    corpus.counts.add(split_runs(text, lang))
    return corpus


def _unigrams(counts: NgramCounts, limits: Thresholds) -> _Found:
    frequent = [
        (word, float(num))
        for word, num in counts.unigrams.items()
        if num >= limits.unigram_min_count
    ]
    share = _share(limits.unigram_top_share, counts.unigrams)
    return _Found(len(counts.unigrams), rank(frequent, [share, limits.unigram_max]))


def _share(share: float | None, of: Sequence[Any] | Counter[Any]) -> float | None:
    return None if share is None else share * len(of)


def _bigrams(lang: str, counts: NgramCounts, limits: Thresholds, num_unigrams: int) -> _Found:
    """Rank pairs by PMI; those seen less often than the minimum are accidents and left out."""
    frequent = sorted(b for b, num in counts.bigrams.items() if num >= limits.bigram_min_count)
    bits_of = pmi(frequent, counts).tolist() if frequent else []
    floor = limits.bigram_min_pmi if limits.bigram_min_pmi is not None else float("-inf")
    best: dict[str, float] = {}
    for pair, bits in zip(frequent, bits_of, strict=True):
        if bits >= floor:
            # Two pairs without a space may spell one string.
            entry = join_words(pair, lang)
            best[entry] = max(bits, best.get(entry, bits))
    share = limits.bigram_max_share
    cap = None if share is None else share * num_unigrams
    return _Found(len(counts.bigrams), rank(best.items(), [cap, limits.bigram_max]))


def _titles(corpus: _Corpus, views: Counter[str], limits: Thresholds) -> _Found:
    """Rank articles by their views and those of the redirects that lead to them."""
    summed: Counter[str] = Counter()
    for title, num in views.items():
        # An article comes first: merged wikis may redirect a title that another has a page on.
        target = title if title in corpus.titles else corpus.redirects.get(title)
        if target in corpus.titles:
            summed[target] += num
    least = max(1, limits.title_min_views or 0)
    viewed = [(t, float(num)) for t, num in summed.items() if num >= least]
    share = _share(limits.title_top_share, summed)
    return _Found(len(corpus.titles), rank(viewed, [share, limits.title_max]))
