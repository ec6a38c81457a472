"""`--corpus api`: the most viewed articles of a wiki through the MediaWiki API, as its dump."""

from collections.abc import Sequence

from curate.distribution import is_ours
from curate.errors import MissingExtraError
from curate.files import storage
from curate.metadata.views.stored_views import StoredViews
from curate.metadata.wikipedia.dump_names import database_name
from curate.pipelines.build_metadata.fetch_sources import Sources
from curate.pipelines.build_metadata.find_sources import SourceFile, local, require_local
from curate.pipelines.build_metadata.pageview_sample import PageviewSample
from curate.pipelines.store import artifacts

__all__ = ["api_file", "fetch_api_file"]

# Of the most viewed titles some are redirects to others, pages of other namespaces, or no pages.
_TITLES_PER_ARTICLE = 3


def api_file(wiki: str, sources: Sources, sample: PageviewSample) -> SourceFile:
    """Return the file that a wiki's articles are put in, here or to be fetched.

    Its name tells what was asked for: which API, how many articles, by the views of which days.
    """
    options = sources.options
    views = sample.request or [file.name for file in sample.files]
    asked = artifacts.digest([options.api_url, options.max_articles, views])
    name = f"{database_name(wiki)}-api-{options.max_articles}-{asked[:12]}.parquet"
    return SourceFile(path=storage.join(sources.dumps, name))


def fetch_api_file(wiki: str, file: SourceFile, counted: Sequence[str], sources: Sources) -> None:
    """Fetch the articles of a wiki if they are not here.

    Args:
        wiki: code of the Wikipedia.
        file: of `api_file`.
        counted: files of stored views.
        sources: how to ask.

    Raises:
        FetchError: the API could not be asked.
        InputError: it has no articles of the most viewed titles.
        MissingExtraError: the package that asks is not installed.
    """
    if file.is_here:
        return
    try:
        from curate.metadata.wikipedia.api import fetch_articles
    except ImportError as error:
        if is_ours(error):
            raise
        raise MissingExtraError("--corpus api", "api") from error
    from curate.metadata.views.most_viewed import most_viewed

    options = sources.options
    require_local(sources.dumps, "--dumps")
    views = StoredViews(tuple(counted), (wiki,))
    fetch_articles(
        wiki,
        most_viewed(views, _TITLES_PER_ARTICLE * options.max_articles),
        local(file.path),
        num=options.max_articles,
        api_url=options.api_url,
        contact=options.contact,
        retries=options.retries,
    )
