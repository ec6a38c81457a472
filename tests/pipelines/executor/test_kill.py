"""Stages killed at random moments, again and again, end with the bytes of an undisturbed run."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.toyweb.write import ToyWeb, write_toy_web
from tests.pipelines.helpers import KILLS, contents

CURATE = Path(sys.executable).with_name("curate")
STAGES = ("metadata", "matched", "balanced")
NUM_KILLS = max(4, KILLS // 5)  # of each stage

pytestmark = pytest.mark.slow


def commands(folder, workers):
    common = ["-w", "data", "--workers", str(workers), "--quiet"]
    thresholds = "--unigram-min-count 5 --unigram-top-share 1 --title-min-views 1".split()
    return (
        [
            ["build-metadata", "--lang", "all", "--sources", "unigram,bigram,title", *thresholds],
            ["match", "web/*.parquet"],
            ["balance", "--t", "40", "--pairs-per-shard", "500"],
        ],
        common,
        folder,
    )


def run_to_the_end(folder, workers):
    todo, common, _ = commands(folder, workers)
    for command in todo:
        subprocess.run([CURATE, *command, *common], cwd=folder, check=True)


def run_with_kills(folder, workers, rng):
    """Run every stage, killing it after random times until it is let through."""
    todo, common, _ = commands(folder, workers)
    kills = 0
    for command in todo:
        for attempt in range(NUM_KILLS + 1):
            process = subprocess.Popen([CURATE, *command, *common], cwd=folder)
            if attempt == NUM_KILLS:
                assert process.wait() == 0
                break
            time.sleep(rng.uniform(0.2, 2.5))
            process.kill()
            kills += process.wait() == -9
    return kills


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    write_toy_web(folder, ToyWeb(rows=8000, files=4, eval_rows=80))
    (folder / "data").mkdir()
    (folder / "sources").rename(folder / "data/sources")
    run_to_the_end(folder, 1)
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_at_random_times_ends_with_the_same_bytes(undisturbed, tmp_path, workers):
    rng = random.Random(workers)
    for name in ("web", "data/sources"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-rp", undisturbed / name, tmp_path / name], check=True)
    assert run_with_kills(tmp_path, workers, rng) > NUM_KILLS
    for stage in STAGES:
        expected, found = (contents(f / "data" / stage) for f in (undisturbed, tmp_path))
        assert found == expected, stage
