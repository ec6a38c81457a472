"""`curate download` on the command line."""

from typing import Annotated

import typer

from curate.cli.options import (
    NUM_CORES,
    BalancedFolder,
    Debug,
    DryRun,
    Json,
    Output,
    Overwrite,
    Quiet,
    Root,
    finish,
)
from curate.cli.shards import (
    ImageSize,
    OnlyIfBigger,
    PairsPerShard,
    Quality,
    ResizeMode,
    ShuffleShards,
    shard_options,
)
from curate.pipelines.store.workspace import Workspace

__all__ = ["download"]


def download(
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again for what failed in done shards.")
    ] = False,
    pairs_per_shard: PairsPerShard = 10_000,
    shuffle_shards: ShuffleShards = 4,
    resize: ResizeMode = "no",
    image_size: ImageSize = 256,
    quality: Quality = 95,
    resize_only_if_bigger: OnlyIfBigger = False,
    connections: Annotated[int, typer.Option(help="Requests at once.")] = 256,
    per_host: Annotated[int, typer.Option(help="Requests to one host at once.")] = 8,
    timeout: Annotated[float, typer.Option(help="Seconds that a request may take.")] = 30.0,
    retries: Annotated[int, typer.Option(help="After what may pass: 429, 503, timeouts.")] = 2,
    max_image_bytes: Annotated[str, typer.Option(help="Larger ones are left out.")] = "20MB",
    max_redirects: Annotated[int, typer.Option(help="That are followed for one image.")] = 5,
    user_agent: Annotated[
        str | None,
        typer.Option(envvar="CURATE_USER_AGENT", help="Sent to servers; say who you are."),
    ] = None,
    ignore_opt_outs: Annotated[
        bool, typer.Option("--ignore-opt-outs", help="Take images marked noai, noindex too.")
    ] = False,
    allow_private_addresses: Annotated[
        bool, typer.Option("--allow-private-addresses", help="Fetch from your own network too.")
    ] = False,
    url_column: Annotated[str | None, typer.Option(help="Name of the URL column.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Name of the alt-text column.")] = None,
    balanced: BalancedFolder = None,
    workspace: Root = "data",
    output: Output = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that resize.")] = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Download the images of the balanced pairs into shards.

    Example: curate download --resize keep_ratio --image-size 256 --retry-failed
    """
    from curate.files.sizes import parse_size
    from curate.pipelines.download.stage import download_images, require_packages
    from curate.pipelines.download.view import download_table
    from curate.pipelines.inputs.records import ColumnNames

    require_packages()
    from curate.pipelines.download.fetch import USER_AGENT, FetchOptions

    folder = balanced or Workspace(workspace).balanced
    finish(
        lambda: download_images(
            balanced=folder,
            output=output or f"{folder}/shards",
            columns=ColumnNames(url=url_column, text=text_column),
            fetch=FetchOptions(
                at_once=connections,
                per_host=per_host,
                timeout_s=timeout,
                retries=retries,
                max_bytes=parse_size(max_image_bytes, "--max-image-bytes"),
                max_redirects=max_redirects,
                honour_opt_outs=not ignore_opt_outs,
                allow_private=allow_private_addresses,
                user_agent=user_agent or USER_AGENT,
            ),
            shards=shard_options(
                None, shuffle_shards, resize, image_size, quality, resize_only_if_bigger
            ),
            per_shard=pairs_per_shard,
            retry_failed=retry_failed,
            workers=workers,
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        ),
        download_table,
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )
