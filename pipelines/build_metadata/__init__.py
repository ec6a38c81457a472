"""`curate build-metadata`: WordNets, dumps and page views in, entries per language out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.build_metadata.find_sources import SourceOptions, read_day
    from curate.pipelines.build_metadata.stage import build_languages, reindex
    from curate.pipelines.build_metadata.view import metadata_table

__all__ = ["SourceOptions", "build_languages", "metadata_table", "read_day", "reindex"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "find_sources": ["SourceOptions", "read_day"],
        "stage": ["build_languages", "reindex"],
        "view": ["metadata_table"],
    },
)
