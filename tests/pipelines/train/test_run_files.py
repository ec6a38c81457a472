"""The files of a run, damaged or somebody else's: noticed by whoever reads them."""

import json
import random
import shutil

import pytest

pytest.importorskip("torch")

from curate import training
from curate.errors import CurateError
from curate.files.sealed_json import write_json
from curate.pipelines.train.evaluations import read_evaluations, write_evaluation
from curate.pipelines.train.files import RunFiles, read_checkpoint
from curate.pipelines.train.model_card import add_evaluations
from curate.pipelines.train.told.run_log import RunLog
from tests.fuzz.mutations import mutated_json
from tests.pipelines.train_helpers import train, write_train_workspace

STEPS = 4
RESULT = {"task": "zeroshot", "images": 8, "file": "a", "asked": {}, "top1": 0.5}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = write_train_workspace(tmp_path_factory.mktemp("runs"))
    again(folder)
    write_evaluation(str(folder / "a"), "set", RESULT)
    assert add_evaluations(str(folder / "a"))
    return folder


def again(folder):
    return train(folder, "a", steps=STEPS, checkpoint_every=2, log_every=1)


@pytest.fixture
def workspace(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "w")
    return tmp_path / "w"


READERS = {
    "config.json": (again, lambda w: training.load(str(w / "a"))),
    "modelcard.json": (again, lambda w: add_evaluations(str(w / "a"))),
    "consumed.json": (lambda w: add_evaluations(str(w / "a")),),
    "eval/set.json": (
        lambda w: add_evaluations(str(w / "a")),
        lambda w: write_evaluation(str(w / "a"), "set", RESULT),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_values_that_are_not_ours_are_refused_or_without_effect(name, workspace):
    kept = {p: p.read_bytes() for p in (workspace / "a").rglob("*.json")}
    whole = json.loads(kept[workspace / "a" / name])
    whole.pop("checksum")
    for number in range(10):
        value = mutated_json(whole, number)
        for read in READERS[name]:
            for path, content in kept.items():
                path.write_bytes(content)
            write_json(str(workspace / "a" / name), value if isinstance(value, dict) else {})
            try:
                read(workspace)
            except CurateError as error:
                assert str(workspace) in str(error), (number, value)
    for path in set((workspace / "a").rglob("*.json")) - kept.keys():
        path.unlink()


def flipped(path, num):
    """Yield after each of some flips of a bit in a file."""
    content, rng = path.read_bytes(), random.Random(path.name)
    ends = [*range(16), *range(8 * len(content) - 24, 8 * len(content))]
    for bit in ends + [rng.randrange(8 * len(content)) for _ in range(num)]:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield bit
    path.write_bytes(content)


@pytest.mark.parametrize("num", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_the_log_is_noticed_or_without_effect(workspace, num):
    path = workspace / "a/log.jsonl"
    before = RunLog(str(path), STEPS).lines
    assert [line["step"] for line in before] == [1, 2, 3, 4]
    noticed = 0
    for bit in flipped(path, num):
        try:
            assert RunLog(str(path), STEPS).lines == before, bit
        except CurateError as error:
            assert "log.jsonl, line" in str(error)
            noticed += 1
    assert noticed > num // 2


def test_a_log_that_was_cut_off_goes_on_without_its_last_line(workspace):
    path = workspace / "a/log.jsonl"
    content = path.read_bytes()
    before = RunLog(str(path), STEPS).lines
    for cut in (1, 2, 30):
        path.write_bytes(content[:-cut])
        assert RunLog(str(path), STEPS).lines == before[: 4 if cut == 1 else 3]


@pytest.mark.parametrize("num", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_what_a_run_goes_on_from_is_noticed(workspace, num):
    files = RunFiles(str(workspace / "a"))
    checkpoint = workspace / "a/checkpoints/step-000000002.pt"
    for _ in flipped(checkpoint, num):
        with pytest.raises(CurateError, match=r"step-000000002.pt is damaged: its checksum"):
            read_checkpoint(files, str(checkpoint))
    for _ in flipped(workspace / "a/eval/set.json", num):
        try:
            assert read_evaluations(files.folder, STEPS)["set"].items() >= RESULT.items()
        except CurateError as error:
            assert "set.json" in str(error)
