"""Runs that are stopped from outside, and runs of several processes, as commands."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from curate.training.loop.config import StepOptions
from tests.in_process import run_here
from tests.pipelines.helpers import KILLS
from tests.pipelines.train_helpers import (
    command,
    environment,
    log_lines,
    train,
    weights,
    words,
    write_train_workspace,
)
from tests.training.ranks import run_command_on_ranks

# A batch in parts takes longer, so that there is a step at which a signal finds the run.
PARTS = 8


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_train_workspace(tmp_path_factory.mktemp("stops"))


@pytest.fixture(scope="module")
def straight(workspace):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the commands: sums of floats depend on it
    train(workspace, "straight", options=StepOptions(accumulate=PARTS))
    torch.set_num_threads(threads)
    return weights(workspace, "straight")


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def start_and_signal(workspace, name, step, number, *more, ranks=None, to=None):
    """Start a run, send a signal once its log has come to a step; return its end and output.

    `to` gives the process that gets the signal, out of the one that was started.
    """
    process = subprocess.Popen(
        command(workspace, name, "--log-every", 1, "--accumulate", PARTS, *more, ranks=ranks),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    log = workspace / name / "log.jsonl"
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_bytes().splitlines()) >= step:
                os.kill(to(process.pid) if to else process.pid, number)
                break
            time.sleep(0.005)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, out, err


@pytest.mark.slow
def test_a_run_killed_at_a_random_step_goes_on_to_the_same_weights(workspace, straight):
    step = random.randint(2, 15)
    code, _, err = start_and_signal(workspace, "killed", step, signal.SIGKILL)
    assert code == -signal.SIGKILL, (step, err)
    assert not (workspace / "killed/modelcard.json").exists()
    run_here(words(workspace, "killed", "--quiet", "--accumulate", PARTS))
    assert_same(weights(workspace, "killed"), straight)


@pytest.mark.slow
def test_sigterm_saves_ends_with_0_and_the_run_goes_on_to_the_same_weights(workspace, straight):
    code, out, err = start_and_signal(workspace, "stopped", 3, signal.SIGTERM)
    assert code == 0, err
    stopped_at = int(out.split("stopped_at: ")[1].split()[0])
    assert 3 <= stopped_at < 40
    assert (workspace / f"stopped/checkpoints/step-{stopped_at:09d}.pt").exists()
    run_here(words(workspace, "stopped", "--quiet", "--accumulate", PARTS))
    assert_same(weights(workspace, "stopped"), straight)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(max(1, KILLS // 15)))
def test_a_run_killed_again_and_again_ends_with_the_same_weights(workspace, straight, attempt):
    rng = random.Random(attempt)
    name, kills = f"killed-{attempt}", 0
    for _ in range(20):
        done = len(log_lines_if_any(workspace, name))
        code, _, err = start_and_signal(
            workspace, name, done + rng.randint(1, 15), signal.SIGKILL, "--checkpoint-every", 3
        )
        if code == 0:
            break
        assert code == -signal.SIGKILL, err
        kills += 1
    assert code == 0 and kills >= 1
    assert_same(weights(workspace, name), straight)


def log_lines_if_any(workspace, name):
    log = workspace / name / "log.jsonl"
    return log.read_bytes().splitlines() if log.exists() else []


def last_rank(torchrun):
    """Return the process id of a rank that torchrun started: of one that does not write."""
    children = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
    [found] = [
        pid for pid in children if b"\0RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes()
    ]
    return int(found)


# torchrun that gets SIGTERM hands it on, waits, and itself always ends with 1. A rank that gets it
# makes all of them save and end with 0, and so torchrun as well.
@pytest.mark.slow
@pytest.mark.parametrize(("sharding", "to", "expected"), [("ddp", None, 1), ("fsdp", last_rank, 0)])
def test_two_processes_train_as_one_and_one_goes_on_from_two(
    workspace, straight, sharding, to, expected
):
    name = f"two-{sharding}"
    code, out, err = start_and_signal(
        workspace, name, 11, signal.SIGTERM, "--sharding", sharding, ranks=2, to=to
    )
    assert code == expected, err
    stopped_at = int(out.split("stopped_at: ")[1].split()[0])  # said by a rank that ended well
    assert 11 <= stopped_at < 40
    assert (workspace / f"{name}/checkpoints/step-{stopped_at:09d}.pt").exists(), err
    run_here(words(workspace, name, "--quiet"))
    for key, value in weights(workspace, name).items():
        torch.testing.assert_close(value, straight[key], rtol=1e-2, atol=2e-3, msg=key)
    one = json.loads((workspace / "straight/consumed.json").read_text())
    assert json.loads((workspace / name / "consumed.json").read_text()) == one
    losses = [{x["step"]: x["loss"] for x in log_lines(workspace, n)} for n in (name, "straight")]
    for step, loss in losses[1].items():
        assert losses[0][step] == pytest.approx(loss, rel=1e-2)


@pytest.mark.slow
def test_lanes_of_two_processes_are_gone_on_with_by_one(workspace):
    code, out, err = start_and_signal(
        workspace, "lanes-two", 11, signal.SIGTERM, "--lanes", 2, ranks=2, to=last_rank
    )
    assert code == 0 and "stopped_at" in out, err
    run_here(words(workspace, "lanes-two", "--quiet"))  # with the lanes that it was begun with
    run_here(words(workspace, "lanes-one", "--quiet", "--lanes", 2))
    consumed = [json.loads((workspace / name / "consumed.json").read_text())
                for name in ("lanes-two", "lanes-one")]  # fmt: skip
    assert consumed[0] == consumed[1]
    losses = [{x["step"]: x["loss"] for x in log_lines(workspace, n)}
              for n in ("lanes-two", "lanes-one")]  # fmt: skip
    for step, loss in losses[1].items():
        assert losses[0][step] == pytest.approx(loss, rel=1e-2)


@pytest.mark.slow
def test_two_processes_print_one_result(workspace, straight, tmp_path):
    printed, nothing = run_command_on_ranks(
        words(workspace, "json", "--json", "--quiet"), 2, tmp_path
    )
    card = json.loads(printed)
    assert nothing == ""
    assert card["machine"]["processes"] == 2 and card["pairs_seen"] == 1280
    for key, value in weights(workspace, "json").items():
        torch.testing.assert_close(value, straight[key], rtol=1e-2, atol=2e-3, msg=key)
