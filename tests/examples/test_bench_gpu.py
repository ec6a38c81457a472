import os
import sys
from importlib.util import find_spec

import pytest
import torch

from curate.errors import CurateError
from examples.bench.training import gpu
from tests.training.their_programs import import_open_clip


@pytest.mark.skipif(not find_spec("open_clip"), reason="make test installs open_clip")
def test_open_clip_is_timed_beside_ours(tmp_path, capsys):
    import_open_clip()
    gpu.main(folder=str(tmp_path), inputs="synthetic", device="cpu")
    printed = capsys.readouterr().out
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| tiny")]
    assert [row[2] for row in rows] == ["curate", "open_clip"] and "no comparison" not in printed
    assert all(float(row[3].replace(",", "")) > 0 for row in rows) and rows[1][4] == "77"


def test_without_open_clip_ours_is_timed_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    gpu.main(folder=str(tmp_path), inputs="synthetic", device="cpu")
    printed = capsys.readouterr().out
    assert "open_clip cannot be imported" in printed and printed.count("| tiny |") == 1


def test_the_benchmark_of_steps_runs_tiny_on_a_cpu(tmp_path, capsys):
    gpu.main(folder=str(tmp_path), device="cpu")
    printed = capsys.readouterr().out
    assert "No measurement." in printed
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| tiny")]
    ours = [row for row in rows if row[2] == "curate"]
    assert [row[1] for row in ours] == ["synthetic", "ram", "disk"]
    assert all(float(row[3].replace(",", "")) > 0 for row in ours)
    assert ours[0][4] == "32" and float(ours[1][4]) < 77
    assert os.listdir(tmp_path) == [], "its shards are removed"


def test_a_model_that_does_not_fit_leaves_the_others_in_the_table(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise CurateError("memory ran out in a step of 8 pairs\nWhat helps")

    monkeypatch.setattr(gpu, "our_step", full)
    gpu.main(folder=str(tmp_path), inputs="synthetic,disk", device="cpu")
    printed = capsys.readouterr().out
    assert "curate, disk: memory ran out in a step of 8 pairs" in printed
    assert "| tiny | disk" not in printed and os.listdir(tmp_path) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_benchmark_runs_on_a_gpu(tmp_path, capsys):
    gpu.main(models="vit-b-32", batch_size=64, steps=2, pairs=256, folder=str(tmp_path))
    assert "| vit-b-32 | ram | curate |" in capsys.readouterr().out
