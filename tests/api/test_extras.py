"""What a package that is not installed ends in: a line that says how to install it."""

import json
import subprocess
import sys
import tomllib

import pytest

from curate.api.calls.extras import EXTRAS
from tests.conftest import ROOT
from tests.pipelines.helpers import WORDS, write_metadata, write_pairs

# Runs in a process of its own, with some modules not to be found; prints how each command ended.
CALLS = """
import json, sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] in HIDDEN
        return None if hidden else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)

workspace, wanted, HIDDEN = sys.argv[1], sys.argv[2].split(","), set(sys.argv[3:])
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
import curate

calls = {
    "build_metadata": lambda: curate.build_metadata(
        lang="en", sources="none", entries=f"{workspace}/own.txt", output=f"{workspace}/built",
        offline=True),
    "extract": lambda: curate.extract(f"{workspace}/pages.warc", workspace=workspace),
    "match": lambda: curate.match(f"{workspace}/in.parquet", lang="en", workspace=workspace),
    "balance": lambda: curate.balance(t=5, workspace=workspace),
    "card": lambda: curate.card(workspace=workspace),
    "yield_grid": lambda: curate.yield_grid(workspace=workspace),
    "retract": lambda: curate.retract(f"{workspace}/none.txt", workspace=workspace),
    "download": lambda: curate.download(workspace=workspace, dry_run=True),
    "status": lambda: curate.status(workspace=workspace),
    "explain": lambda: curate.explain("a red dog", workspace=workspace),
    "diff": lambda: curate.diff(f"{workspace}/metadata", f"{workspace}/metadata"),
    "train": lambda: curate.train(workspace=workspace),
    "evaluate": lambda: curate.evaluate(f"{workspace}/val", workspace=workspace),
    "export": lambda: curate.export("none", workspace=workspace),
    "ray": lambda: curate.match(f"{workspace}/in.parquet", lang="en", workspace=workspace,
        output=f"{workspace}/other", executor="ray"),
    "slurm": lambda: curate.match(f"{workspace}/in.parquet", lang="en", workspace=workspace,
        output=f"{workspace}/other", executor="slurm"),
    "metrics": lambda: curate.status(workspace=workspace, metrics_file=f"{workspace}/m.prom"),
    "s3": lambda: curate.match("s3://bucket/in.parquet", lang="en", workspace=workspace),
}
ends = {}
for name in wanted if wanted != [""] else calls:
    try:
        calls[name]()
        ends[name] = ["", ""]
    except curate.CurateError as error:
        ends[name] = [type(error).__name__, str(error)]
    except BaseException as error:
        ends[name] = [f"{type(error).__name__}, no error of ours", str(error)]
print(json.dumps(ends))
"""
# What needs an extra, and so says that it is not installed.
# Needed only by models whose tokenizer cleans texts, and by plots, without which a run does.
LATER = ("ftfy", "matplotlib")
NEEDS = {
    "train": {"train", "evaluate", "export"},
    "crawl": {"extract"},
    "download": {"download"},
    "ray": {"ray"},
    "slurm": {"slurm"},
    "metrics": {"metrics"},
    "s3": {"s3"},
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    write_metadata(folder / "metadata", {"en": WORDS})
    write_pairs(folder / "in.parquet", ["a red dog"] * 20)
    (folder / "own.txt").write_text("dog\n")
    (folder / "pages.warc").write_bytes(b"")
    (folder / "none.txt").write_text("")
    return folder


def ends(workspace, calls, *hidden):
    """Return how calls end, all of them if none is named, with some modules not to be found."""
    found = subprocess.run(
        [sys.executable, "-c", CALLS, workspace, ",".join(sorted(calls)), *hidden],
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def test_the_modules_of_every_extra_are_known():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    of_features = extras.keys() - {"test", "examples", "lint", "bench"}
    assert of_features == EXTRAS.keys()
    assert all(len(extras[name]) == len(EXTRAS[name]) for name in of_features)


@pytest.mark.parametrize("extra", NEEDS)
def test_what_needs_an_extra_says_how_to_install_it(workspace, extra):
    for module in (name for name in EXTRAS[extra] if name not in LATER):
        if extra == "crawl" and module == "webencodings" or module in ("certifi", "simplejpeg"):
            continue  # looked for only where they are used
        found = ends(workspace, NEEDS[extra], module)
        for name in NEEDS[extra]:
            kind, words = found[name]
            assert kind == "MissingExtraError", (module, name, kind, words)
            assert f"pip install 'curate-clip[{extra}]'" in words, (module, name, words)


def test_without_any_extra_no_command_ends_in_a_traceback(workspace):
    optional = {module for modules in EXTRAS.values() for module in modules}
    found = ends(workspace, (), *optional - {"certifi"})  # which requests needs as well
    ours = {name: kind for name, (kind, _) in found.items() if "no error of ours" in kind}
    assert ours == {}
    missing = {name for name, (kind, _) in found.items() if kind == "MissingExtraError"}
    assert missing == {name for names in NEEDS.values() for name in names}
    worked = {name for name, (kind, _) in found.items() if kind == ""}
    assert {"build_metadata", "match", "balance", "card", "status", "explain", "diff"} <= worked
