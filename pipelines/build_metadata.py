"""`curate build-metadata`: sources → `metadata/<lang>.parquet` and `manifest.json`.

The way through: find the sources of each language → build it (`metadata.build`) → one file a
language, whose stamp names its sources and holds its report → the manifest, put together from the
stamps. A killed run goes on with the languages that have no file yet.
"""

import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from curation.normalize import Normalization
from metadata.build import BuiltMetadata, LanguageSources, build_language
from metadata.entries import Thresholds, metadata_hash, union_entries
from metadata.errors import InputError, UsageError
from metadata.languages import (
    metadata_languages,
    omw_code,
    unreached_languages,
    wikis_of,
)
from metadata.pageviews import count_views
from pipelines import artifacts, storage
from pipelines.executor import run_parts
from pipelines.metadata_store import MANIFEST, MetadataStore, index_path, write_indices
from pipelines.progress import progress
from pipelines.workspace import refuse_foreign

__all__ = ["build_languages", "reindex"]

KINDS = ("wordnet", "unigram", "bigram", "title")
_DUMP_NAME = re.compile(r"(?P<wiki>[a-z_]+)wiki[-.].*\.xml(?:\.bz2)?$")
_PAGEVIEWS_NAME = re.compile(r"pageviews-\d{8}-\d{6}(?:\.gz)?$")
OTHER = "other"
NORMALIZATIONS: tuple[Normalization, ...] = ("standard", "metaclip")


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTask:
    """One language to build; picklable.

    Attributes:
        lang: metadata language.
        sources: its files.
        thresholds: what is kept.
        stamp: what the file is made from.
    """

    lang: str
    sources: LanguageSources
    thresholds: Thresholds
    stamp: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Found:
    """The source files at hand: dumps by wiki code, page-view files, WordNet folder."""

    dumps: dict[str, list[str]]
    pageviews: list[str]
    wordnet_dir: str | None
    tab_codes: frozenset[str]


def build_languages(
    lang: str,
    *,
    kinds: str,
    dumps: str,
    pageviews: str,
    wordnet_dir: str | None,
    output: str,
    overrides: dict[str, Any],
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Build the metadata of languages from local sources; what is there already is kept.

    Args:
        lang: codes, comma-separated, or ``all`` for every language that has a source.
        kinds: of wordnet, unigram, bigram, title, comma-separated.
        dumps: folder of ``{wiki}wiki-*.xml.bz2``.
        pageviews: folder of ``pageviews-*.gz``.
        wordnet_dir: English WordNet database and ``wn-data-*.tab`` files; None for nltk's data.
        output: the folder `metadata/`.
        overrides: thresholds that differ from the language's own.
        workers: processes.
        overwrite: replace the languages' files.
        dry_run: plan only; nothing is written.
        quiet: no progress.

    Returns:
        The manifest, and where it is; with dry_run, the plan.

    Raises:
        UsageError: an unknown language, source or threshold.
        InputError: a source of a named language is missing.
        ArtifactError: a language's file was made from something else.
    """
    wanted = _kinds(kinds)
    found = _find_sources(dumps, pageviews, wordnet_dir)
    langs = _languages(lang, wanted, found)
    refuse_foreign(output, MANIFEST) if not storage.list_files(output, ".parquet") else None
    tasks = [_task(code, wanted, found, overrides, strict=lang != "all") for code in langs]
    if dry_run:
        return {task.lang: ", ".join(task.sources.dumps) or "no dump" for task in tasks}
    storage.remove_leftovers(output)
    todo = [t for t in tasks if overwrite or not _is_done(output, t)]
    views = _views(todo, found)
    jobs = (
        [(task, views) for task in todo]
        if len(todo) < 2
        else [(task, {w: views[w] for w in wikis_of(task.lang) if w in views}) for task in todo]
    )
    results = run_parts(_build, jobs, workers=workers, setup=_Output, arguments=(output,))
    for _ in progress(results, total=len(jobs), label="build", unit="language", quiet=quiet):
        pass
    if lang == "all":
        _write_other(output, langs, overwrite=overwrite)
    return {**_write_manifest(output), "output": output}


def _kinds(kinds: str) -> tuple[str, ...]:
    wanted = [k.strip() for k in kinds.split(",") if k.strip()]
    unknown = [k for k in wanted if k not in KINDS]
    if unknown or not wanted:
        raise UsageError(
            f"--sources has {', '.join(unknown) or 'nothing'}; expected some of {', '.join(KINDS)}"
        )
    return tuple(k for k in KINDS if k in wanted)


def _find_sources(dumps: str, pageviews: str, wordnet_dir: str | None) -> _Found:
    by_wiki: dict[str, list[str]] = {}
    for path in _files(dumps):
        match = _DUMP_NAME.match(path.rsplit("/", 1)[-1])
        if match:
            by_wiki.setdefault(match["wiki"], []).append(path)
    views = [p for p in _files(pageviews) if _PAGEVIEWS_NAME.match(p.rsplit("/", 1)[-1])]
    tabs = storage.expand([wordnet_dir]) if wordnet_dir and storage.exists(wordnet_dir) else []
    codes = (re.search(r"wn-data-(\w+)\.tab", path) for path in tabs)
    return _Found(by_wiki, views, wordnet_dir, frozenset(c[1] for c in codes if c))


def _files(folder_or_file: str) -> list[str]:
    if not storage.exists(folder_or_file):
        return []
    listed = storage.list_files(folder_or_file, "")
    return listed or [folder_or_file]


def _languages(lang: str, wanted: tuple[str, ...], found: _Found) -> list[str]:
    known = metadata_languages()
    if lang == "all":
        langs = [c for c in known if any(w in found.dumps for w in wikis_of(c))]
        if "wordnet" in wanted:
            langs += [c for c in known if omw_code(c) in found.tab_codes and c not in langs]
        if not langs:
            raise InputError(
                "--lang all found no source of any language. Expected Wikipedia dumps named like "
                "enwiki-20260101-pages-articles.xml.bz2 in --dumps."
            )
        return sorted(langs)
    langs = [code.strip() for code in lang.split(",") if code.strip()]
    unknown = [code for code in langs if code not in known]
    if unknown or not langs:
        raise UsageError(
            f"unknown language {', '.join(unknown) or lang!r}; expected codes of Wikipedias that "
            "are not merged into another, such as en, de, zh, or all"
        )
    return sorted(set(langs))


def _task(
    lang: str,
    wanted: tuple[str, ...],
    found: _Found,
    overrides: dict[str, Any],
    *,
    strict: bool,
) -> LanguageTask:
    dumps = [path for wiki in wikis_of(lang) for path in found.dumps.get(wiki, [])]
    kinds = [k for k in wanted if k == "wordnet" or dumps]
    if not found.pageviews and "title" in kinds:
        if strict:
            raise InputError(
                "titles need page views, and there are no files named like "
                "pageviews-20260101-000000.gz. Name their folder with --pageviews, or leave titles "
                "out with --sources wordnet,unigram,bigram"
            )
        kinds.remove("title")
    if strict and len(kinds) < len(wanted):
        raise InputError(
            f"there is no dump of {lang}; expected a file named like "
            f"{lang}wiki-20260101-pages-articles.xml.bz2. Name its folder with --dumps, or use "
            "--sources wordnet"
        )
    thresholds = Thresholds.for_language(lang, **overrides)
    sources = LanguageSources(
        dumps=tuple(dumps), wordnet_dir=found.wordnet_dir, kinds=frozenset(kinds)
    )
    stamp = {
        "lang": lang,
        "kinds": kinds,
        "thresholds": asdict(thresholds),
        "dumps": [_identity(path) for path in dumps],
        "pageviews": [_identity(p) for p in found.pageviews] if "title" in kinds else [],
        "wordnet_dir": found.wordnet_dir if "wordnet" in kinds else None,
    }
    return LanguageTask(lang=lang, sources=sources, thresholds=thresholds, stamp=stamp)


_identities: dict[str, dict[str, Any]] = {}


def _identity(path: str) -> dict[str, Any]:
    """Return a source file's name, size and hash; page views are shared, so hashed once."""
    if path not in _identities:
        size, _ = storage.size_and_time(path)
        sha256 = storage.file_sha256(path)
        _identities[path] = {"file": path, "size_bytes": size, "sha256": sha256}
    return _identities[path]


def _path(output: str, lang: str) -> str:
    return storage.join(output, f"{lang}.parquet")


def _is_done(output: str, task: LanguageTask) -> bool:
    path = _path(output, task.lang)
    if not storage.exists(path):
        return False
    stamp = artifacts.read_stamp(path)
    artifacts.require_same(path, stamp["made_from"], task.stamp)
    # The entries come last, so their file says that the indices are there too; unless somebody
    # took one away.
    return all(storage.exists(index_path(output, task.lang, n)) for n in NORMALIZATIONS)


def _views(tasks: list[LanguageTask], found: _Found) -> dict[str, Counter[str]]:
    """Count the page views of all wikis in one reading."""
    wikis = [w for t in tasks if "title" in t.sources.kinds for w in wikis_of(t.lang)]
    return count_views(found.pageviews, wikis) if wikis else {}


class _Output:
    """Where a worker writes."""

    def __init__(self, folder: str) -> None:
        self.folder = folder


def _build(output: _Output, job: tuple[LanguageTask, dict[str, Counter[str]]]) -> str:
    task, views = job
    summed: Counter[str] = Counter()
    for wiki in wikis_of(task.lang):
        summed.update(views.get(wiki, Counter()))
    built = build_language(task.lang, task.sources, task.thresholds, views=summed)
    _write(output.folder, task.lang, built, task.stamp)
    return task.lang


def _write(folder: str, lang: str, built: BuiltMetadata, made_from: dict[str, Any]) -> None:
    sha256 = metadata_hash(built.table.column("entry").to_pylist())
    stamp = {"made_from": made_from, "sha256": sha256, "report": built.report}
    write_indices(folder, lang, built.table.column("entry"), sha256)
    artifacts.write_table(_path(folder, lang), built.table, stamp, sha256)


def _write_other(output: str, langs: list[str], *, overwrite: bool) -> None:
    """Write `other`: the union of the languages that no label of the LID model goes to."""
    members = [lang for lang in langs if lang in unreached_languages()]
    if not members:
        return
    hashes = {lang: artifacts.read_stamp(_path(output, lang))["sha256"] for lang in members}
    made_from = {"lang": OTHER, "union_of": hashes}
    path = _path(output, OTHER)
    if storage.exists(path) and not overwrite:
        if artifacts.read_stamp(path)["made_from"] == made_from:
            return
    table = union_entries([artifacts.read_table(_path(output, lang)) for lang in members])
    _write(output, OTHER, BuiltMetadata(table, {"union_of": members}), made_from)


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
    return {**storage.read_json(storage.join(folder, MANIFEST)), "output": folder}


def _write_manifest(output: str) -> dict[str, Any]:
    """Put the manifest together from the stamps of all languages in the folder."""
    languages = {}
    for path in storage.list_files(output, ".parquet"):
        stamp = artifacts.read_stamp(path)
        sources = artifacts.read_table(path, ["source"]).column("source").to_pylist()
        languages[stamp["made_from"]["lang"]] = {
            "sha256": stamp["sha256"],
            "entries": len(sources),
            "sources": dict(Counter(sources)),
            "made_from": stamp["made_from"],
            "report": stamp["report"],
        }
    manifest = {"schema_version": artifacts.SCHEMA_VERSION, "languages": languages}
    storage.write_json(storage.join(output, MANIFEST), manifest)
    return manifest
