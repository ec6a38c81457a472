"""Workers, drivers and nodes die and disks fill up: nothing is lost, nothing doubled."""

import json
import os
import signal
import subprocess

import pytest

from tests.pipelines.helpers import contents
from tests.pipelines.traps import World, is_running, wait_for

pytestmark = pytest.mark.slow

RAY = ("--executor", "ray", "--workers", "2")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def test_a_ray_worker_killed_in_the_middle_of_a_part_costs_nothing(world):
    kills = [world.trap("kill", part) for part in (0, 2)]
    found = world.run("match", "-o", "killed/matched", *RAY)
    assert found.returncode == 0, found.stderr
    assert not any(kill.exists() for kill in kills)
    starts = [e["part"] for e in world.events("killed/matched", "start")
              if e["stage"] == "match_part"]  # fmt: skip
    assert {part: starts.count(part) for part in (0, 2)} == {0: 2, 2: 2}
    world.check("killed/matched")
    found = world.run("balance", "--matched", "killed/matched", "-o", "killed/balanced", *RAY)
    assert found.returncode == 0, found.stderr
    got, expected = (contents(world.folder / f"{name}/balanced") for name in ("killed", "expected"))
    assert got.keys() == expected.keys()
    assert {n for n in got if got[n] != expected[n] and "card" not in n} == set()


def test_a_killed_driver_is_followed_by_another_and_a_second_one_is_refused(world):
    hold = world.trap("hold", 2)
    driver = world.start("match", "-o", "driver/matched", *RAY)
    pairs = world.folder / "driver/matched/pairs"
    try:
        wait_for(world.held(2).exists, "a part to be begun")
        worker = int(world.held(2).read_text())
        second = world.run("match", "-o", "driver/matched")
        assert second.returncode == 1
        assert "`curate match` (process" in second.stderr and "works on it" in second.stderr
        wait_for(lambda: len(list(pairs.glob("0*.parquet"))) >= 2, "other parts")
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    wait_for(lambda: not is_running(worker), "Ray to end with its driver")
    hold.unlink()
    found = world.run("match", "-o", "driver/matched", *RAY)
    assert found.returncode == 0, found.stderr
    world.check("driver/matched")


def test_status_shows_what_runs_and_who_drives_it(world):
    hold = world.trap("hold", 3)
    driver = world.start("match", "-w", "watched", "--metadata", "data/metadata")
    try:
        wait_for(world.held(3).exists, "a part to be begun")
        status = json.loads(world.run("status", "-w", "watched", "--json").stdout)
        found = status["stages"]["matched"]
        assert found["state"] == "running" and found["run"]["driver"]["pid"] == driver.pid
        slowest = found["run"]["slowest_running"]
        assert {one["part"] for one in slowest} >= {3} and found["run"]["failed"] == 0
        assert "running longest: part 3" in world.run("status", "-w", "watched").stdout
    finally:
        hold.unlink()
        assert driver.wait(120) == 0, driver.stderr.read()
        driver.stderr.close()
    found = world.run("status", "-w", "watched", "--watch", "--json")
    assert json.loads(found.stdout)["stages"]["matched"]["state"] == "complete"


def test_a_lost_node_takes_no_part_with_it(world):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    holds = [world.trap("hold", part) for part in range(4)]
    try:
        node = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        driver = world.start(
            "match", "-o", "node/matched", "--executor", "ray", "--ray-address", cluster.address
        )
        wait_for(lambda: sum(world.held(p).exists() for p in range(4)) >= 2, "both nodes at work")
        cluster.remove_node(node, allow_graceful=False)
        for hold in holds:
            hold.unlink()
        assert driver.wait(150) == 0, driver.stderr.read()
        driver.stderr.close()
    finally:
        cluster.shutdown()
    world.check("node/matched")
    assert len([e for e in world.events("node/matched", "start")
                if e["stage"] == "match_part"]) > 4  # fmt: skip


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "curate-test", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_stops_the_run_and_with_room_it_goes_on(world, small_disk):
    output = str(small_disk / "matched")
    found = world.run("match", "-o", output, "--quiet")
    assert found.returncode == 1 and "Traceback" not in found.stderr, found.stderr
    assert "No space left" in found.stderr or "disk is full" in found.stderr
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    found = world.run("match", "-o", output, "--quiet")
    assert found.returncode == 0, found.stderr
    world.check(output)
    assert os.listdir(small_disk / "matched/pairs") and not [
        name for name in os.listdir(small_disk / "matched/pairs") if name.startswith(".")
    ]
