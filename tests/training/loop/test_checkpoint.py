import io

import pytest
import torch

from curate.errors import ArtifactError
from curate.training.loop.checkpoint import require_format
from curate.training.model.weights_file import FORMAT_VERSION
from tests.training.tiny_trainer import assert_same_weights, tiny_batch, tiny_trainer

EVERYTHING = {"patch_dropout": 0.5, "ema_decay": 0.9, "loss": "siglip", "precision": "float16"}


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("config", [{}, EVERYTHING, {"schedule": "wsd"}])
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}])
@pytest.mark.parametrize("stop", [0, 3])
def test_training_resumes_bit_for_bit(config, options, stop):
    straight = tiny_trainer(options=options, **config)
    for i in range(6):
        metrics = straight.step(tiny_batch(seed=i))
    first = tiny_trainer(options=options, **config)
    for i in range(stop):
        first.step(tiny_batch(seed=i))
    second = tiny_trainer(options=options, **{**config, "seed": 0})
    torch.manual_seed(99)  # the state of the global generator has no part in it
    second.load_state(through_a_file(first.state()))
    for i in range(stop, 6):
        resumed = second.step(tiny_batch(seed=i))
    assert resumed == metrics
    assert_same_weights(straight.state()["model"], second.state()["model"])
    assert_same_weights(straight.weights(), second.weights())


def test_a_state_is_a_copy_that_later_steps_do_not_touch():
    trainer = tiny_trainer(ema_decay=0.9)
    trainer.step(tiny_batch())
    state = trainer.state()
    before = through_a_file(state)
    trainer.step(tiny_batch(seed=1))
    assert_same_weights(state["model"], before["model"])
    assert_same_weights(state["average"], before["average"])
    for name, of_parameter in state["optimizer"].items():
        assert_same_weights(of_parameter, before["optimizer"][name])


def test_loading_keeps_nothing_of_the_state_it_was_given():
    trainer = tiny_trainer()
    trainer.step(tiny_batch())
    state = trainer.state()
    before = through_a_file(state)
    other = tiny_trainer()
    other.load_state(state)
    other.step(tiny_batch(seed=1))
    for name, of_parameter in state["optimizer"].items():
        assert_same_weights(of_parameter, before["optimizer"][name])


def test_a_state_of_another_model_says_what_differs():
    state = tiny_trainer().state()
    trainer = tiny_trainer()
    wrong = {**state, "model": {**state["model"], "text_projection": torch.zeros(3, 3)}}
    with pytest.raises(ArtifactError, match=r"'text_projection' has shape \(3, 3\).*\(16, 16\)"):
        trainer.load_state(wrong)
    fewer = {k: v for k, v in state["model"].items() if k != "ln_final.bias"}
    with pytest.raises(ArtifactError, match=r"it lacks ln_final\.bias"):
        trainer.load_state({**state, "model": fewer})
    with pytest.raises(ArtifactError, match="it has logit_bias, which is not in this one"):
        trainer.load_state(tiny_trainer(loss="siglip").state())
    trainer.step(tiny_batch())
    moments = trainer.state()["optimizer"]
    moments["text_projection"]["exp_avg"] = torch.zeros(3, 3)
    with pytest.raises(ArtifactError, match="exp_avg of 'text_projection'"):
        trainer.load_state({**state, "optimizer": moments})


def test_other_formats_are_refused():
    require_format({"format": FORMAT_VERSION}, "x.pt")
    with pytest.raises(ArtifactError, match=r"x\.pt: a checkpoint of format 1"):
        require_format({}, "x.pt")
    with pytest.raises(ArtifactError, match="Update curate"):
        require_format({"format": FORMAT_VERSION + 1}, "x.pt")
