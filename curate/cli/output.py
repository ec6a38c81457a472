"""How a command ends: its result on stdout, as one JSON object or a short table."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.api.results import Result

__all__ = ["finish", "print_json"]


def finish(run: Callable[[], "Result"], *, as_json: bool, quiet: bool) -> None:
    """Run a command and print its result: JSON, or a table with seconds and rate.

    Of the processes that torchrun starts, the first one prints.
    """
    from curate.compiled.notice import seconds_of_compiling
    from curate.pipelines.views.terminal import colour_wanted, inert_lines

    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        print_json(result)
    elif not quiet:
        read = result.get("read") or (result.get("total") or {}).get("read")
        compiling = seconds_of_compiling()
        rate = f", {read / max(seconds - compiling, 1e-3):,.0f} records/s" if read else ""
        rate += f" without {compiling:.1f} s of compiling" if read and compiling >= 0.05 else ""
        table = inert_lines(result.table(colour=colour_wanted()))
        sys.stdout.write(f"{table}\n{seconds:.1f} s{rate}\n")


def print_json(result: "Result") -> None:
    """Print a result as one JSON object in a line."""
    from curate.pipelines.views.terminal import inert_json

    text = json.dumps(result.to_dict(), ensure_ascii=False)
    sys.stdout.write(inert_json(text) + "\n")
