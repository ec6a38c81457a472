"""`curate build-metadata`: sources → `metadata/<lang>.parquet` and `manifest.json`.

The way through: find the sources of each language, or where they can be fetched from
(`plan_languages`) → fetch and count the page views (`pageview_sample`) → fetch and build language
by language (`build_task`), the files of the next coming while one is built → one file a language,
whose stamp names its sources and holds its report → the manifest, put together from the stamps. A
killed run goes on with the languages that have no file yet, and one that fails does not keep the
others back.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from curate.errors import FetchError, InputError, UsageError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.sizes import parse_size
from curate.metadata.entries import Thresholds
from curate.metadata.languages import OTHER, LabelSet, metadata_languages
from curate.pipelines.build_metadata.fetch_sources import Sources
from curate.pipelines.build_metadata.find_sources import SourceOptions
from curate.pipelines.build_metadata.find_wordnets import WordNets, find_wordnets
from curate.pipelines.build_metadata.manifest import tell_sources, write_manifest
from curate.pipelines.build_metadata.other_language import check_label_set, write_other
from curate.pipelines.build_metadata.own_dumps import own_dumps
from curate.pipelines.build_metadata.own_entries import STAMPED, languages_with_own, own_files
from curate.pipelines.build_metadata.pageview_sample import (
    PageviewSample,
    count_sample,
    find_sample,
)
from curate.pipelines.build_metadata.plan import (
    LanguagePlan,
    choose_languages,
    describe,
    named_languages,
    new_wikis,
    plan_languages,
    require_some,
)
from curate.pipelines.build_metadata.prefetch import in_words
from curate.pipelines.build_metadata.space_needed import check_space
from curate.pipelines.build_metadata.task import BuildRun, build_all, language_path, needs_sources
from curate.pipelines.executor.lease import driven, driving
from curate.pipelines.store import artifacts
from curate.pipelines.store.build_ways import note_way
from curate.pipelines.store.metadata_store import KINDS, MANIFEST, MetadataStore, write_indices
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import log

__all__ = ["build_languages", "reindex"]

LEAST_MEMORY_BYTES = 256_000_000
_SHOWN = 10  # languages that failed


@driven("build-metadata")
def build_languages(
    lang: str,
    *,
    kinds: str,
    dumps: str,
    pageviews: str,
    wordnet_dir: str | None,
    output: str,
    overrides: dict[str, Any],
    options: SourceOptions | None = None,
    entries: str | None = None,
    scratch: str | None = None,
    lid_labels: str | None = None,
    memory: str = "4GB",
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Build the metadata of languages; what is there already is kept.

    Args:
        lang: codes, comma-separated, or ``all``: every Wikipedia that can be had; but where
            somebody put dumps of their own, and named no mirror, those.
        kinds: of wordnet, unigram, bigram, title, comma-separated; ``none`` for own entries alone.
        dumps: folder of ``{wiki}wiki-*.xml.bz2``, and where fetched ones go.
        pageviews: folder of ``pageviews-*``, and where fetched ones go.
        wordnet_dir: English WordNet database and ``wn-data-*.tab`` files; None for nltk's data.
        output: the folder `metadata/`.
        overrides: thresholds that differ from the language's own.
        options: where to fetch what is not at hand; None to fetch nothing.
        entries: file of own entries, which come after all others; ``{lang}`` in it stands for the
            language. Where nothing else differs, `overwrite` replaces only them.
        scratch: folder of counted page views and words, for runs that go on; None for one that is
            removed.
        lid_labels: name of the set of labels that `other` is for; None for that of the one there,
            else lid.176's.
        memory: what counting may take, all processes together, such as 4GB.
        workers: processes.
        overwrite: replace the languages' files.
        dry_run: plan only; nothing is written.
        quiet: no progress.

    Returns:
        The manifest, and where it is; with dry_run, the plan.

    Raises:
        UsageError: an unknown language, source or threshold.
        InputError: a named language could not be built, or with ``all`` none could; the others are.
        ArtifactError: a language's file was made from something else, or another run works on the
            output or the sources.
        DiskSpaceError: a disk is full, or would be.
    """
    wanted = _kinds(kinds, entries)
    label_set = check_label_set(lid_labels)
    memory_bytes = parse_bytes(memory)
    Thresholds.for_language("en", **overrides)  # whatever is wrong with them is so for every one
    options = options or SourceOptions()
    fetch_wordnet = options.mirror is not None
    options = _options(lang, dumps, options, dry_run=dry_run)
    sources = Sources(dumps, options, write=not dry_run)
    try:
        langs, wordnets = _choose(
            lang, wanted, sources, wordnet_dir, entries, fetch=fetch_wordnet, dry_run=dry_run
        )
        own = own_files(entries, langs, strict=lang != "all")
        needs_views = "title" in wanted or options.corpus == "api"
        sample = PageviewSample(folder=pageviews)
        if needs_views:
            sample = _sample(pageviews, sources, dry_run=dry_run)
            sample = replace(sample, new_wikis=new_wikis(langs))
        plans = plan_languages(langs, wanted, sources, sample, wordnets, own, strict=lang != "all")
        # Of one kind of entries alone, WordNet's, no server of dumps is asked.
        beyond = sources.wikis_beyond() if lang == "all" and set(wanted) - {"wordnet"} else ()
        if dry_run:
            require_some(plans)
            return describe(plans, wanted, sample, wordnets, overrides, beyond)
        for plan in plans:
            if plan.no_wordnet and plan.problem is None:
                log(f"{plan.lang}: {plan.no_wordnet}; entries come from the rest", quiet=quiet)
        refuse_foreign(output, MANIFEST) if not storage.list_files(output, ".parquet") else None
        with _scratch(scratch) as folder:
            for written in (output, folder, *((dumps, pageviews) if sources.fetcher else ())):
                storage.remove_leftovers(written)
            todo = [p for p in plans if needs_sources(p, output, overwrite=overwrite)]
            num_bytes = check_space(todo, sample, sources, (dumps, pageviews, folder), workers)
            if num_bytes:
                _announce(num_bytes, options, quiet=quiet)
            sources.show(num_bytes, "fetch", quiet=quiet)
            run = BuildRun(
                sources=sources,
                wordnet_dir=wordnet_dir,
                fetch_wordnet=fetch_wordnet,
                overrides=overrides,
                counted=count_sample(sample, sources, folder, workers=workers, quiet=quiet),
                output=output,
                overwrite=overwrite,
                scratch=folder,
                memory_bytes=memory_bytes,
            )
            failed = build_all(plans, run, workers=workers, quiet=quiet)
        return _finish(
            lang,
            plans,
            failed,
            output,
            beyond=beyond,
            label_set=label_set,
            overwrite=overwrite,
            quiet=quiet,
        )
    finally:
        sources.close()


def parse_bytes(text: str) -> int:
    """Return a size such as ``4GB``, ``512MB`` or ``1000000`` in bytes.

    Raises:
        UsageError: it is none, or less than LEAST_MEMORY_BYTES.

    >>> parse_bytes("1.5 GB")
    1500000000
    """
    return parse_size(text, "--memory", LEAST_MEMORY_BYTES)


def _choose(
    lang: str,
    kinds: Sequence[str],
    sources: Sources,
    wordnet_dir: str | None,
    entries: str | None,
    *,
    fetch: bool,
    dry_run: bool,
) -> tuple[list[str], WordNets]:
    """Return the languages asked for, and which of them have a WordNet."""
    asked = None if lang == "all" else named_languages(lang, kinds, sources)
    has_wordnet = "wordnet" in kinds
    wordnets = WordNets()
    if asked is None and has_wordnet and (wordnet_dir is not None or sources.fetcher is not None):
        wordnets = find_wordnets(None, wordnet_dir, fetch=fetch, dry_run=dry_run)
    own = languages_with_own(entries, metadata_languages())
    langs = choose_languages(lang, kinds, sources, wordnets.langs | own)
    if has_wordnet and not wordnets.langs:
        wordnets = find_wordnets(langs, wordnet_dir, fetch=fetch, dry_run=dry_run)
    return langs, wordnets


def _sample(folder: str, sources: Sources, *, dry_run: bool) -> PageviewSample:
    """Find the page views; a dry run says if they cannot be asked for, and goes on."""
    if not dry_run:
        return find_sample(folder, sources)
    asking = Sources(sources.dumps, sources.options, write=False)  # a failure is its end
    try:
        return find_sample(folder, asking)
    except FetchError as error:
        return PageviewSample(folder=folder, problem=str(error))
    finally:
        asking.close()


def _kinds(kinds: str, entries: str | None) -> tuple[str, ...]:
    if kinds.strip() == "none":
        if entries is None:
            raise UsageError("--sources none needs --entries: there would be nothing but numbers")
        return ()
    wanted = [k.strip() for k in kinds.split(",") if k.strip()]
    unknown = [k for k in wanted if k not in KINDS]
    if unknown or not wanted:
        raise UsageError(
            f"--sources has {', '.join(unknown) or 'nothing'}; expected some of {', '.join(KINDS)}"
        )
    return tuple(k for k in KINDS if k in wanted)


def _options(lang: str, dumps: str, options: SourceOptions, *, dry_run: bool) -> SourceOptions:
    """Fetch nothing for ``all`` where somebody put dumps of their own and named no mirror.

    A dry run does not wait for a server that does not answer.
    """
    if dry_run:
        options = replace(options, retries=replace(options.retries, attempts=1))
    if lang == "all" and options.corpus == "dumps" and not options.whole_mirror:
        if own_dumps(dumps, options.day, options.dumps_layout):
            return replace(options, mirror=None)
    return options


def _announce(num_bytes: int, options: SourceOptions, *, quiet: bool) -> None:
    log(f"to fetch: {in_words(num_bytes)} from {options.mirror}", quiet=quiet)
    if options.contact is None and "wikimedia.org" in (options.mirror or ""):
        log(
            "Wikimedia asks programs to say whose they are, and may block those that do not: give "
            "--contact, or set CURATE_CONTACT.",
            quiet=quiet,
        )


@contextmanager
def _scratch(folder: str | None) -> Iterator[str]:
    if folder is not None:
        # Outputs of several runs may differ, and their sources be the same.
        with driving(folder, "build-metadata"):
            yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield temporary


def reindex(folder: str) -> dict[str, Any]:
    """Write the indices of all languages of a metadata folder anew, from their entries.

    Returns:
        The manifest, and where it is.

    Raises:
        ArtifactError: the folder holds no metadata, or damaged entries.
    """
    store = MetadataStore.open(folder)
    for lang, sha256 in store.hashes.items():
        write_indices(folder, lang, store.table(lang).column("entry"), sha256)
    manifest = artifacts.read_json(storage.join(folder, MANIFEST))
    return {**manifest, "output": without_secrets(folder)}


def _finish(
    lang: str,
    plans: Sequence[LanguagePlan],
    failed: dict[str, str],
    output: str,
    *,
    beyond: Sequence[str],
    label_set: LabelSet | None,
    overwrite: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Write `other` and the manifest; raise if the run as a whole failed.

    With ``all``, some of 330 wikis are always out of order, and what there is can be used: they are
    named in the manifest and tried again by the next run. A language that was asked for by name is
    a failure.
    """
    absent = [plan.lang for plan in plans if plan.problem is None and not plan.has_sources]
    built = [plan.lang for plan in plans if plan.has_sources and plan.lang not in failed]
    if built and (lang == "all" or storage.exists(language_path(output, OTHER))):
        write_other(output, label_set, overwrite=overwrite, quiet=quiet)
    if built:
        manifest = write_manifest(output, failed, absent, plans, beyond)
        note_way(output)
    if failed and (lang != "all" or not built):
        raise InputError(_in_lines(failed) + (_built_lines(manifest, built) if built else ""))
    if not built:
        raise InputError(f"the server has none of the {len(absent)} Wikipedias asked for")
    tell_sources(plans, built, manifest, quiet=quiet)
    for code in built:
        _tell_own(code, manifest["languages"][code]["report"].get(STAMPED), quiet=quiet)
    for code, problem in failed.items():
        log(f"failed: {code}: {problem}", quiet=quiet)
    return {**manifest, "output": without_secrets(output)}


def _tell_own(lang: str, report: dict[str, Any] | None, *, quiet: bool) -> None:
    if report is not None:
        left_out = ", ".join(f"{reason} {num:,}" for reason, num in report["left_out"].items())
        added = f"{report['added']:,} of {report['read']:,} own entries added"
        log(f"{lang}: {added}; left out: {left_out or 'none'}", quiet=quiet)


def _built_lines(manifest: dict[str, Any], built: Sequence[str]) -> str:
    """Say what is there although others failed, and is kept."""
    found = (f"{code} {manifest['languages'][code]['entries']:,}" for code in built)
    return f"\nBuilt, with so many entries: {', '.join(found)}. They are kept."


def _in_lines(failed: dict[str, str]) -> str:
    if len(failed) == 1:
        return next(iter(failed.values()))
    first = list(failed.items())[:_SHOWN]
    lines = "".join(f"\n  {code}: {problem}" for code, problem in first)
    lines += f"\n  … and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return f"{len(failed)} languages could not be built:{lines}"
