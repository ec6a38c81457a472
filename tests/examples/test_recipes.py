"""The recipes in examples/ run on the toy web."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curate.pipelines.build_metadata.stage import build_languages
from examples.demo import THRESHOLDS
from examples.toyweb.write import ToyWeb, write_toy_web
from tests.conftest import ROOT
from tests.pipelines.helpers import match, read_pairs

OVERRIDES = {"unigram_min_count": 5, "unigram_top_share": 1.0, "title_min_views": 1}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A toy web with metadata of German, Spanish and Russian."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy_web(folder, ToyWeb(rows=2_000, files=2, images=False))
    build_languages(
        "de,es,ru", kinds="unigram,title", quiet=True,
        wordnet_dir=None, dumps=f"{folder}/sources/dumps", pageviews=f"{folder}/sources/pageviews",
        output=f"{folder}/metadata", overrides=OVERRIDES, scratch=f"{folder}/counted",
    )  # fmt: skip
    return folder


def run(*command, **environment):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "PATH": path, "CURATE_OFFLINE": "1", **environment},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
def test_from_my_parquet_to_a_balanced_set(toy):
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    shown = run("examples/my_parquet.sh", toy, 300, f"{toy}/web/*.parquet")
    assert "read 2,000 = matched" in shown
    kept = read_pairs(toy / "balanced")
    assert 300 <= len(kept) < 400

    shown = run("examples/choose_t.sh", toy, 300)
    assert "of matched" in shown and "</svg>" in (toy / "yield.svg").read_text()
    t = json.loads((toy / "balanced/datacard.json").read_text())["t"]
    assert f"\nde    {t}  " in shown


@pytest.mark.slow
def test_a_language_is_added_and_compared(toy, tmp_path):
    shutil.copytree(toy / "metadata", tmp_path / "metadata")
    (tmp_path / "sources").symlink_to(toy / "sources")
    match(sorted((toy / "web").glob("*.parquet")), tmp_path / "metadata", tmp_path / "matched",
          lang=None)  # fmt: skip
    options = ["--sources", "unigram,title", *THRESHOLDS.split()]
    shown = run("examples/add_language.sh", tmp_path, "ja", f"{toy}/web/*.parquet", "--", *options)
    old, new = (read_pairs(tmp_path / name) for name in ("matched", "matched-ja"))
    assert "ja" not in set(old.column("lang").to_pylist())
    assert "ja" in set(new.column("lang").to_pylist())
    assert re.search(rf"^all +{len(old):,} +0 +0 +{len(new) - len(old):,} ", shown, re.MULTILINE)
    assert "metadata.ja: nothing →" in shown
