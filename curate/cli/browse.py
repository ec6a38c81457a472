"""`curate browse` on the command line: the address is printed, then the page is served."""

import sys
from contextlib import nullcontext
from typing import Any

import click

from curate.api.looking import browse
from curate.cli.build import command_of
from curate.cli.output import print_json
from curate.pipelines.views.terminal import inert_lines

__all__ = ["browse_command"]


def browse_command() -> click.Command:
    """Return the command."""
    more = [click.Option(["--open"], is_flag=True, help="Open the page in the usual browser.")]
    return command_of("browse", browse, arguments=("path",), more=more, callback=_serve)


def _serve(*, open: bool, as_json: bool, debug: bool, **values: Any) -> None:
    del debug
    found = browse(**values)
    if as_json:
        print_json(found)
    else:  # the address is the result: without it the page cannot be found
        sys.stdout.write(f"{inert_lines(str(found))}\n")
        if "address" in found and not values["quiet"]:
            sys.stdout.write("Ctrl-C ends it.\n")
    sys.stdout.flush()
    if "address" not in found:
        return
    from curate.pipelines.browse.web.opening import shown_in_browser

    try:
        with shown_in_browser(found.address) if open else nullcontext():
            found.wait()
    except KeyboardInterrupt:
        pass  # how it is meant to end
    finally:
        found.close()
