import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from curate.cli.main import COMMANDS as TABLE
from curate.cli.main import main
from tests.conftest import ROOT
from tests.in_process import run_here
from tests.pipelines.helpers import WORDS, texts, write_metadata, write_pairs

COMMANDS = sorted(TABLE)
CURATE = Path(sys.executable).with_name("curate")


def curate(*arguments, **options):
    return subprocess.run(
        [CURATE, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    write_metadata(folder / "metadata", {"en": WORDS})
    write_pairs(folder / "in.parquet", texts(50))
    return folder


def test_every_command_has_help_an_example_and_its_place_in_the_guide():
    guide = (ROOT / "docs/guide.md").read_text("utf-8")
    for command in COMMANDS:
        assert "Example: curate" in run_here([command, "--help"]), command
        assert f"curate {command}" in guide, command


def test_a_stage_prints_a_table_or_one_json_object_and_nothing_else(workspace):
    run = ("-w", workspace)
    found = curate("match", workspace / "in.parquet", "--lang", "en", *run)
    assert found.returncode == 0, found.stderr
    assert re.search(r"read 50 = matched \d+ \+ dropped \d+", found.stdout)
    assert re.search(r"\d+\.\d s, [\d,]+ records/s", found.stdout)
    found = curate("match", workspace / "in.parquet", "--lang", "en", "--json", *run)
    assert json.loads(found.stdout)["read"] == 50
    found = curate("balance", "--t", "5", "--quiet", *run)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    found = curate("explain", "a red dog", "--lang", "en", *run)
    assert "kept with probability" in found.stdout and "metaclip:" in found.stdout


def test_the_workspace_may_come_from_the_environment(workspace):
    environment = {"CURATE_WORKSPACE": str(workspace), "PATH": "/usr/bin"}
    found = curate("explain", "dog", "--lang", "en", "--json", env=environment)
    assert json.loads(found.stdout)["lang"] == "en"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["balance", "--t", "0"], 2, "Error: --t is '0'; expected a whole number"),
        (["balance"], 2, "Error: give either --t or --target-pairs"),
        (
            ["match", "x", "-w", "pyproject.toml"],
            2,
            "pyproject.toml is a file; expected the folder",
        ),
        (["train", "--steps", "few"], 2, "'few' is not a whole number, such as 5000, 20k or 1e3"),
        (["balance", "-t", "1.5"], 2, "Error: --t is '1.5'; expected a whole number"),
        (["match"], 2, "Missing argument"),
        (["match", "none.parquet", "--lang", "en"], 1, "Error: none.parquet: no such file"),
        (["match", "none.parquet", "--normalization", "loud"], 2, "unknown normalization 'loud'"),
        (["train", "--steps", "0"], 2, "steps is 0"),
        (["train", "--model", "vit-x"], 2, "unknown model 'vit-x'"),
        (["train", "--name", "../x"], 2, "--name is '../x'"),
        (["eval", "none.parquet"], 1, "none.parquet: there is no such file or folder"),
        (["match", "x.parquet", "-w", "nope://a"], 2, "nope://"),
    ],
)
def test_errors_are_a_line_on_stderr_and_an_exit_code(workspace, capfd, arguments, code, message):
    place = [] if "-w" in arguments else ["-w", str(workspace)]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *place])
    shown, problems = capfd.readouterr()
    assert ended.value.code == code, problems
    assert message in problems and shown == ""
    assert "Traceback" not in problems


def test_an_error_of_the_installed_command_is_the_same(workspace):
    found = curate("match", "none.parquet", "--lang", "en", "-w", workspace)
    assert found.returncode == 1 and found.stdout == ""
    assert "Error: none.parquet: no such file" in found.stderr
    assert "Traceback" not in found.stderr


def test_debug_shows_the_traceback(workspace):
    found = curate("match", "none.parquet", "--lang", "en", "--debug", "-w", workspace)
    assert found.returncode == 1 and "Traceback" in found.stderr
