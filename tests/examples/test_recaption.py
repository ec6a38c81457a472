"""Re-captions: of a damaged toy web, and of real photos."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from examples.ablation.table import interval
from examples.recaption.__main__ import main
from examples.recaption.web import attributes, damage, items, vocabulary
from examples.toyweb.world import Scene


def test_half_of_the_words_are_gone_or_others():
    rng, words = np.random.default_rng(0), vocabulary()
    text = "a picture of a red circle in the middle " * 400
    found = damage(text, words, rng).split()
    # A quarter is dropped, a quarter replaced: five standard deviations of a binomial count.
    num = len(text.split())
    assert abs(len(found) - 0.75 * num) < 5 * (num * 0.25 * 0.75) ** 0.5
    assert damage("x", words, rng)


def test_attributes_are_named_rightly_or_not():
    scene = Scene(0, 0)
    assert attributes(scene, "a red circle, painted by hand") == {
        "colour": True, "shape": True, "both": True,
    }  # fmt: skip
    assert attributes(scene, "a red blue circle")["colour"] is False
    assert attributes(scene, "2 red circles")["both"] and not attributes(scene, "")["shape"]
    assert [one.clean for one in items(3, 5)] == [one.clean for one in items(3, 5)]


def test_intervals_are_students():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0 and half == pytest.approx(4.303 / 3**0.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_whole_of_it_runs_at_a_small_size(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    app = typer.Typer()
    app.command()(main)
    words = [str(tmp_path / "out"), "--rows", "600", "--clean", "200", "--eval-rows", "60",
             "--steps", "4", "--base-steps", "4", "--captioner-steps", "6", "--seeds", "1",
             "--ratios", "0,1"]  # fmt: skip
    run = CliRunner().invoke(app, words, catch_exceptions=False)
    assert run.exit_code == 0 and "| damaged alt-text |" in run.stdout
    found = json.loads((tmp_path / "out/recaption.json").read_text())
    assert found["named"]["clean"]["both"] == 1.0 and set(found["accuracy"]) == {"0", "1"}
