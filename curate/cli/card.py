"""The command that makes a data card."""

from typing import Annotated

import typer

from curate.cli.options import (
    NUM_CORES,
    BalancedFolder,
    Debug,
    DryRun,
    Json,
    MatchedFolder,
    Output,
    Overwrite,
    Quiet,
    Root,
    Workers,
    finish,
)
from curate.pipelines.store.workspace import Workspace

__all__ = ["card"]


def card(
    classes: Annotated[
        str | None,
        typer.Option(help="Show the coverage of a list: a class per line, names between tabs."),
    ] = None,
    classes_lang: Annotated[str, typer.Option(help="Language of their names.")] = "en",
    examples: Annotated[
        int | None,
        typer.Option(help="Texts to show per language and decision; 0: none. 2 to 8."),
    ] = None,
    matched: MatchedFolder = None,
    balanced: BalancedFolder = None,
    workspace: Root = "data",
    output: Output = None,
    workers: Workers = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Make the data card of a balanced set: datacard.json, .md and .html, one self-contained page.

    Example: curate card --classes imagenet.txt
    """
    from curate.pipelines.card.stage import make_card
    from curate.pipelines.card.view import card_table

    place = Workspace(workspace)
    folder = balanced or place.balanced
    finish(
        lambda: make_card(
            matched=matched or place.matched,
            balanced=folder,
            output=output,
            classes=classes,
            classes_lang=classes_lang,
            num_examples=examples,
            workers=workers,
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        ),
        lambda result: card_table(result, output or folder),
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )
