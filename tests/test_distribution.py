"""The name of the distribution stands in one place, and others of our module's name are named."""

import os
import re
import subprocess
import sys
import tomllib

import pytest

import curate
from curate import distribution
from curate.api.calls.extras import EXTRAS
from curate.distribution import DISTRIBUTION, VERSION, conflict, install_line
from curate.errors import MissingExtraError
from tests.conftest import ROOT

TEXTS = ("*.md", "*.py", "*.toml", "*.ipynb", "Makefile", "constraints.txt")


def install(folder, name, version="1.4", **files):
    """Write what pip leaves of a distribution; names of files with `_` for a point."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    for file, content in {"METADATA": metadata, **files}.items():
        (info / file.replace("_txt", ".txt")).write_text(content)
    return info


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions, before all others."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_name_stands_in_the_project_file_too_and_the_version_does_not():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["name"] == DISTRIBUTION
    assert project["project"]["scripts"].keys() == {distribution.COMMAND}
    assert project["project"]["dynamic"] == ["version"]
    assert (curate.__distribution__, curate.__version__) == (DISTRIBUTION, VERSION)


def test_every_line_that_installs_this_package_has_its_name():
    named = re.compile(r"pip install[^\n]*[ '\"]curate(?!-clip)\b|\bcurate\[|version\(.curate")
    for pattern in TEXTS:
        for path in ROOT.rglob(pattern):
            parts = path.relative_to(ROOT).parts
            if parts[0].startswith(".") or parts[0] in ("demo", "data", "build"):
                continue
            if path.name != "test_distribution.py":
                assert named.search(path.read_text("utf-8")) is None, path


def test_every_extra_that_an_error_names_is_one():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    raised = re.compile(r"MissingExtraError\([^()]*\"(\w+)\"\)")
    named = set()
    for folder in ("curate", "metadata", "curation", "training", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            named |= set(raised.findall(path.read_text("utf-8")))
    assert len(named) >= 7 and named | EXTRAS.keys() <= extras.keys()


@pytest.mark.parametrize(
    "files",
    [
        {"top_level_txt": "curate\ncurate_tests\n"},
        {"RECORD": "curate/__init__.py,,\ncurate/core.py,,\n"},
        {"RECORD": "curate.py,,\n"},
        {"entry_points_txt": "[console_scripts]\ncurate = others.cli:main\n"},
    ],
)
@pytest.mark.parametrize("name", ["curate", "museum-tools"])
def test_another_distribution_with_our_module_or_command_is_named(site, files, name):
    install(site, name, **files)
    found = conflict()
    assert f"{name} 1.4 in {site} also installs a module or command named curate" in found
    assert f"pip uninstall {name}; pip install --force-reinstall --no-deps curate-clip" in found
    assert found in str(MissingExtraError("Reading crawl files", "crawl"))
    assert "\n" not in found


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("curate_clip", {"top_level_txt": "curate\n"}),
        ("curate-helpers", {"RECORD": "curate_helpers/curate.py,,\ncurated.py,,\n"}),
        ("curate", {"RECORD": "museum/__init__.py,,\n"}),
    ],
)
def test_what_neither_hides_nor_overwrites_ours_is_no_conflict(site, name, files):
    before = conflict()
    install(site, name, **files)
    assert conflict() == before


def test_the_rest_of_an_installation_that_was_cut_short_is_passed_over(site):
    before = conflict()
    (install(site, "curate", top_level_txt="curate\n") / "METADATA").unlink()
    assert conflict() == before


def test_the_version_comes_with_a_warning(site):
    install(site, "curate", RECORD="curate/__init__.py,,\n")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    found = subprocess.run(
        [sys.executable, "-m", "curate", "--version"], cwd=ROOT,
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert found.stdout == f"curate {VERSION}\n"
    assert found.stderr.startswith(f"Warning: curate 1.4 in {site} also installs")


def test_a_module_that_others_wrote_over_stops_the_command(monkeypatch, capsys):
    from curate.cli.main import main

    monkeypatch.setattr(distribution, "_others", lambda: iter(()))
    monkeypatch.delattr(curate, "__distribution__")
    with pytest.raises(SystemExit) as ending:
        main(["--help"])
    shown = capsys.readouterr().err
    assert ending.value.code == 1
    assert shown.startswith("Error: The module curate is not the one that curate-clip installs")
    assert install_line(options="--force-reinstall --no-deps") in shown


def test_a_module_of_ours_that_is_missing_is_not_taken_for_an_extra(site, monkeypatch, capsys):
    from curate.cli.main import main

    monkeypatch.setitem(sys.modules, "curate.pipelines.extract.stage", None)
    with pytest.raises(ModuleNotFoundError, match=r"curate\.pipelines\.extract\.stage"):
        main(["extract", "a.warc", "--dry-run"])
    install(site, "curate", RECORD="curate/__init__.py,,\n")
    with pytest.raises(SystemExit):
        main(["extract", "a.warc", "--dry-run"])
    shown = capsys.readouterr().err
    assert "curate.pipelines.extract.stage" in shown and f"curate 1.4 in {site}" in shown
