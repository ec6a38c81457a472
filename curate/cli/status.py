"""`curate status`: the state of a workspace, once or again and again."""

import json
import sys
import time
from typing import Annotated, Any

import typer

from curate.cli.options import Debug, Json, Quiet, Root, finish
from curate.pipelines.views.terminal import inert, inert_json

__all__ = ["status"]

_CLEAR = "\x1b[H\x1b[2J"
_LINE_FEED = "\n"


def status(
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again until no command is at work.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 2.0,
    metrics_file: Annotated[
        str | None, typer.Option(help="Write figures for Prometheus' textfile collector.")
    ] = None,
    workspace: Root = "data",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell what is done, what is stale and why, and how running commands get on.

    Example: curate status --watch
    """
    from curate.pipelines.executor.faults import told_when_passing
    from curate.pipelines.status.metrics import write_metrics
    from curate.pipelines.status.stage import StatusReader
    from curate.pipelines.status.view import status_table

    reader = StatusReader(workspace)

    def look() -> dict[str, Any]:
        with told_when_passing():
            found = reader.read()
        if metrics_file is not None:
            runs = {stage["path"]: stage["run"] for stage in found["stages"].values()}
            write_metrics(metrics_file, runs)
        return found

    if watch:
        while _is_going_on(found := look()):
            if as_json:
                sys.stdout.write(inert_json(json.dumps(found, ensure_ascii=False)) + "\n")
            elif not quiet:
                clear = _CLEAR if sys.stdout.isatty() else ""
                sys.stdout.write(f"{clear}{inert(status_table(found), allowed=_LINE_FEED)}\n")
            sys.stdout.flush()
            time.sleep(interval)
    finish(look, status_table, as_json=as_json, quiet=quiet, debug=debug)


def _is_going_on(found: dict[str, Any]) -> bool:
    return any(stage["state"] == "running" for stage in found["stages"].values())
