"""The command that compares two folders of ours."""

from typing import Annotated

import typer

from curate.cli.options import Debug, Json, Quiet, finish, number_option

__all__ = ["diff"]


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Metadata, matched or balanced folder.")],
    b: Annotated[
        str,
        typer.Argument(metavar="B", help="Another one: entries with entries, pairs with pairs."),
    ],
    t: Annotated[
        int | None,
        number_option("--t", "-t", text="Parts head from tail; as balanced, or 20k."),
    ] = None,
    examples: Annotated[int, typer.Option(help="Entries and pairs to name.")] = 10,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare two versions of metadata, of matches or of a balanced set.

    Two normalizations are two matched folders: match the same files with each.

    Example: curate diff data/balanced data-may/balanced
    """
    from curate.pipelines.diff.stage import compare_folders
    from curate.pipelines.diff.view import diff_table

    finish(
        lambda: compare_folders(a, b, t=t, num_examples=examples, quiet=quiet),
        diff_table,
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )
