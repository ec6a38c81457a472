"""Every stage, `card` and `retract` too, killed at random moments: the same bytes, no file more.

How often each is killed is CURATE_KILLS / 5 (15 by default, that is 3 kills a stage); 200 take
about an hour of one processor.
"""

import random
import shutil
import subprocess
import sys
import time

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

pytestmark = pytest.mark.slow

CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")
STAGES = (
    ("match", "in/*.parquet", "--lang", "en"),
    ("balance", "--t", "40"),
    ("balance", "--t", "30", "--overwrite"),
    ("card", "--examples", "1"),
    ("retract", "list.txt"),
)


def run(folder, stage, kills, rng):
    """Run a command, killing it at random moments so many times before it is let through."""
    command = [*CURATE, *stage, "-w", "data", "--workers", "2", "--quiet"]
    began = time.monotonic()
    num = 0
    for attempt in range(kills + 1):
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
        if attempt < kills:
            time.sleep(rng.uniform(0.3, 1.0) * run.seconds)
            process.kill()
        said = process.communicate()[1]
        if attempt == kills:
            assert process.returncode == 0, said
        num += process.returncode == -9
    return num, time.monotonic() - began


run.seconds = 3.0


def world(folder):
    write_metadata(folder / "data/metadata", {"en": WORDS})
    for i in range(4):
        write_pairs(folder / f"in/{i}.parquet", texts(3000, i), first=3000 * i)
    return folder


def test_killed_at_random_moments_everything_ends_with_the_same_bytes(tmp_path):
    undisturbed, killed = world(tmp_path / "a"), tmp_path / "b"
    shutil.copytree(undisturbed, killed)
    rng, total = random.Random(0), 0
    for stage in STAGES:
        for folder in (undisturbed, killed):
            if stage[0] == "retract" and not (folder / "list.txt").exists():
                ids = read_pairs(folder / "data/matched").column("pair_id").to_pylist()[::97]
                (folder / "list.txt").write_text("\n".join(ids))
        _, run.seconds = run(undisturbed, stage, 0, rng)
        total += run(killed, stage, KILLS // len(STAGES), rng)[0]
        for name in ("matched", "balanced"):
            expected, found = (contents(f / "data" / name) for f in (undisturbed, killed))
            assert found.keys() == expected.keys(), stage
            assert found == expected, stage
    assert total > KILLS // 4
    assert verify_workspace(str(killed / "data"))["files"] > 10
