"""The command line in this process, where neither a process of its own nor its start is tested."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from curate.cli.main import app


def run_here(words: Sequence[object]) -> str:
    """Run a command of `curate`, its words behind the name, to its end; return what it prints."""
    found = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def curate_here(command: str, workspace: Path) -> dict[str, Any]:
    """Run a command as it is typed; return the JSON that it prints."""
    words = [*shlex.split(command), "--json", "--quiet", "--workspace", workspace]
    result: dict[str, Any] = json.loads(run_here(words))
    return result
