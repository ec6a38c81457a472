"""What the commands share: options that mean the same everywhere, and how a command ends."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from curate.files.sizes import parse_number
from curate.pipelines.views.terminal import inert_json

__all__ = [
    "NUM_CORES",
    "BalancedFolder",
    "Debug",
    "DryRun",
    "FilterOption",
    "Json",
    "LidModel",
    "MatchedFolder",
    "MetadataFolder",
    "Output",
    "Overwrite",
    "Quiet",
    "Root",
    "Workers",
    "finish",
    "number_option",
    "wants_traceback",
]

Root = Annotated[
    str,
    typer.Option(
        "--workspace", "-w", envvar="CURATE_WORKSPACE", help="Folder or URL of all results."
    ),
]
Output = Annotated[
    str | None, typer.Option("--output", "-o", help="Write here instead of into the workspace.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done; write nothing.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="text-length=MIN:MAX, url-length=MAX, blocklist=FILE, an installed filter or "
        "package.module:function; more than once for several.",
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Processes; the result is the same.")
]
MetadataFolder = Annotated[
    str | None, typer.Option("--metadata", help="Metadata folder instead of the workspace's.")
]
MatchedFolder = Annotated[
    str | None, typer.Option("--matched", help="Matched folder instead of the workspace's.")
]
BalancedFolder = Annotated[
    str | None, typer.Option("--balanced", help="Balanced folder instead of the workspace's.")
]
LidModel = Annotated[
    str | None, typer.Option("--lid-model", help="fastText model instead of lid.176.ftz.")
]

NUM_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def number_option(*names: str, text: str) -> Any:
    """Return an option that takes a whole number such as 20000, 20k or 1.5m; `text` is its help."""

    def parse(given: str) -> int:
        return parse_number(given, names[0])

    return typer.Option(*names, parser=parse, metavar="NUMBER", help=text)


_debug = False


def wants_traceback() -> bool:
    """Tell whether the command was given --debug."""
    return _debug


def finish(
    run: Callable[[], dict[str, Any]],
    shown: Callable[[dict[str, Any]], str],
    *,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Run a stage and print its result: JSON, or a short table with seconds and rate."""
    global _debug
    _debug = debug
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    if as_json:
        sys.stdout.write(inert_json(json.dumps(result, ensure_ascii=False)) + "\n")
    elif not quiet:
        read = result.get("read") or result.get("total", {}).get("read")
        rate = f", {read / seconds:,.0f} records/s" if read else ""
        sys.stdout.write(f"{shown(result)}\n{seconds:.1f} s{rate}\n")
