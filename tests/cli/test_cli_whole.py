"""The command line as a whole: what stands before a command, numbers, and how soon it answers."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from curate.api.calls.command import sentence_of
from curate.api.published import export
from curate.cli import main as cli
from curate.distribution import VERSION
from curate.files.sizes import parse_number
from curate.training.export.files import FORMATS
from tests.pipelines.helpers import WORDS, match, texts, write_metadata, write_pairs

CURATE = Path(sys.executable).with_name("curate")


def curate(*arguments, **options):
    return subprocess.run(
        [CURATE, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    write_metadata(folder / "metadata", {"en": WORDS})
    pairs = write_pairs(folder / "in.parquet", texts(2000))
    match([pairs], folder / "metadata", folder / "matched")
    return folder


def test_the_version_is_printed():
    found = curate("--version")
    assert (found.returncode, found.stdout) == (0, f"curate {VERSION}\n")


def test_the_list_of_commands_is_not_cut_on_a_narrow_terminal():
    found = curate("--help", env={"COLUMNS": "60", "PATH": "/usr/bin"}).stdout
    flat = "".join(found.partition("Commands:")[2].split())
    assert "..." not in flat
    for module, name, _ in cli.COMMANDS.values():
        function = getattr(import_module(f"curate.api.{module}"), name)
        assert "".join(sentence_of(function).split()) in flat


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("20k", 20_000), ("1.5M", 1_500_000), ("1_000", 1000)]
)
def test_numbers_may_be_short(text, number):
    assert parse_number(text, "--t") == number


@pytest.mark.parametrize(
    "text", ["", "0", "k", "-1", "1.5", "0.0001k", "1e-3", "20kk", "nan", "٣", "1,000", "2g"]
)
def test_what_is_no_whole_number_is_refused_before_anything_is_done(text, workspace):
    with pytest.raises(cli.CurateError, match=re.escape(f"--t is {text!r}; expected a whole")):
        cli.app(["balance", "--t", text], standalone_mode=False)


@pytest.fixture
def said(capsys):
    """Run a command here and return what it wrote to stdout and stderr."""

    def run(*arguments):
        cli.app([str(argument) for argument in arguments], standalone_mode=False)
        return capsys.readouterr()

    return run


def test_t_means_the_same_wherever_it_is_given(workspace, said):
    place = ("-w", workspace, "--json")
    expected = said("balance", "--t", "1500", "--dry-run", *place).out
    assert json.loads(expected)["t"] == 1500
    both = (workspace / "matched", workspace / "matched")
    for option in ("--t", "-t"):
        assert said("balance", option, "1.5k", "--dry-run", *place).out == expected
        found = said("explain", "a red dog", "--lang", "en", option, "1.5k", *place)
        assert json.loads(found.out)["t"] == 1500
        found = said("diff", *both, option, "1.5k", "--json").out
        assert found == said("diff", *both, "--t", "1500", "--json").out
        assert found != said("diff", *both, "--t", "3", "--json").out
    found = said("yield", "--grid", "1.5k", *place)
    assert [row["t"] for row in json.loads(found.out)["yields"]] == [1500]


def test_a_target_below_what_t_1_keeps_is_said_to_be(workspace, said):
    found = said("balance", "--target-pairs", "1", "--dry-run", "-w", workspace)
    (kept,) = re.findall(r"t = 1, the smallest, keeps (\d+) pairs, more than 1\b", found.err)
    assert int(kept) > 1 and "t: 1\n" in found.out
    table = said("yield", "--grid", "1", "--json", "-w", workspace).out
    assert json.loads(table)["yields"][0]["kept"] == int(kept)
    both = said("balance", "--target-pairs", "1k", "--dry-run", "-w", workspace).err
    assert re.search(r"t = \d+ keeps [\d,]+ pairs, t = \d+ keeps [\d,]+; none keeps", both)


def test_shards_of_pairs_without_images_are_warned_of(workspace, said):
    output = workspace / "sets/texts"
    found = said("balance", "-t", "50", "--format", "shards", "-w", workspace, "-o", output)
    assert "`curate download -w" in found.err and list((output / "shards").glob("*.tar"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["balance", "-t", "0"], "--t is '0'"),
        (["explain", "-t", "x", "a"], "--t is 'x'"),
        (["export", "clip", "--format", "onnx"], "'onnx' is not one of"),
        (["eval"], "nothing to evaluate on"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_heavy_is_loaded(arguments, message):
    code = (
        "import sys; from curate.cli.main import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'numba') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2 and message in found.stderr
    assert found.stdout == "[]\n"


def test_the_formats_of_export_are_those_that_it_writes():
    assert get_args(get_type_hints(export)["format"]) == FORMATS
