"""`curate.extract`: crawl files in, addresses of images with their texts out."""

from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    Paths,
    listed,
    num_workers,
    path_of,
    place_of,
    running,
)
from curate.api.results import ExtractResult

__all__ = ["extract"]


@command
def extract(
    inputs: Paths,
    *,
    dedup: str = "pair",
    filter: str | list[str] | None = None,
    srcset: str = "largest",
    max_images: int = 10_000,
    max_page_bytes: int = 16 << 20,
    page_seconds: int = 10,
    ignore_opt_outs: bool = False,
    max_bad: float = 0.01,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> ExtractResult:
    """Find images and the texts that describe them in crawl files.

    Example: curate extract 'crawl/*.warc.gz'

    Args:
        inputs: WARC, WAT; .gz, .zst; files, folders, URLs, patterns.
        dedup: pair: a URL with a text once; url: a URL once; near: texts of a URL that differ in
            case, spaces and punctuation once; none.
        srcset: largest, all or none of the addresses in a srcset.
        max_images: of a page.
        max_page_bytes: decompressed.
        page_seconds: of a processor, after which parsing a page is given up.
        ignore_opt_outs: take pairs of pages that say no to training, too.

    Returns:
        Records = pages + skipped by reason; read = pairs + dropped by reason.

    Raises:
        MissingExtraError: the extra `crawl` is not installed.
        InputError: a file is missing or is no crawl file.
        BadShareError: too many bad records.
        ArtifactError: the folder holds pairs of something else.
    """
    from curate.pipelines.extract import ExtractOptions, PageOptions, extract_pairs

    folder = path_of(output) or place_of(workspace).pairs
    with running(cluster):
        found = extract_pairs(
            listed(inputs),
            output=folder,
            options=ExtractOptions(
                dedup=dedup,
                filters=tuple(listed(filter)),
                page=PageOptions(
                    srcset=srcset,
                    max_images=max_images,
                    max_page_bytes=max_page_bytes,
                    page_seconds=page_seconds,
                    ignore_opt_outs=ignore_opt_outs,
                ),
                max_bad=max_bad,
            ),
            workers=num_workers(workers),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    return ExtractResult(found, folder)
