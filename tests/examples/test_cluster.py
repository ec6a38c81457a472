"""The recipes for clusters, with stand-ins for the clusters' own programs."""

import os
import subprocess

import pytest

from curate.api import models
from curate.api.calls.command import parameters_of
from tests.conftest import ROOT

SRUN = """#!/bin/bash
shift
for SLURM_PROCID in 0 1; do
    export SLURM_PROCID SLURM_LOCALID=$SLURM_PROCID SLURM_NTASKS=2
    "$@" || exit $?
done
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then printf 'first\\nsecond\\n'; else echo "$*" >> "$WORKSPACE/requeued"; fi
"""
CURATE = """#!/bin/bash
echo "$RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR:$MASTER_PORT $*" \
    >> "$WORKSPACE/called"
exit "${CURATE_STATUS:-0}"
"""


def slurm(folder, **environment):
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, content in (("srun", SRUN), ("scontrol", SCONTROL), ("curate", CURATE)):
        (programs / name).write_text(content)
        (programs / name).chmod(0o755)
    return subprocess.run(
        ["bash", ROOT / "examples/slurm_train.sh", "--seed", "7"],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "WORKSPACE": str(folder),
             "SLURM_JOB_NODELIST": "first,second", "SLURM_JOB_ID": "42",
             "SLURM_NTASKS_PER_NODE": "2", **environment},
        check=False, capture_output=True, text=True,
    )  # fmt: skip


def test_slurm_starts_a_process_per_task_and_queues_again_until_the_run_is_finished(tmp_path):
    assert slurm(tmp_path).returncode == 0
    called = (tmp_path / "called").read_text().splitlines()
    assert [line.split()[:3] for line in called] == [
        ["0/2", "0/2", "first:29500"],
        ["1/2", "1/2", "first:29500"],
    ]
    assert all(line.endswith("--seed 7") and " train --workspace" in line for line in called)
    assert (tmp_path / "requeued").read_text() == "requeue 42\n"
    (tmp_path / "runs/clip").mkdir(parents=True)
    (tmp_path / "runs/clip/modelcard.json").write_text("{}")
    assert slurm(tmp_path).returncode == 0
    assert (tmp_path / "requeued").read_text() == "requeue 42\n", "a finished run is not"


def test_slurm_does_not_queue_again_what_failed(tmp_path):
    assert slurm(tmp_path, CURATE_STATUS="1").returncode == 1
    assert not (tmp_path / "requeued").exists()


def test_the_options_of_the_slurm_recipe_are_those_of_curate_train(tmp_path):
    slurm(tmp_path)
    used = {w for w in (tmp_path / "called").read_text().split() if w.startswith("--")}
    known = {f"--{p.name.replace('_', '-')}" for p in parameters_of(models.train)}
    assert used and used <= known, used - known


@pytest.mark.slow
def test_ray_trains_with_two_workers(tmp_path):
    pytest.importorskip("ray", reason="pip install 'ray[train]'")
    from tests.pipelines.train_helpers import command, write_train_workspace

    workspace = write_train_workspace(tmp_path)
    executable = command(workspace, "x")[0].replace("curate", "python")
    found = subprocess.run(
        [executable, ROOT / "examples/ray_train.py", "--workers", "2", "--no-gpus", "--workspace",
         workspace, "--model", workspace / "tiny.json", "--steps", "10", "--batch-size", "32"],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]
    assert (workspace / "runs/clip/modelcard.json").exists()
