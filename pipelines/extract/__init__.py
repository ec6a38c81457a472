"""`curate extract`: crawl files in; addresses of images with their texts, each once, out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.extract.pages import PageOptions
    from curate.pipelines.extract.purge import purge_extracted
    from curate.pipelines.extract.stage import ExtractOptions, extract_pairs
    from curate.pipelines.extract.view import extract_table

__all__ = ["ExtractOptions", "PageOptions", "extract_pairs", "extract_table", "purge_extracted"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "pages": ["PageOptions"],
        "purge": ["purge_extracted"],
        "stage": ["ExtractOptions", "extract_pairs"],
        "view": ["extract_table"],
    },
)
