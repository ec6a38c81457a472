"""`curate status` on the command line: once, or again and again until no command is at work."""

import sys
import time
from typing import Any

import click

from curate.api.results import Status
from curate.api.stored import status
from curate.cli.build import command_of
from curate.cli.output import finish, print_json
from curate.pipelines.views.terminal import inert_lines

__all__ = ["status_command"]

_CLEAR = "\x1b[H\x1b[2J"


def status_command() -> click.Command:
    """Return the command."""
    more = [
        click.Option(["--watch"], is_flag=True, help="Look again until no command is at work."),
        click.Option(["--interval"], type=click.FloatRange(min=0.1), default=2.0,
                     show_default=True, help="Seconds between looks."),
    ]  # fmt: skip
    return command_of("status", status, more=more, callback=_watch)


def _watch(
    *, watch: bool, interval: float, as_json: bool, quiet: bool, debug: bool, **values: Any
) -> None:
    del debug
    while watch and _is_going_on(found := status(**values)):
        if as_json:
            print_json(found)
        elif not quiet:
            clear = _CLEAR if sys.stdout.isatty() else ""
            sys.stdout.write(f"{clear}{inert_lines(str(found))}\n")
        sys.stdout.flush()
        time.sleep(interval)
    finish(lambda: status(**values), as_json=as_json, quiet=quiet)


def _is_going_on(found: Status) -> bool:
    return any(stage["state"] == "running" for stage in found.stages.values())
