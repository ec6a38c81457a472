"""Stages killed at random moments, again and again, end with the bytes of an undisturbed run."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from examples.toyweb.write import ToyWeb, write_toy_web
from tests.pipelines.helpers import KILLS, contents
from tests.pipelines.kills import kill_at_work, run_to_its_end

CURATE = Path(sys.executable).with_name("curate")
STAGES = ("metadata", "matched", "balanced")
NUM_KILLS = max(4, KILLS // 5)  # of each stage

pytestmark = pytest.mark.slow


def commands(workers):
    common = ["-w", "data", "--workers", str(workers), "--quiet"]
    thresholds = "--unigram-min-count 5 --unigram-top-share 1 --title-min-views 1".split()
    build = ["build-metadata", "--lang", "all", "--sources", "unigram,bigram,title", *thresholds]
    stages = (
        build,
        ["match", "web/*.parquet"],
        ["balance", "--t", "40", "--pairs-per-shard", "500"],
    )
    return [[CURATE, *words, *common] for words in stages]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder in which all stages ran, and the seconds that each took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_toy_web(folder, ToyWeb(rows=8000, files=4, eval_rows=80))
    (folder / "data").mkdir()
    (folder / "sources").rename(folder / "data/sources")
    return folder, [run_to_its_end(command, folder) for command in commands(1)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_at_random_times_ends_with_the_same_bytes(undisturbed, tmp_path, workers):
    whole, seconds = undisturbed
    rng = random.Random(workers)
    for name in ("web", "data/sources"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-rp", whole / name, tmp_path / name], check=True)
    before = tmp_path.with_name(f"{tmp_path.name}-before")

    def anew():
        shutil.rmtree(tmp_path)
        shutil.copytree(before, tmp_path)

    for command, took in zip(commands(workers), seconds, strict=True):
        shutil.copytree(tmp_path, before)
        kill_at_work(command, tmp_path, took, rng, NUM_KILLS, anew)
        run_to_its_end(command, tmp_path)
        shutil.rmtree(before)
    for stage in STAGES:
        expected, found = (contents(f / "data" / stage) for f in (whole, tmp_path))
        assert found == expected, stage
