"""What stands before a command: the list of all commands, and the version."""

import inspect
import sys
from typing import Annotated

import typer

__all__ = ["common", "list_whole_sentences"]


def list_whole_sentences(app: typer.Typer) -> None:
    """Have the list of commands show the first line of each command's help uncut."""
    for command in app.registered_commands:
        command.short_help = (inspect.getdoc(command.callback) or "").partition("\n")[0]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"curate {version('curate')}\n")
        raise typer.Exit


def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Metadata, matching, balancing and training for CLIP data, after MetaCLIP."""
