"""`curate build-metadata`: its options, and one call."""

from typing import Annotated

import typer

from curate.cli.options import (
    NUM_CORES,
    Debug,
    DryRun,
    Json,
    Output,
    Overwrite,
    Quiet,
    Root,
    Workers,
    finish,
)
from curate.pipelines.store.workspace import Workspace

__all__ = ["build_metadata"]


def build_metadata(
    lang: Annotated[
        str,
        typer.Option(
            help="Codes, comma-separated; all: every Wikipedia, but with dumps of your own in "
            "--dumps and no --mirror, those."
        ),
    ] = "all",
    sources: Annotated[
        str, typer.Option(help="Of wordnet, unigram, bigram, title; none: --entries alone.")
    ] = "wordnet,unigram,bigram,title",
    entries: Annotated[
        str | None,
        typer.Option(
            help="Entries of your own, added as titles: text, one a line, or Parquet with a column "
            "entry; {lang} in the name for a file per language."
        ),
    ] = None,
    dumps: Annotated[str | None, typer.Option(help="Folder of Wikipedia dumps.")] = None,
    pageviews: Annotated[str | None, typer.Option(help="Folder of page-view files.")] = None,
    mirror: Annotated[
        str | None,
        typer.Option(help="Fetch what is missing from here; https://dumps.wikimedia.org."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", envvar="CURATE_OFFLINE", help="Fetch nothing.")
    ] = False,
    contact: Annotated[
        str | None,
        typer.Option(
            envvar="CURATE_CONTACT",
            help="Your e-mail address or URL, which Wikimedia asks programs to send.",
        ),
    ] = None,
    dump_date: Annotated[
        str | None,
        typer.Option(help="YYYYMMDD; latest: newest complete one, even if another is here."),
    ] = None,
    keep_sources: Annotated[
        bool,
        typer.Option(
            "--keep-sources/--drop-sources", help="Keep fetched files, or remove once counted."
        ),
    ] = True,
    corpus: Annotated[
        str, typer.Option(help="dumps, or api: most viewed articles through the MediaWiki API.")
    ] = "dumps",
    max_articles: Annotated[int, typer.Option(help="Articles of a language, with api.")] = 1000,
    api_url: Annotated[
        str | None,
        typer.Option(help="MediaWiki API; https://{project}.wikipedia.org/w/api.php."),
    ] = None,
    pageview_days: Annotated[int, typer.Option(help="Days of page views to draw.")] = 40,
    pageview_from: Annotated[str, typer.Option(help="YYYY-MM-DD; earliest day.")] = "2018-01-01",
    pageview_to: Annotated[str, typer.Option(help="YYYY-MM-DD; latest day.")] = "2024-12-31",
    pageview_seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    pageview_files: Annotated[str, typer.Option(help="daily or hourly.")] = "daily",
    wordnet_dir: Annotated[
        str | None, typer.Option(help="English WordNet database and wn-data-*.tab files.")
    ] = None,
    lid_labels: Annotated[
        str | None,
        typer.Option(
            help="Of the LID model to be, for `other`: lid176, nllb, openlid, openlid2, glotlid."
        ),
    ] = None,
    unigram_min_count: Annotated[int | None, typer.Option(help="Words; en: 100.")] = None,
    unigram_top_share: Annotated[float | None, typer.Option(help="0 to 1; not en: 0.1.")] = None,
    unigram_max: Annotated[int | None, typer.Option(help="Entries; 251,465.")] = None,
    bigram_min_count: Annotated[int | None, typer.Option(help="Pairs of words; 5.")] = None,
    bigram_min_pmi: Annotated[float | None, typer.Option(help="Bits; none (v1: 30).")] = None,
    bigram_max_share: Annotated[float | None, typer.Option(help="Of the unigrams; 0.4.")] = None,
    bigram_max: Annotated[int | None, typer.Option(help="Entries; 100,646.")] = None,
    title_min_views: Annotated[int | None, typer.Option(help="Views; en: 70.")] = None,
    title_top_share: Annotated[float | None, typer.Option(help="0 to 1; not en: 0.76.")] = None,
    title_max: Annotated[int | None, typer.Option(help="Entries; 61,235.")] = None,
    memory: Annotated[str, typer.Option(help="That counting words may take.")] = "4GB",
    reindex: Annotated[
        bool, typer.Option("--reindex", help="Only write the indices anew, from the entries.")
    ] = False,
    workspace: Root = "data",
    output: Output = None,
    workers: Workers = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Build the entries of each language from WordNet, a Wikipedia dump and page views.

    Dumps and page views that are not in the workspace are fetched from Wikimedia. If nothing but
    --entries differs from what is there, --overwrite replaces only those.

    Example: curate build-metadata --lang en --contact me@example.org --dry-run
    """
    from curate.metadata.wikipedia.wikimedia import API_URL, WIKIMEDIA
    from curate.pipelines.build_metadata.find_sources import SourceOptions, read_day
    from curate.pipelines.build_metadata.stage import build_languages
    from curate.pipelines.build_metadata.stage import reindex as write_indices
    from curate.pipelines.build_metadata.view import metadata_table

    place = Workspace(workspace)
    overrides = {
        "unigram_min_count": unigram_min_count,
        "unigram_top_share": unigram_top_share,
        "unigram_max": unigram_max,
        "bigram_min_count": bigram_min_count,
        "bigram_min_pmi": bigram_min_pmi,
        "bigram_max_share": bigram_max_share,
        "bigram_max": bigram_max,
        "title_min_views": title_min_views,
        "title_top_share": title_top_share,
        "title_max": title_max,
    }
    finish(
        lambda: (
            write_indices(output or place.metadata)
            if reindex
            else build_languages(
                lang,
                kinds=sources,
                dumps=dumps or f"{place.sources}/dumps",
                pageviews=pageviews or f"{place.sources}/pageviews",
                wordnet_dir=wordnet_dir,
                output=output or place.metadata,
                overrides={k: v for k, v in overrides.items() if v is not None},
                options=SourceOptions(
                    mirror=None if offline else mirror or WIKIMEDIA,
                    whole_mirror=mirror is not None,
                    dump_date=dump_date,
                    corpus=corpus,
                    max_articles=max_articles,
                    api_url=api_url or API_URL,
                    contact=contact,
                    keep=keep_sources,
                    pageview_days=pageview_days,
                    pageview_from=read_day(pageview_from, "--pageview-from"),
                    pageview_to=read_day(pageview_to, "--pageview-to"),
                    pageview_seed=pageview_seed,
                    pageview_kind=pageview_files,
                ),
                entries=entries,
                scratch=f"{place.sources}/counted",
                lid_labels=lid_labels,
                memory=memory,
                workers=workers,
                overwrite=overwrite,
                dry_run=dry_run,
                quiet=quiet,
            )
        ),
        metadata_table,
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )
