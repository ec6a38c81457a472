"""The stages on a real Slurm cluster of one node, whose jobs are cancelled, killed and requeued."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.pipelines.slurm_cluster import missing, slurm_cluster
from tests.pipelines.traps import World, is_running, wait_for

pytestmark = pytest.mark.slow

SLURM = ("--executor", "slurm", "--workers", "2", "--slurm-array-size", "2",
         "--slurm-parts-per-job", "1", "--slurm-minutes", "5")  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"), files=3)


def job_of(pid):
    """Return the Slurm job, as ARRAY_TASK, that a process belongs to."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    values = dict(line.split(b"=", 1) for line in lines if b"=" in line)
    if b"SLURM_ARRAY_JOB_ID" not in values:
        return values[b"SLURM_JOB_ID"].decode()
    return f"{values[b'SLURM_ARRAY_JOB_ID'].decode()}_{values[b'SLURM_ARRAY_TASK_ID'].decode()}"


def is_begun(held, requeued, environment):
    """Tell whether a part is begun; a requeued job need not wait Slurm's two minutes."""
    if requeued is not None and not held.exists():
        command = ["scontrol", "update", f"jobid={requeued}", "starttime=now"]
        subprocess.run(command, env=environment, capture_output=True, check=False)
        time.sleep(0.5)
    return held.exists()


def test_jobs_that_are_cancelled_killed_or_requeued_cost_nothing(cluster, world):
    holds = [world.trap("hold", part) for part in range(3)]
    driver = world.start("match", "-o", "slurm/matched", *SLURM, env=cluster)
    try:
        for part, fault in enumerate(("cancel", "kill", "requeue")):
            held = world.held(part)
            wait_for(held.exists, f"part {part} to be begun")
            pid = int(held.read_text())
            held.unlink()
            job = job_of(pid)
            if fault == "kill":
                os.kill(pid, signal.SIGKILL)
            elif fault == "cancel":
                subprocess.run(["scancel", job], env=cluster, check=True)
            else:
                subprocess.run(["scontrol", "requeue", job], env=cluster, check=True)
            requeued = job if fault == "requeue" else None
            wait_for(lambda: is_begun(held, requeued, cluster), f"part {part} again")  # noqa: B023
            holds[part].unlink()
        assert driver.wait(150) == 0, driver.stderr.read()
    finally:
        driver.kill()
        _, said = driver.communicate()
    assert said.count("ended without a result") >= 2
    world.check("slurm/matched")
    assert not list((world.folder / "slurm/.curate/matched/slurm").iterdir())


def test_jobs_of_a_driver_that_was_killed_do_not_go_on_beside_those_of_the_next(cluster, world):
    hold, held = world.trap("hold", 1), world.held(1)
    first = world.start("match", "-o", "orphans/matched", *SLURM, env=cluster)
    try:
        wait_for(held.exists, "a part to be begun")
    finally:
        first.kill()
        first.communicate()
    orphan = int(held.read_text())
    held.unlink()
    second = world.start("match", "-o", "orphans/matched", *SLURM, env=cluster)
    try:
        wait_for(lambda: not is_running(orphan), "the orphan to be cancelled")
        wait_for(held.exists, "its part again")
        hold.unlink()
        assert second.wait(150) == 0, second.stderr.read()
    finally:
        second.kill()
        second.communicate()
    world.check("orphans/matched")
    assert not list((world.folder / "orphans/.curate/matched/slurm").iterdir())


def test_a_part_that_fails_for_good_fails_the_run_with_its_own_words(cluster, world):
    (world.folder / "bad").mkdir()
    (world.folder / "bad/0.parquet").write_bytes(b"PAR1 is no Parquet file")
    found = subprocess.run(
        [world.command("match")[0], "match", "bad/0.parquet", "--lang", "en", "-o", "bad/matched",
         "--metadata", "data/metadata", *SLURM],
        cwd=world.folder, env=cluster, capture_output=True, text=True, check=False, timeout=150,
    )  # fmt: skip
    assert found.returncode == 1 and "cannot be read whole" in found.stderr, found.stderr


def test_an_array_that_the_site_refuses_is_an_error_that_names_the_option(cluster, world):
    found = world.run("match", "-o", "big/matched", "--executor", "slurm", "--workers", "9",
                      "--slurm-parts-per-job", "1", env=cluster)  # fmt: skip
    assert found.returncode == 1 and "--slurm-array-size" in found.stderr, found.stderr
