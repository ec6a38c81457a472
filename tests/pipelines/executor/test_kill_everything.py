"""Every stage, `card` and `retract` too, killed at random moments: the same bytes, no file more.

How often each is killed is CURATE_KILLS / 5 (15 by default, that is 3 kills a stage). A command
that comes to its end in between is compared, and begun anew: every kill is of one at work.
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


def begin(folder, stage):
    command = [*CURATE, *stage, "-w", "data", "--workers", "2", "--quiet"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)


def to_its_end(folder, stage):
    """Run a command; return how long it took."""
    began = time.monotonic()
    process = begin(folder, stage)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return time.monotonic() - began


def killed(folder, stage, seconds, rng):
    """Run a command and kill it at a random moment; return how long it took if it was faster."""
    began = time.monotonic()
    process = begin(folder, stage)
    try:
        process.wait(rng.uniform(0.2, 1.0) * seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    said = process.communicate()[1]  # its workers have ended too
    assert process.returncode in (0, -9), said
    return time.monotonic() - began if process.returncode == 0 else None


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
        seconds = to_its_end(undisturbed, stage)
        num = 0
        while num < KILLS // len(STAGES):
            faster = killed(killed_in, stage, seconds, rng)
            if faster is None:
                num += 1
                continue
            # It came to its end, after so many kills: the next ones are of a new one.
            same(undisturbed, killed_in, stage)
            seconds, ended = min(seconds, faster + 0.3), ended + 1
            shutil.rmtree(killed_in)
            shutil.copytree(tmp_path / "before", killed_in)
        to_its_end(killed_in, stage)
        same(undisturbed, killed_in, stage)
        shutil.rmtree(tmp_path / "before")
    print(f"{KILLS} kills, {ended + len(STAGES)} times to the end")  # noqa: T201  shown with -s
    assert verify_workspace(str(killed_in / "data"))["files"] > 10


def same(undisturbed, killed_in, stage):
    for name in ("matched", "balanced"):
        expected, found = (contents(f / "data" / name) for f in (undisturbed, killed_in))
        assert found.keys() == expected.keys(), stage
        assert found == expected, stage
