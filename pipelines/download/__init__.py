"""`curate download`: URLs of a balanced set or of all matches in, shards of images out."""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.pipelines.download.options import FetchOptions
    from curate.pipelines.download.stage import download_images, require_packages, undo_download
    from curate.pipelines.download.view import download_table

__all__ = [
    "FetchOptions", "download_images", "download_table", "require_packages", "undo_download",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": ["FetchOptions"],
        "stage": ["download_images", "require_packages", "undo_download"],
        "view": ["download_table"],
    },
)
