"""`curate.build_metadata`: WordNets and Wikipedia in, the entries of each language out."""

import os
from collections.abc import Sequence
from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    Size,
    listed,
    num_workers,
    path_of,
    place_of,
    running,
)
from curate.api.results import MetadataResult
from curate.errors import UsageError

__all__ = ["build_metadata"]


@command
def build_metadata(
    *,
    lang: str | Sequence[str] | None = None,
    sources: str | Sequence[str] = "wordnet,unigram,bigram,title",
    entries: str | None = None,
    dumps: str | None = None,
    pageviews: str | None = None,
    mirror: str | None = None,
    offline: bool | None = None,
    contact: str | None = None,
    dump_date: str | None = None,
    dumps_layout: str = "auto",
    keep_sources: bool = True,
    corpus: str = "dumps",
    max_articles: int = 1000,
    api_url: str | None = None,
    pageview_days: int = 40,
    pageview_from: str = "2018-01-01",
    pageview_to: str = "2024-12-31",
    pageview_seed: int = 0,
    pageview_files: str = "daily",
    wordnet_dir: str | None = None,
    lid_labels: str | None = None,
    unigram_min_count: int | None = None,
    unigram_top_share: float | None = None,
    unigram_max: int | None = None,
    bigram_min_count: int | None = None,
    bigram_min_pmi: float | None = None,
    bigram_max_share: float | None = None,
    bigram_max: int | None = None,
    title_min_views: int | None = None,
    title_top_share: float | None = None,
    title_max: int | None = None,
    memory: Size = "4GB",
    reindex: bool = False,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> MetadataResult:
    """Build the entries of each language from WordNet, a Wikipedia dump and page views.

    Dumps and page views that are not in the workspace are fetched from Wikimedia. If nothing but
    the own entries differs from what is there, overwriting replaces only those.

    Example: curate build-metadata --lang en --contact me@example.org --dry-run

    Args:
        lang: codes, comma-separated; has to be given; all: every Wikipedia, about 210 GB, but with
            dumps of your own and no
            mirror, those.
        sources: of wordnet, unigram, bigram, title; none: own entries alone.
        entries: entries of your own, added as titles: text, one a line, or Parquet with a column
            entry; {lang} in the name for a file per language.
        dumps: folder of Wikipedia dumps.
        pageviews: folder of page-view files.
        mirror: fetch what is missing from here; default: https://dumps.wikimedia.org.
        offline: fetch nothing; default: CURATE_OFFLINE.
        contact: your e-mail address or URL, which Wikimedia asks programs to send; default:
            CURATE_CONTACT.
        dump_date: YYYYMMDD; latest: newest complete one, even if another is here.
        dumps_layout: exports or legacy; auto: exports, and legacy where none is complete.
        keep_sources: keep fetched files, or remove once counted.
        corpus: dumps, or api: most viewed articles through the MediaWiki API.
        max_articles: articles of a language, with api.
        api_url: MediaWiki API; default: https://{project}.wikipedia.org/w/api.php.
        pageview_days: days of page views to draw.
        pageview_from: YYYY-MM-DD; earliest day.
        pageview_to: YYYY-MM-DD; latest day.
        pageview_seed: seed of the draw.
        pageview_files: daily or hourly.
        wordnet_dir: English WordNet database and wn-data-*.tab files.
        lid_labels: of the LID model to be, for `other`: lid176, nllb, openlid, openlid2, glotlid.
        unigram_min_count: words; en: 100.
        unigram_top_share: 0 to 1; not en: 0.1.
        unigram_max: entries; 251,465.
        bigram_min_count: pairs of words; 5.
        bigram_min_pmi: bits; default: none (v1: 30).
        bigram_max_share: of the unigrams; 0.4.
        bigram_max: entries; 100,646.
        title_min_views: views; en: 70.
        title_top_share: 0 to 1; not en: 0.76.
        title_max: entries; 61,235.
        memory: that counting words may take.
        reindex: only write the indices anew, from the entries.

    Returns:
        The manifest: per language the number of entries by source, thresholds, sources; with
        dry_run, the plan.

    Raises:
        UsageError: no language, or an unknown language, source or threshold.
        InputError: a named language could not be built, or with ``all`` none could.
        ArtifactError: a language's file was made from something else.
        DiskSpaceError: a disk is full, or would be.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.1; Chuang et al. 2025, arXiv:2507.22062.
    """
    from curate.metadata.fetch.offline import OFFLINE, is_told
    from curate.metadata.wikipedia.wikimedia import API_URL, WIKIMEDIA
    from curate.pipelines.build_metadata import SourceOptions, build_languages, layout_of, read_day
    from curate.pipelines.build_metadata import reindex as write_indices

    place = place_of(workspace)
    folder = path_of(output) or place.metadata
    if reindex:
        return MetadataResult(write_indices(folder), folder)
    if lang is None:
        raise UsageError(
            "--lang says which languages are built: codes such as en,de; or all, every Wikipedia, "
            "which downloads about 210 GB (see with --dry-run)"
        )
    if offline is None:
        offline = is_told(OFFLINE)
    thresholds = {
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
    with running(cluster):
        built = build_languages(
            ",".join(listed(lang)),
            kinds=",".join(listed(sources)),
            dumps=dumps or f"{place.sources}/dumps",
            pageviews=pageviews or f"{place.sources}/pageviews",
            wordnet_dir=wordnet_dir,
            output=folder,
            overrides={name: value for name, value in thresholds.items() if value is not None},
            options=SourceOptions(
                mirror=None if offline else mirror or WIKIMEDIA,
                whole_mirror=mirror is not None,
                dump_date=dump_date,
                dumps_layout=layout_of(dumps_layout),
                corpus=corpus,
                max_articles=max_articles,
                api_url=api_url or API_URL,
                contact=contact or os.environ.get("CURATE_CONTACT"),
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
            memory=str(memory),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return MetadataResult(built, folder)
