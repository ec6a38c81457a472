"""Which languages to build, and out of which files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from curate.errors import InputError, UsageError
from curate.files import storage
from curate.files.sizes import several
from curate.metadata.languages import is_new_wikipedia, metadata_languages, wikis_of
from curate.pipelines.build_metadata.api_corpus import api_file
from curate.pipelines.build_metadata.fetch_sources import Sources, WikiSources
from curate.pipelines.build_metadata.find_sources import SourceFile, total_size
from curate.pipelines.build_metadata.find_wordnets import WordNets
from curate.pipelines.build_metadata.pageview_sample import PageviewSample
from curate.pipelines.build_metadata.prefetch import in_words

__all__ = [
    "LanguagePlan",
    "choose_languages",
    "describe",
    "named_languages",
    "new_wikis",
    "plan_languages",
    "require_some",
]


_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguagePlan:
    """A language to be built.

    Attributes:
        lang: metadata language.
        kinds: of wordnet, unigram, bigram, title, that it can have.
        files: of its wikis' articles, here or to be fetched.
        absent: its wikis that the server does not have.
        own: list of somebody's own entries.
        no_wordnet: why it has none, where one was asked for.
        problem: why it cannot be built, as far as is known by now.
        said: why these files and not others, in words for people.
    """

    lang: str
    kinds: tuple[str, ...]
    files: tuple[SourceFile, ...] = ()
    absent: tuple[str, ...] = ()
    own: SourceFile | None = None
    no_wordnet: str | None = None
    problem: str | None = None
    said: tuple[str, ...] = ()

    @property
    def has_sources(self) -> bool:
        """Whether there is anything to build it from."""
        return bool(self.kinds) or self.own is not None


def choose_languages(
    lang: str, kinds: Collection[str], sources: Sources, others: Collection[str]
) -> list[str]:
    """Return the languages that are asked for, sorted.

    Args:
        lang: codes, comma-separated, or ``all``: of every Wikipedia if everything is to be had from
            a server, else of every dump at hand; and all others.
        kinds: of wordnet, unigram, bigram, title.
        sources: what there is.
        others: the languages that have a WordNet at hand, or a list of their own.

    Raises:
        UsageError: an unknown language.
        InputError: ``all``, and there is nothing.
    """
    if lang != "all":
        return named_languages(lang, kinds, sources)
    langs: set[str] = set()
    if set(kinds) - {"wordnet"}:
        everything = sources.fetcher is not None
        langs = {
            c for c in metadata_languages() if everything or sources.known_wikis & set(wikis_of(c))
        }
    langs |= set(others)
    if not langs:
        raise InputError(
            "--lang all found no source of any language. Expected Wikipedia dumps named like "
            "enwiki-20260101-pages-articles.xml.bz2 in --dumps, or a server to fetch them from. "
            "For nothing but --entries, name the languages, or have {lang} in the file's name."
        )
    return sorted(langs)


def named_languages(lang: str, kinds: Collection[str], sources: Sources) -> list[str]:
    """Return languages that are named, comma-separated, sorted.

    Args:
        lang: codes; one that is not in the table may be that of a Wikipedia newer than it.
        kinds: of wordnet, unigram, bigram, title.
        sources: where such a Wikipedia has to be.

    Raises:
        UsageError: an unknown language.
    """
    known = metadata_languages()
    langs = [code.strip() for code in lang.split(",") if code.strip()]
    strange = [code for code in langs if code not in known]
    may_be = [code for code in strange if is_new_wikipedia(code) and set(kinds) - {"wordnet"}]
    found = sources.of_wikis(may_be) if may_be else {}
    there = {code for code, wiki in found.items() if not wiki.is_absent}
    there = {code for code in there if found[code].files or found[code].problem}
    unknown = [code for code in strange if code not in there]
    if unknown or not langs:
        raise UsageError(
            f"unknown language {', '.join(unknown) or lang!r}; expected codes of Wikipedias that "
            "are not merged into another, such as en, de, zh, or all; or of a new one that the "
            "server, or --dumps, has"
        )
    return sorted(set(langs))


def new_wikis(langs: Sequence[str]) -> tuple[str, ...]:
    """Return those of some languages that are Wikipedias newer than the table, sorted."""
    return tuple(sorted(lang for lang in langs if is_new_wikipedia(lang)))


def plan_languages(
    langs: Sequence[str],
    kinds: Sequence[str],
    sources: Sources,
    sample: PageviewSample,
    wordnets: WordNets,
    own: Mapping[str, SourceFile],
    *,
    strict: bool,
) -> list[LanguagePlan]:
    """Find the files of each language.

    Args:
        langs: metadata languages.
        kinds: of wordnet, unigram, bigram, title.
        sources: what there is.
        sample: the page views.
        wordnets: the languages that need no articles.
        own: lists of somebody's own entries by language.
        strict: whether it is an error if a language lacks a source.

    Raises:
        InputError: with `strict`, where nothing is fetched: a source is missing.
    """
    needs_articles = bool(set(kinds) - {"wordnet"})
    wikis = [wiki for lang in langs for wiki in wikis_of(lang)] if needs_articles else []
    if sources.options.corpus == "api":  # of the wikis merged into a language, only its own
        asked = langs if needs_articles else ()
        found = {w: WikiSources(wiki=w, files=(api_file(w, sources, sample),)) for w in asked}
    else:
        found = sources.of_wikis(wikis)
    if strict and "title" in kinds and not sample.files and sample.problem is None:
        raise InputError(_no_views(sample))
    plans = []
    for lang in langs:
        possible = [k for k in kinds if k != "title" or sample.files]
        alone = [k for k in kinds if k == "wordnet" and (strict or lang in wordnets.langs)]
        plan = _plan(lang, possible, alone, found, strict=strict)
        plan = replace(plan, own=own.get(lang))
        if strict and "wordnet" in kinds:
            plan = _without_wordnet(plan, wordnets.lack(lang))
        plans.append(plan)
    if strict and sources.fetcher is None:
        for plan in plans:
            _require_all(plan, kinds, sources.dumps)
    return plans


def _without_wordnet(plan: LanguagePlan, lack: str | None) -> LanguagePlan:
    """Note that a language has no WordNet, which is a problem if it has nothing else either."""
    if lack is None or plan.files or plan.own is not None or plan.problem is not None:
        return replace(plan, no_wordnet=lack)
    problem = f"{lack}, and nothing else was asked for. Add others to --sources."
    return replace(plan, no_wordnet=lack, problem=problem)


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
        said=tuple(text for wiki in wikis for text in wiki.said),
    )


def _require_all(plan: LanguagePlan, kinds: Sequence[str], folder: str) -> None:
    if len(plan.kinds) < len(kinds):
        where = folder if storage.exists(folder) else f"{folder}, which is not there"
        raise InputError(
            plan.problem
            or f"there is no dump of {plan.lang} in {where}; expected a file named like "
            f"{plan.lang}wiki-20260101-pages-articles.xml.bz2. Name its folder with --dumps, or "
            "use --sources wordnet"
        )


def require_some(plans: Sequence[LanguagePlan]) -> None:
    """Refuse to tell what would be built where not one language could be asked for.

    Raises:
        InputError: so it is; with the first one's reason.
    """
    failed = [plan for plan in plans if plan.problem is not None]
    if failed and len(failed) == len(plans):
        those = f"{failed[0].lang} and {len(failed) - 1} more languages" if failed[1:] else ""
        told = f"nothing could be found out about {those}: " if those else ""
        raise InputError(f"{told}{failed[0].problem}")


def describe(
    plans: Sequence[LanguagePlan],
    kinds: Collection[str],
    sample: PageviewSample,
    wordnets: WordNets,
    overrides: Mapping[str, Any],
    beyond: Sequence[str] = (),
) -> dict[str, str]:
    """Say of each language what it would be built from; of page views and thresholds, which."""
    described = {plan.lang: _described(plan, wordnets) for plan in plans}
    if "title" in kinds:
        described["page views"] = sample.problem or _of_files(sample.files) or "none"
    if beyond:
        described["not in the table of Wikipedias"] = ", ".join(beyond)
    given = ", ".join(f"{name} {value}" for name, value in overrides.items())
    described["thresholds"] = f"those of the papers{', but ' if given else ''}{given}"
    return described


def _described(plan: LanguagePlan, wordnets: WordNets) -> str:
    has_wordnet = "wordnet" in plan.kinds and plan.lang in wordnets.langs
    parts = [wordnets.described()] if has_wordnet else []
    parts += [_of_files(plan.files)] if plan.files else []
    parts += [f"own entries of {plan.own.path}"] if plan.own is not None else []
    said = plan.problem or plan.no_wordnet
    parts += [said] if said is not None else []
    parts += plan.said
    return "; ".join(parts) or "nothing to build it from: there is no dump"


def _of_files(files: Sequence[SourceFile]) -> str:
    here = [file.path for file in files if file.is_here]
    if len(here) > _SHOWN:
        here = [f"{len(here)} files here, from {here[0]} on"]
    missing = [file for file in files if not file.is_here]
    if missing:
        size = in_words(total_size(missing))
        here.append(f"{several(len(missing), 'file')} to fetch, {size}, from {missing[0].name} on")
    return ", ".join(here)
