"""Which languages to build, and out of which files."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from metadata.errors import InputError, UsageError
from metadata.languages import metadata_languages, wikis_of
from metadata.wordnet import wordnet_languages
from pipelines.api_corpus import api_file
from pipelines.fetch_sources import Sources, WikiSources
from pipelines.find_sources import SourceFile, total_size
from pipelines.pageview_sample import PageviewSample
from pipelines.prefetch import in_words

__all__ = [
    "LanguagePlan",
    "choose_languages",
    "describe",
    "plan_languages",
    "wordnets_at_hand",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguagePlan:
    """A language to be built.

    Attributes:
        lang: metadata language.
        kinds: of wordnet, unigram, bigram, title, that it can have.
        files: of its wikis' articles, here or to be fetched.
        absent: its wikis that the server does not have.
        problem: why it cannot be built, as far as is known by now. Without kinds and without a
            problem there is nothing to build.
    """

    lang: str
    kinds: tuple[str, ...]
    files: tuple[SourceFile, ...] = ()
    absent: tuple[str, ...] = ()
    problem: str | None = None


def choose_languages(
    lang: str, kinds: Collection[str], sources: Sources, with_wordnet: Collection[str]
) -> list[str]:
    """Return the languages that are asked for, sorted.

    Args:
        lang: codes, comma-separated, or ``all``: of every Wikipedia if everything is to be had from
            a server, else of every dump at hand; and of every WordNet at hand.
        kinds: of wordnet, unigram, bigram, title.
        sources: what there is.
        with_wordnet: the languages that have a WordNet at hand.

    Raises:
        UsageError: an unknown language.
        InputError: ``all``, and there is nothing.
    """
    known = metadata_languages()
    if lang != "all":
        return _named(lang, known)
    langs: set[str] = set()
    if set(kinds) - {"wordnet"}:
        everything = sources.fetcher is not None
        langs = {c for c in known if everything or sources.known_wikis & set(wikis_of(c))}
    langs |= set(with_wordnet)
    if not langs:
        raise InputError(
            "--lang all found no source of any language. Expected Wikipedia dumps named like "
            "enwiki-20260101-pages-articles.xml.bz2 in --dumps, or a server to fetch them from."
        )
    return sorted(langs)


def wordnets_at_hand(
    lang: str, kinds: Collection[str], sources: Sources, wordnet_dir: str | None
) -> frozenset[str]:
    """Return the languages that ``all`` can build of a WordNet alone.

    nltk's data are fetched here if anything is, and not by every worker for itself.

    Raises:
        InputError: there is no such folder of WordNet files.
    """
    if lang != "all" or "wordnet" not in kinds:
        return frozenset()
    if wordnet_dir is None and sources.fetcher is None:
        return frozenset()
    return wordnet_languages(wordnet_dir)


def _named(lang: str, known: Collection[str]) -> list[str]:
    langs = [code.strip() for code in lang.split(",") if code.strip()]
    unknown = [code for code in langs if code not in known]
    if unknown or not langs:
        raise UsageError(
            f"unknown language {', '.join(unknown) or lang!r}; expected codes of Wikipedias that "
            "are not merged into another, such as en, de, zh, or all"
        )
    return sorted(set(langs))


def plan_languages(
    langs: Sequence[str],
    kinds: Sequence[str],
    sources: Sources,
    sample: PageviewSample,
    with_wordnet: Collection[str],
    *,
    strict: bool,
) -> list[LanguagePlan]:
    """Find the files of each language.

    Args:
        langs: metadata languages.
        kinds: of wordnet, unigram, bigram, title.
        sources: what there is.
        sample: the page views.
        with_wordnet: the languages that need no articles.
        strict: whether it is an error if a language lacks a source.

    Raises:
        InputError: with `strict`, where nothing is fetched: a source is missing.
    """
    needs_articles = bool(set(kinds) - {"wordnet"})
    wikis = [wiki for lang in langs for wiki in wikis_of(lang)] if needs_articles else []
    if sources.options.corpus == "api":  # of the wikis merged into a language, only its own
        own = langs if needs_articles else ()
        found = {w: WikiSources(wiki=w, files=(api_file(w, sources, sample),)) for w in own}
    else:
        found = sources.of_wikis(wikis)
    if strict and "title" in kinds and not sample.files:
        raise InputError(_no_views(sample))
    plans = []
    for lang in langs:
        possible = [k for k in kinds if k != "title" or sample.files]
        alone = ["wordnet"] if "wordnet" in kinds and (strict or lang in with_wordnet) else []
        plans.append(_plan(lang, possible, alone, found, strict=strict))
    if strict and sources.fetcher is None:
        for plan in plans:
            _require_all(plan, kinds)
    return plans


def _no_views(sample: PageviewSample) -> str:
    if sample.missing:
        return (
            f"titles need page views, and {sample.mirror} has none of the {len(sample.missing)} "
            "files drawn. Name another --mirror, other days with --pageview-from and "
            "--pageview-to, or leave titles out with --sources wordnet,unigram,bigram"
        )
    return (
        "titles need page views, and there are no files named like "
        "pageviews-20260101-000000.gz. Name their folder with --pageviews, or leave titles "
        "out with --sources wordnet,unigram,bigram"
    )


def _plan(
    lang: str,
    kinds: Sequence[str],
    kinds_without_articles: Sequence[str],
    found: dict[str, WikiSources],
    *,
    strict: bool,
) -> LanguagePlan:
    wikis = [found[wiki] for wiki in wikis_of(lang) if wiki in found]
    files = tuple(file for wiki in wikis for file in wiki.files)
    # A wiki that could not be asked for may be there next time: without it, the entries would
    # differ from one run to the next. One that the server does not have is left out.
    problems = [wiki.problem for wiki in wikis if wiki.problem and not wiki.is_absent]
    if strict and not files:
        problems += [wiki.problem for wiki in wikis if wiki.problem]
    return LanguagePlan(
        lang=lang,
        kinds=tuple(kinds if files else kinds_without_articles),
        files=files,
        absent=tuple(wiki.wiki for wiki in wikis if wiki.is_absent),
        problem=problems[0] if problems else None,
    )


def _require_all(plan: LanguagePlan, kinds: Sequence[str]) -> None:
    if len(plan.kinds) < len(kinds):
        raise InputError(
            f"there is no dump of {plan.lang}; expected a file named like "
            f"{plan.lang}wiki-20260101-pages-articles.xml.bz2. Name its folder with --dumps, or "
            "use --sources wordnet"
        )


def describe(plans: Sequence[LanguagePlan], views: Sequence[SourceFile]) -> dict[str, str]:
    """Say of each language what it would be built from, and of page views what would be fetched."""
    described = {plan.lang: plan.problem or _of_files(plan.files) or "no dump" for plan in plans}
    if total_size(views):
        described["page views"] = _of_files(views)
    return described


def _of_files(files: Sequence[SourceFile]) -> str:
    here = [file.path for file in files if file.is_here]
    missing = [file for file in files if not file.is_here]
    if missing:
        size = in_words(total_size(missing))
        here.append(f"{len(missing)} files to fetch, {size}, from {missing[0].name} on")
    return ", ".join(here)
