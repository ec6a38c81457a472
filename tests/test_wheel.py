"""What is shipped: the sdist, the wheel made of it, and a stranger's first hour with the wheel."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path, PurePosixPath

import pytest

from curate.distribution import DISTRIBUTION, VERSION
from curate.training.model.config import model_config_names
from examples.toyweb.world import COLOURS, SHAPES
from examples.toyweb.write import ToyWeb, write_eval, write_web
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

ROOMS = ("curation", "metadata", "pipelines", "training")
SOURCES = ("curate", *ROOMS, "LICENSE", "README.md", "pyproject.toml")
STEM = f"{DISTRIBUTION.replace('-', '_')}-{VERSION}"
INFO = f"{STEM}.dist-info"
OWN = 'raise ImportError("this is a folder of the user\'s own")\n'


def python(code, *arguments, **options):
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, **options)


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    shown = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr


def build_wheel(source, folder):
    """Return the wheel of a clone or an sdist; setuptools is the running environment's."""
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def clone(folder):
    """Copy what a clone has of the package, its links as links, and nothing that was built."""
    folder.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    code = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
    here = clone(folder / "clone")
    python(code, folder, cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / f"{STEM}.tar.gz"


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    return build_wheel(sdist, tmp_path_factory.mktemp("wheel"))


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def files_of_the_rooms():
    """Every file below `curate/`, through its links: what the code can read when it runs."""
    found = {}
    for folder, _, names in os.walk(ROOT / "curate", followlinks=True):
        for path in (Path(folder, name) for name in names):
            if path.parent.name != "__pycache__":
                found[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    return found


def test_the_sdist_holds_files_alone_and_all_below_its_name(sdist):
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    assert {PurePosixPath(member.name).parts[0] for member in members} == {STEM}
    assert not any(".." in PurePosixPath(member.name).parts for member in members)
    names = {member.name.removeprefix(f"{STEM}/") for member in members}
    assert files_of_the_rooms().keys() | {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_the_wheel_holds_every_file_of_the_rooms_and_nothing_else(wheel):
    shipped = contents(wheel)
    expected = files_of_the_rooms()
    assert {PurePosixPath(name).parts[0] for name in shipped} == {"curate", INFO}
    assert {k: v for k, v in shipped.items() if not k.startswith(INFO)} == expected
    # Of each kind that the code reads beside its modules, one that is surely there.
    models = {f"curate/training/model/configs/{name}.json" for name in model_config_names()}
    assert expected.keys() >= {
        "curate/py.typed", "curate/curation/matching/unicode_ranges.tsv",
        "curate/metadata/languages.tsv", "curate/pipelines/card/page_files/card.css", *models,
    }  # fmt: skip


def test_the_wheel_says_what_it_is(wheel):
    shipped = {name: value.decode() for name, value in contents(wheel).items() if INFO in name}
    said = message_from_string(shipped[f"{INFO}/METADATA"])
    assert (said["Name"], said["Version"]) == (DISTRIBUTION, VERSION)
    assert (said["License-Expression"], said["License-File"]) == ("Apache-2.0", "LICENSE")
    assert shipped[f"{INFO}/licenses/LICENSE"] == (ROOT / "LICENSE").read_text("utf-8")
    assert shipped[f"{INFO}/top_level.txt"].split() == ["curate"]
    assert "Root-Is-Purelib: true" in shipped[f"{INFO}/WHEEL"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    scripts = [f"{name} = {target}" for name, target in project["scripts"].items()]
    assert shipped[f"{INFO}/entry_points.txt"].split("\n")[:-1] == ["[console_scripts]", *scripts]
    assert set(said.get_all("Provides-Extra")) == project["optional-dependencies"].keys()
    assert said.get_payload() == (ROOT / "README.md").read_text("utf-8")


def test_a_clone_and_the_sdist_give_the_same_wheel(wheel, tmp_path):
    from_clone = contents(build_wheel(clone(tmp_path / "clone"), tmp_path))
    record = f"{INFO}/RECORD"
    expected = contents(wheel)
    assert sorted(from_clone.pop(record).split()) == sorted(expected.pop(record).split())
    assert from_clone == expected


class Stranger:
    """Somebody with the wheel, a project of their own, and no clone.

    Attributes:
        site: where the wheel is installed; the dependencies are the running environment's.
        project: the current folder, with packages of the names that our rooms have.
    """

    def __init__(self, folder, wheel):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.bin = folder / "venv" / "bin"
        pip("--python", self.bin / "python", "install", "--no-deps", "--no-index", wheel)
        (self.site,) = (folder / "venv").glob("lib/python*/site-packages")
        # As folders, so that the .pth files in them, which lead to the clone, are not followed.
        paths = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
        (self.site / "dependencies.pth").write_text("\n".join(sorted(paths)))
        self.project = folder / "project"
        for name in ROOMS:
            (self.project / name).mkdir(parents=True)
            (self.project / name / "__init__.py").write_text(OWN)

    def run(self, program, *arguments, path="."):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CURATE", "PY"))}
        environment |= {"PYTHONPATH": path, "OMP_NUM_THREADS": "2", "NO_COLOR": "1"}
        return subprocess.run(
            [self.bin / program, *map(str, arguments)],
            capture_output=True, text=True, cwd=self.project, env=environment, timeout=1200,
        )  # fmt: skip

    def curate(self, *arguments, **options):
        done = self.run("curate", *arguments, "--json", "--quiet", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def stranger(wheel, tmp_path_factory):
    one = Stranger(tmp_path_factory.mktemp("stranger"), wheel)
    toy = ToyWeb(rows=400, files=1, eval_rows=40)
    write_web(one.project / "web", toy)
    write_eval(one.project / "eval", toy)
    (one.project / "entries.txt").write_text("\n".join([*COLOURS, *SHAPES]))
    return one


def test_what_is_imported_is_the_wheel_and_not_the_clone(stranger):
    modules = ["curate", *(f"curate.{room}" for room in ROOMS)]
    shows = "; ".join(f"import {name}; print(*{name}.__path__)" for name in modules)
    found = stranger.run("python", "-c", shows)
    folders = [stranger.site / name.replace(".", "/") for name in modules]
    assert found.stdout.split() == list(map(str, folders)), found.stderr
    assert not any(folder.is_symlink() for folder in folders)
    shown = stranger.run("curate", "--version")
    assert shown.stdout == f"curate {VERSION}\n", shown.stderr
    assert stranger.run("python", "-c", "import training").returncode == 1  # theirs, not ours


def test_from_entries_of_ones_own_to_a_model_that_is_measured(stranger):
    built = stranger.curate(
        "build-metadata", "--lang", "en", "--sources", "none", "--entries", "entries.txt"
    )
    assert built["languages"]["en"]["entries"] == 100 + len(COLOURS) + len(SHAPES)  # numbers too
    matched = stranger.curate("match", "web/part-00000.parquet", "--lang", "en")
    assert matched["read"] == 400 and 100 < matched["matched"] < 300
    kept = stranger.curate("balance", "--t", "20")["total"]
    assert (kept["read"], kept["matched"]) == (400, matched["matched"])
    with tarfile.open(stranger.project / "data/balanced/shards/00000.tar") as shard:
        texts = [name for name in shard.getnames() if name.endswith(".txt")]
    assert 0 < len(texts) == kept["kept"] < kept["matched"]
    page = stranger.project / "data/balanced/datacard.html"
    page.unlink()
    stranger.curate("card", "--overwrite")
    assert page.read_text("utf-8").rstrip().endswith("</html>")
    told = stranger.curate("explain", "a red star", "--lang", "en")["normalizations"]["standard"]
    assert [match["entry"] for match in told["matches"]] == ["red", "star"]
    model = ("--model", "toy", "--steps", "2", "--batch-size", "16", "--device", "cpu")
    assert stranger.curate("train", *model)["pairs_seen"] == 32
    measured = stranger.curate("eval", "eval/retrieval.parquet", "--device", "cpu")
    assert measured["results"]["retrieval"]["images"] == 40
    assert (stranger.project / "data/runs/clip/modelcard.md").is_file()


def test_the_language_of_texts_is_found_with_the_model_that_is_installed(stranger):
    told = stranger.curate("explain", "der rote Stern über dem Haus und der Strasse")
    assert told["lang"] == "de"


def test_a_filter_of_an_installed_distribution_is_found(stranger):
    plugin = stranger.project / "plugin"
    (plugin / "museum-1.0.dist-info").mkdir(parents=True)
    (plugin / "museum-1.0.dist-info/METADATA").write_text("Name: museum\nVersion: 1.0\n")
    (plugin / "museum-1.0.dist-info/entry_points.txt").write_text(
        "[curate.filters]\nno-stars = museum:no_stars\n"
    )
    (plugin / "museum.py").write_text(
        "def no_stars(rows):\n"
        "    return ['star' not in text for text in rows.column('text').to_pylist()]\n"
    )
    found = stranger.curate(
        "match", "web/part-00000.parquet", "--lang", "en", "-w", "filtered",
        "--metadata", "data/metadata", "--filter", "no-stars", path=".:plugin",
    )  # fmt: skip
    assert found["dropped"]["no-stars"] > 0
    assert found["read"] == found["matched"] + sum(found["dropped"].values())


def test_another_package_installed_over_this_one_is_named(stranger, tmp_path):
    other = stranger.site / "curate-3.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Name: curate\nVersion: 3.1\n")
    (other / "RECORD").write_text("curate/__init__.py,,\n")
    ours = (stranger.site / "curate/__init__.py").read_text()
    for content in ("# Others'.\n", None):  # written over, then uninstalled
        (stranger.site / "curate/__init__.py").unlink()
        if content is not None:
            (stranger.site / "curate/__init__.py").write_text(content)
        else:
            shutil.rmtree(other)
        shown = stranger.run("curate", "status")
        assert shown.returncode == 1 and shown.stderr.startswith("Error: "), shown.stderr
        assert shown.stderr.count("\n") == 1 and "pip install --force" in shown.stderr
        assert ("curate 3.1 in " in shown.stderr) == (content is not None)
    (stranger.site / "curate/__init__.py").write_text(ours)
    assert stranger.run("curate", "--version").stderr == ""
