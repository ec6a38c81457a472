"""The shell completes commands and options, and a mistyped one names the right one."""

import pytest

from tests.cli.test_cli import COMMANDS, curate


def complete(line):
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    found = curate(env={"_CURATE_COMPLETE": "bash_complete", "PATH": "/usr/bin", **words})
    assert found.returncode == 0, found.stderr
    return [line.partition(",")[2] for line in found.stdout.splitlines()]


def test_commands_and_options_are_completed():
    assert sorted(complete("curate ex")) == [c for c in COMMANDS if c.startswith("ex")]
    assert complete("curate balance --ta") == ["--target-pairs"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_is_told_how(shell):
    found = curate(env={"_CURATE_COMPLETE": f"{shell}_source", "PATH": "/usr/bin"})
    assert found.returncode == 0 and "_CURATE_COMPLETE" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["blance"], "Did you mean 'balance'?"),
        (["balance", "--target-pair", "3"], "--target-pairs"),
        (["explain", "dog", "--balance", "x"], "--balanced"),
        (["diff", "a"], "Missing argument 'B'"),
    ],
)
def test_what_is_mistyped_is_suggested(arguments, suggestion):
    found = curate(*arguments)
    assert found.returncode == 2 and suggestion in found.stderr and found.stdout == ""
