"""The commands on stored matches: what a t would keep, and what is taken out."""

from typing import Annotated

import typer

from curate.cli.options import (
    NUM_CORES,
    Debug,
    DryRun,
    Json,
    MatchedFolder,
    MetadataFolder,
    Quiet,
    Root,
    Workers,
    finish,
    number_option,
)
from curate.pipelines.store.workspace import Workspace

__all__ = ["measure", "retract"]


def measure(
    grid: Annotated[str | None, typer.Option(help="Thresholds, such as 5k,20k,170k.")] = None,
    pairs: Annotated[
        int | None, number_option("--pairs", text="Find the t that keeps so many.")
    ] = None,
    tail_share: Annotated[float | None, typer.Option(help="Find each t of this share.")] = None,
    reference_lang: Annotated[
        str | None, typer.Option(help="t is this language's; others get its tail share.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    plot: Annotated[str | None, typer.Option(help="Draw the curve into this SVG.")] = None,
    matched: MatchedFolder = None,
    workspace: Root = "data",
    workers: Workers = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell how many pairs each t would keep, from stored matches.

    Example: curate yield --grid 5k,20k,170k
    """
    from curate.pipelines.yields.stage import measure_yields
    from curate.pipelines.yields.view import yield_table

    finish(
        lambda: measure_yields(
            matched=matched or Workspace(workspace).matched,
            grid=grid,
            pairs=pairs,
            tail_share=tail_share,
            reference_lang=reference_lang,
            seed=seed,
            plot=plot,
            workers=workers,
            quiet=quiet,
        ),
        yield_table,
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )


def retract(
    listing: Annotated[str, typer.Argument(metavar="LIST", help="Pair ids or URLs, one a line.")],
    ignore_missing: Annotated[
        bool, typer.Option("--ignore-missing", help="Keep out also what is not there now.")
    ] = False,
    keep_balanced: Annotated[
        bool, typer.Option("--keep-balanced", help="Leave the balanced set as it is.")
    ] = False,
    matched: MatchedFolder = None,
    metadata: MetadataFolder = None,
    balanced: Annotated[
        list[str] | None,
        typer.Option(help="Balanced folder instead of the workspace's; more than once for more."),
    ] = None,
    workspace: Root = "data",
    workers: Workers = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Take pairs out of matches, counts and the balanced set, for good.

    Sets that `balance -o` wrote elsewhere are named; make them anew with --balanced. Trained models
    and images that were downloaded elsewhere stay as they are.

    Example: curate retract takedowns.txt
    """
    from curate.pipelines.matched.notes import noted_metadata
    from curate.pipelines.retract.stage import retract_pairs
    from curate.pipelines.retract.view import retract_table

    place = Workspace(workspace)
    folder = matched or place.matched
    finish(
        lambda: retract_pairs(
            listing,
            matched=folder,
            metadata=metadata or noted_metadata(folder) or place.metadata,
            balanced=[] if keep_balanced else balanced or [place.balanced],
            ignore_missing=ignore_missing,
            workers=workers,
            dry_run=dry_run,
            quiet=quiet,
        ),
        retract_table,
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )
