"""The sources of a language in, its entries out: the recipe from beginning to end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from metadata.dump import MAIN_NAMESPACE, read_dump
from metadata.entries import Candidate, Thresholds, assemble_entries, rank
from metadata.languages import is_spaceless
from metadata.ngrams import NgramCounts, pointwise_mutual_information
from metadata.wikitext import strip_wikitext
from metadata.wordnet import english_names, omw_lemmas
from metadata.words import segmenter_name, split_runs

__all__ = ["BuiltMetadata", "LanguageSources", "build_language"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSources:
    """Where the candidates of a language come from.

    Attributes:
        dumps: Wikipedia dumps, of the language and of the wikis merged into it.
        wordnet_dir: folder of WordNet files; None for nltk's data.
        kinds: of wordnet, unigram, bigram, title.
    """

    dumps: tuple[str, ...]
    wordnet_dir: str | None
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class BuiltMetadata:
    """The entries of a language, and how they came to be, as JSON-able values."""

    table: pa.Table
    report: dict[str, Any]


@dataclass(slots=True)
class _Corpus:
    """What one pass over the dumps gives."""

    counts: NgramCounts = field(default_factory=NgramCounts)
    titles: set[str] = field(default_factory=set)
    redirects: dict[str, str] = field(default_factory=dict)
    pages: Counter[str] = field(default_factory=Counter)


def build_language(
    lang: str, sources: LanguageSources, thresholds: Thresholds, views: Counter[str]
) -> BuiltMetadata:
    """Build the entries of one language.

    Args:
        lang: metadata language.
        sources: where from.
        thresholds: what is kept.
        views: page views by title, of all wikis of the language.

    Returns:
        The table (entry, source, score), and a report: per source the candidates, how many were
        kept and the lowest score among them; pages by kind; words; entries left out by reason.

    Raises:
        InputError: a source is missing or corrupt.
        MissingExtraError: the language needs a segmenter that is not installed.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.1; Chuang et al. 2025, arXiv:2507.22062,
    section 3.2.
    """
    candidates: dict[str, list[Candidate]] = {}
    num_raw: dict[str, int] = {}
    if "wordnet" in sources.kinds:
        names = _wordnet_names(lang, sources.wordnet_dir)
        candidates["wordnet"] = [(name, 0.0) for name in names]
        num_raw["wordnet"] = len(names)
    corpus = _read_corpus(lang, sources)
    unigrams = _unigrams(corpus.counts, thresholds)
    if "unigram" in sources.kinds:
        candidates["unigram"] = unigrams
        num_raw["unigram"] = len(corpus.counts.unigrams)
    if "bigram" in sources.kinds:
        candidates["bigram"] = _bigrams(lang, corpus.counts, thresholds, len(unigrams))
        num_raw["bigram"] = len(corpus.counts.bigrams)
    if "title" in sources.kinds:
        candidates["title"] = _titles(corpus, views, thresholds)
        num_raw["title"] = len(corpus.titles)
    table, left_out = assemble_entries(candidates, thresholds.max_characters)
    kept = Counter(table.column("source").to_pylist())
    report = {
        "segmenter": segmenter_name(lang),
        "pages": dict(sorted(corpus.pages.items())),
        "words": corpus.counts.unigrams.total(),
        "left_out": left_out,
        "sources": {
            source: {
                "raw": num_raw[source],
                "within_thresholds": len(found),
                "kept": kept[source],
                "lowest_score": round(found[-1][1], 6) if found else None,
            }
            for source, found in candidates.items()
        },
    }
    return BuiltMetadata(table, report)


def _wordnet_names(lang: str, wordnet_dir: str | None) -> list[str]:
    if lang == "en":
        return english_names(wordnet_dir)
    return omw_lemmas(lang, wordnet_dir) or []


def _read_corpus(lang: str, sources: LanguageSources) -> _Corpus:
    corpus = _Corpus()
    needs_words = not sources.kinds.isdisjoint({"unigram", "bigram"})
    for path in sources.dumps if sources.kinds - {"wordnet"} else ():
        for page in read_dump(path):
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


def _unigrams(counts: NgramCounts, limits: Thresholds) -> list[Candidate]:
    frequent = [
        (word, float(num))
        for word, num in counts.unigrams.items()
        if num >= limits.unigram_min_count
    ]
    return rank(frequent, [_share(limits.unigram_top_share, counts.unigrams), limits.unigram_max])


def _share(share: float | None, of: Sequence[Any] | Counter[Any]) -> float | None:
    return None if share is None else share * len(of)


def _bigrams(
    lang: str, counts: NgramCounts, limits: Thresholds, num_unigrams: int
) -> list[Candidate]:
    """Rank pairs by PMI; those seen less often than the minimum are accidents and left out."""
    frequent = sorted(b for b, num in counts.bigrams.items() if num >= limits.bigram_min_count)
    pmi = pointwise_mutual_information(frequent, counts).tolist() if frequent else []
    joiner = "" if is_spaceless(lang) else " "
    floor = limits.bigram_min_pmi if limits.bigram_min_pmi is not None else float("-inf")
    best: dict[str, float] = {}
    for pair, bits in zip(frequent, pmi, strict=True):
        if bits >= floor:
            # Two pairs without a space may spell one string.
            entry = joiner.join(pair)
            best[entry] = max(bits, best.get(entry, bits))
    share = limits.bigram_max_share
    cap = None if share is None else share * num_unigrams
    return rank(best.items(), [cap, limits.bigram_max])


def _titles(corpus: _Corpus, views: Counter[str], limits: Thresholds) -> list[Candidate]:
    """Rank articles by their views and those of the redirects that lead to them."""
    summed: Counter[str] = Counter()
    for title, num in views.items():
        target = corpus.redirects.get(title, title)
        if target in corpus.titles:
            summed[target] += num
    viewed = [(t, float(num)) for t, num in summed.items() if num >= limits.title_min_views]
    return rank(viewed, [_share(limits.title_top_share, summed), limits.title_max])
