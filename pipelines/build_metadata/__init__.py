"""`curate build-metadata`: WordNets, dumps and page views in, entries per language out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.build_metadata.find_sources import SourceOptions, layout_of, read_day
    from curate.pipelines.build_metadata.manifest import metadata_table
    from curate.pipelines.build_metadata.stage import build_languages, reindex

__all__ = [
    "SourceOptions",
    "build_languages",
    "layout_of",
    "metadata_table",
    "read_day",
    "reindex",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "find_sources": ["SourceOptions", "layout_of", "read_day"],
        "manifest": ["metadata_table"],
        "stage": ["build_languages", "reindex"],
    },
)
