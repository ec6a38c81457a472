"""Every stage, `card` and `retract` too, killed at random moments: the same bytes, no file more.

How often each is killed is CURATE_KILLS / 5 (15 by default, that is 3 kills a stage). A command
that comes to its end in between is compared, and begun anew: every kill is of one at work.
"""

import random
import shutil
import sys

import pytest

from curate.pipelines.status.verify import verify_workspace
from tests.pipelines.helpers import (
    KILLS,
    WORDS,
    contents,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)
from tests.pipelines.kills import kill_at_work, run_to_its_end

pytestmark = pytest.mark.slow

CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")
STAGES = (
    ("match", "in/*.parquet", "--lang", "en"),
    ("balance", "--t", "40"),
    ("balance", "--t", "30", "--overwrite"),
    ("card", "--examples", "1"),
    ("retract", "list.txt"),
)


def command(stage):
    return [*CURATE, *stage, "-w", "data", "--workers", "2", "--quiet"]


def world(folder):
    write_metadata(folder / "data/metadata", {"en": WORDS})
    for i in range(4):
        write_pairs(folder / f"in/{i}.parquet", texts(3000, i), first=3000 * i)
    return folder


def test_killed_at_random_moments_everything_ends_with_the_same_bytes(tmp_path):
    undisturbed, killed_in = world(tmp_path / "a"), tmp_path / "b"
    shutil.copytree(undisturbed, killed_in)
    rng, ended = random.Random(0), 0
    for stage in STAGES:
        for folder in (undisturbed, killed_in):
            if stage[0] == "retract" and not (folder / "list.txt").exists():
                ids = read_pairs(folder / "data/matched").column("pair_id").to_pylist()[::97]
                (folder / "list.txt").write_text("\n".join(ids))
        shutil.copytree(killed_in, tmp_path / "before")

        def anew(stage=stage):
            same(undisturbed, killed_in, stage)
            shutil.rmtree(killed_in)
            shutil.copytree(tmp_path / "before", killed_in)

        seconds = run_to_its_end(command(stage), undisturbed)
        times = KILLS // len(STAGES)
        ended += kill_at_work(command(stage), killed_in, seconds, rng, times, anew)
        run_to_its_end(command(stage), killed_in)
        same(undisturbed, killed_in, stage)
        shutil.rmtree(tmp_path / "before")
    print(f"{KILLS} kills, {ended + len(STAGES)} times to the end")  # noqa: T201  shown with -s
    assert verify_workspace(str(killed_in / "data"))["files"] > 10


def same(undisturbed, killed_in, stage):
    for name in ("matched", "balanced"):
        expected, found = (contents(f / "data" / name) for f in (undisturbed, killed_in))
        assert found.keys() == expected.keys(), stage
        assert found == expected, stage
