"""The command that reads crawl files, and the option that names filters."""

from typing import Annotated

import typer

from curate.cli.options import (
    NUM_CORES,
    Debug,
    DryRun,
    FilterOption,
    Json,
    Output,
    Overwrite,
    Quiet,
    Root,
    Workers,
    finish,
)
from curate.errors import MissingExtraError
from curate.pipelines.store.workspace import Workspace

__all__ = ["extract"]


def extract(
    inputs: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="WARC, WAT; .gz, .zst; URLs, patterns.")
    ],
    dedup: Annotated[
        str,
        typer.Option(
            help="pair: a URL with a text once; url: a URL once; near: texts of a URL that differ "
            "in case, spaces and punctuation once; none."
        ),
    ] = "pair",
    filters: FilterOption = None,
    srcset: Annotated[
        str, typer.Option(help="largest, all or none of the addresses in a srcset.")
    ] = "largest",
    max_images: Annotated[int, typer.Option(help="Of a page.")] = 10_000,
    max_page_bytes: Annotated[int, typer.Option(help="Decompressed.")] = 16 << 20,
    page_seconds: Annotated[
        int, typer.Option(help="Of a processor, after which parsing a page is given up.")
    ] = 10,
    max_bad: Annotated[float, typer.Option(help="Share of bad records that is allowed.")] = 0.01,
    workspace: Root = "data",
    output: Output = None,
    workers: Workers = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Find images and the texts that describe them in crawl files.

    Example: curate extract 'crawl/*.warc.gz'
    """
    try:
        from curate.pipelines.extract.pages import PageOptions
        from curate.pipelines.extract.stage import ExtractOptions, extract_pairs
    except ModuleNotFoundError as error:
        raise MissingExtraError("curate extract", "crawl") from error

    from curate.pipelines.extract.view import extract_table

    folder = output or Workspace(workspace).pairs
    finish(
        lambda: extract_pairs(
            inputs,
            output=folder,
            options=ExtractOptions(
                dedup=dedup,
                filters=tuple(filters or ()),
                page=PageOptions(
                    srcset=srcset,
                    max_images=max_images,
                    max_page_bytes=max_page_bytes,
                    page_seconds=page_seconds,
                ),
                max_bad=max_bad,
            ),
            workers=workers,
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        ),
        lambda result: extract_table(result, folder),
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )
