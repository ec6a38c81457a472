"""The command that explains a text or a stored pair."""

from typing import Annotated

import typer

from curate.cli.options import (
    BalancedFolder,
    Debug,
    Json,
    LidModel,
    MatchedFolder,
    MetadataFolder,
    Quiet,
    Root,
    finish,
    number_option,
)
from curate.pipelines.store.workspace import Workspace

__all__ = ["explain"]


def explain(
    text: Annotated[str | None, typer.Argument(help="An alt-text.")] = None,
    pair_id: Annotated[
        str | None, typer.Option(help="Of a stored pair, instead of a text.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Of the text's image: tells the pair's id and draw.")
    ] = None,
    lang: Annotated[str | None, typer.Option(help="Take the text as this language.")] = None,
    t: Annotated[
        int | None, number_option("--t", "-t", text="Pairs per entry; default: as balanced.")
    ] = None,
    lid_model: LidModel = None,
    metadata: MetadataFolder = None,
    matched: MatchedFolder = None,
    balanced: BalancedFolder = None,
    workspace: Root = "data",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what a text matches and whether its pair is kept, in both normalizations.

    Example: curate explain "a red dog in the park"
    """
    from curate.pipelines.explain.stage import explain_text
    from curate.pipelines.explain.view import explanation
    from curate.pipelines.matched.notes import noted_metadata
    from curate.pipelines.views.terminal import colour_wanted

    place = Workspace(workspace)
    folder = matched or place.matched
    finish(
        lambda: explain_text(
            text,
            pair_id=pair_id,
            url=url,
            metadata=metadata or noted_metadata(folder) or place.metadata,
            matched=folder,
            balanced=balanced or place.balanced,
            lang=lang,
            lid_model=lid_model,
            t=t,
        ),
        lambda result: explanation(result, colour=colour_wanted()),
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )
