"""`manifest.json`: what the languages' files say, and this run of its sources; also as a table."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curate.files import storage
from curate.metadata.languages import is_new_wikipedia
from curate.metadata.wikipedia.dump_names import dump_name, export_day, wiki_of_database
from curate.pipelines.build_metadata.find_sources import FOLDER_NAME
from curate.pipelines.build_metadata.plan import LanguagePlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MANIFEST
from curate.pipelines.views.progress import log
from curate.pipelines.views.tables import by_size, plan_lines, with_rest

__all__ = ["articles_of", "in_short", "metadata_table", "tell_sources", "write_manifest"]

# Pages are renamed and deleted: so many of the most viewed titles are missing of any dump.
_MANY_MISSING = 0.05
_SHOWN = 5
_NAMES = {"exports": "export", "legacy": "dump", "parquet": "Parquet", "api": "API"}


def write_manifest(
    output: str,
    failed: Mapping[str, str],
    absent: Sequence[str],
    plans: Sequence[LanguagePlan],
    beyond: Sequence[str],
) -> dict[str, Any]:
    """Put the manifest together from the stamps of all languages in the folder.

    Args:
        output: the folder `metadata/`.
        failed: languages that the last run could not build, and why.
        absent: languages that it was to build and whose wikis the server does not have.
        plans: what it was to build.
        beyond: Wikipedias that the server has and the table of languages does not.
    """
    languages = {}
    for path in storage.list_files(output, ".parquet"):
        stamp = artifacts.read_stamp(path)
        sources = artifacts.read_table(path, ["source"]).column("source").to_pylist()
        languages[stamp["made_from"]["lang"]] = {
            "sha256": stamp["sha256"],
            "entries": len(sources),
            "sources": dict(Counter(sources)),
            "articles": articles_of(stamp["made_from"]),
            "made_from": stamp["made_from"],
            "report": stamp["report"],
        }
    manifest = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "languages": languages,
        "failed": failed,
        "absent": absent,
        "said": {plan.lang: list(plan.said) for plan in plans if plan.said},
        "beyond_table": list(beyond),
    }
    artifacts.write_json(storage.join(output, MANIFEST), manifest)
    return manifest


def articles_of(made_from: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return which dumps a language's articles are from, as the names of the files say.

    Args:
        made_from: of a language's stamp.

    Returns:
        A row per wiki: wiki, layout (exports, legacy, parquet or api), date and number of files.

    >>> articles_of({"dumps": [{"file": "dewiki-2026-08-01-p1p9.xml.bz2"}]})
    [{'wiki': 'de', 'layout': 'exports', 'date': '2026-08-01', 'files': 1}]
    """
    num = Counter(_read(file["file"]) for file in made_from.get("dumps") or ())
    return [
        {"wiki": wiki, "layout": layout, "date": date, "files": files}
        for (wiki, layout, date), files in num.items()
    ]


def _read(name: str) -> tuple[str, str, str | None]:
    folder, _, base = name.rpartition("/")
    table = FOLDER_NAME.match(folder)
    if table is not None:
        project = table["project"]
        wiki = wiki_of_database(f"{project.replace('-', '_')}wiki")
        return wiki or project, "parquet", export_day(table["date"])
    found = dump_name(base)
    if found is None:
        return base, "legacy", None
    layout = "api" if found.api else "parquet" if found.parquet else found.layout
    return found.wiki, layout, export_day(found.date) if found.date else None


def in_short(articles: Iterable[Mapping[str, Any]]) -> str | None:
    """Say which dumps a language's articles are from: ``export 2026-08-01``; None if it has none.

    Args:
        articles: of `articles_of`.
    """
    said = {f"{_NAMES[row['layout']]} {row['date'] or ''}".strip() for row in articles}
    return ", ".join(sorted(said)) or None


def tell_sources(
    plans: Sequence[LanguagePlan], built: Sequence[str], manifest: Mapping[str, Any], *, quiet: bool
) -> None:
    """Log what is to be known of the sources: what was taken instead, and what is missing of it."""
    said = [f"{plan.lang}: {text}" for plan in plans for text in plan.said]
    for line in said[:_SHOWN]:
        log(line, quiet=quiet)
    if len(said) > _SHOWN:
        log(f"… and {len(said) - _SHOWN} more of this kind; all are in {MANIFEST}", quiet=quiet)
    for lang in built:
        values = manifest["languages"][lang]
        viewed = values["report"].get("most_viewed") or {"missing_share": 0.0}
        # Tables and the API have a choice of articles, and not all.
        is_whole = {row["layout"] for row in values["articles"]} <= {"exports", "legacy"}
        if is_whole and viewed["missing_share"] >= _MANY_MISSING:
            log(_many_missing(lang, values, viewed), quiet=quiet)
        if is_new_wikipedia(lang):
            script = values["report"].get("script")
            log(
                f"{lang}: not in the table of Wikipedias. Its text is written in "
                f"{script or 'no script that is known'}; no label of language identification leads "
                f"to it, so texts are matched with it only by `match --lang {lang}`",
                quiet=quiet,
            )
    if manifest["beyond_table"]:
        log(
            "on the server, and not in the table of Wikipedias: "
            f"{', '.join(manifest['beyond_table'])}. Name one with --lang to build it.",
            quiet=quiet,
        )


def _many_missing(lang: str, values: Mapping[str, Any], viewed: Mapping[str, Any]) -> str:
    where = in_short(values["articles"]) or "its dumps"
    return (
        f"{lang}: {viewed['missing_share']:.1%} of the {viewed['titles']:,} most viewed titles are "
        f"not in {where}, such as {', '.join(map(repr, viewed['examples'][:3]))}. Exports of some "
        "months lack what was edited while they were made (Wikimedia's task T431872): try another "
        "--dump-date, or --dumps-layout legacy."
    )


def metadata_table(result: Mapping[str, Any]) -> str:
    """Show the entries of each language by source, and the dumps that its articles are from."""
    if "languages" not in result:
        return plan_lines(result)
    sources = ("number", "wordnet", "unigram", "bigram", "title")
    rows = [
        [
            lang,
            *(values["sources"].get(s, 0) for s in sources),
            values["entries"],
            in_short(values.get("articles", ())),
            _missing(values.get("report", {}).get("most_viewed")),
        ]
        for lang, values in by_size(result["languages"], "entries")
    ]
    header = ["lang", *sources, "entries", "articles from", "most viewed, missing"]
    return with_rest(header, rows) + f"\n→ {result['output']}"


def _missing(viewed: Mapping[str, Any] | None) -> str | None:
    return None if viewed is None else f"{viewed['missing_share']:.1%}"
