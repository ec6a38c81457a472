import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from curate.errors import CurateError, UsageError
from curate.training.data.pixels import normalize_images
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.distributed import World
from curate.training.loop.loss import info_nce
from curate.training.loop.schedule import learning_rate
from curate.training.model.clip import CLIP
from curate.training.model.config import load_model_config
from curate.training.model.flops import flops_per_pair
from tests.training.tiny_trainer import EOS, TINY, assert_same_weights, tiny_batch, tiny_trainer


def gradients(trainer, batch):
    trainer.step(batch)
    return {n: p.grad.clone() for n, p in trainer.model.named_parameters()}


def test_loss_and_gradients_are_those_of_a_float64_model():
    trainer = tiny_trainer()
    reference = CLIP(TINY, EOS).double()
    reference.load_state_dict({k: v.double() for k, v in trainer.model.state_dict().items()})
    batch = tiny_batch()
    pixels = normalize_images(torch.from_numpy(batch.images)).double()
    loss = info_nce(*reference(pixels, torch.from_numpy(batch.tokens)))
    loss.backward()
    found = trainer.step(batch)
    assert found.loss == pytest.approx(loss.item(), rel=1e-5)
    norms = [p.grad.norm().item() for p in reference.parameters()]
    assert found.grad_norm == pytest.approx(math.sqrt(sum(n**2 for n in norms)), rel=1e-4)
    for (name, a), b in zip(trainer.model.named_parameters(), reference.parameters(), strict=True):
        # float32 of a gradient whose terms cancel: relative to the largest, not to itself.
        atol = 1e-5 * b.grad.abs().max().item() + 1e-9
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-3, atol=atol, msg=name)


@pytest.mark.parametrize("accumulate", [2, 3, 8, 20])
@pytest.mark.parametrize("config", [{}, {"loss": "siglip"}, {"max_grad_norm": 0.5}])
def test_a_batch_in_parts_has_the_gradient_of_the_whole_batch(accumulate, config):
    whole = gradients(tiny_trainer(**config), tiny_batch())
    parts = gradients(tiny_trainer(options={"accumulate": accumulate}, **config), tiny_batch())
    assert_same_weights(whole, parts, exact=False, rtol=1e-3, atol=2e-5)


def test_parts_leave_out_the_same_patches_in_both_passes():
    # One part with the same draw as each of two parts: the batch is the same pairs twice.
    single = tiny_batch(num=4)
    twice = replace(
        single,
        images=np.concatenate([single.images] * 2),
        tokens=np.concatenate([single.tokens] * 2),
    )
    trainer = tiny_trainer(patch_dropout=0.5, options={"accumulate": 2})
    seen = []
    forward = trainer.model.visual.forward

    def remember(images):
        features = forward(images)
        seen.append(features.detach().clone())
        return features

    trainer.model.visual.forward = remember
    trainer.step(twice)
    first, second, first_again, second_again = seen
    assert torch.equal(first, first_again) and torch.equal(second, second_again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "options",
    [{"grad_checkpointing": True}, {"loss_chunk": 3}, {"text_bucket": 16}, {"by_length": False}],
)
def test_options_of_a_step_change_nothing_but_rounding(options):
    plain = gradients(tiny_trainer(patch_dropout=0.25), tiny_batch())
    other = gradients(tiny_trainer(patch_dropout=0.25, options=options), tiny_batch())
    assert_same_weights(plain, other, exact=False, rtol=1e-3, atol=2e-5)


@pytest.mark.slow
# torch's compiler warns of what it does itself: looks at inner gradients, uses torch.jit.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_compiled_blocks_compute_the_same(monkeypatch):
    # Not in processes, which import PyTorch first; a text as long as an image shares its kernels.
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    plain = tiny_trainer(options={"text_bucket": 5})
    compiled = tiny_trainer(options={"text_bucket": 5, "compile": True})
    for length in (4, 9):  # two buckets of text
        a, b = (t.step(tiny_batch(length=length)) for t in (plain, compiled))
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
        assert b.grad_norm == pytest.approx(a.grad_norm, rel=1e-3)
    assert set(plain.model.state_dict()) == set(compiled.model.state_dict())


def test_texts_are_cut_to_a_multiple_of_eight_that_holds_the_longest():
    trainer = tiny_trainer(options={"by_length": False})
    assert [trainer.step(tiny_batch(length=n)).num_tokens for n in (4, 7, 8, 15)] == [8, 8, 16, 16]


def test_tokens_told_are_those_that_the_model_computed():
    batch = tiny_batch(length=15)
    for row, length in enumerate((3, 3, 3, 3, 9, 9, 9, 15)):
        batch.tokens[row, 1:length] = 7
        batch.tokens[row, length:] = EOS
    for accumulate in (1, 2, 4):
        trainer = tiny_trainer(options={"accumulate": accumulate})
        computed = []
        trainer.model.transformer.resblocks[0].ln_1.register_forward_hook(
            lambda *called, to=computed: to.append(called[2].numel() // called[2].shape[-1])
        )
        num_tokens = trainer.step(batch).num_tokens
        forward = computed if accumulate == 1 else computed[:accumulate]
        assert num_tokens == sum(forward) / 8 < 16


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_trains_float32_weights(precision):
    trainer = tiny_trainer(precision=precision, steps=30)
    losses = [trainer.step(tiny_batch()).loss for _ in range(30)]
    assert losses[-1] < losses[0] / 2
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


def test_an_overflow_that_the_scaler_takes_back_is_no_bad_step():
    trainer = tiny_trainer(precision="float16")
    trainer._scaler._init_scale = 2.0**40
    found = trainer.step(tiny_batch())
    assert not math.isfinite(found.grad_norm) and not found.skipped
    assert trainer._scaler.get_scale() < 2.0**40


def test_a_step_that_is_not_finite_changes_nothing_and_the_next_one_does():
    trainer = tiny_trainer(ema_decay=0.5)
    trainer.step(tiny_batch())
    before = trainer.state()
    with torch.no_grad():
        trainer.model.text_projection[0, 0] = math.nan
    found = trainer.step(tiny_batch(seed=1))
    assert found.skipped and found.step == 2 and not math.isfinite(found.loss)
    with torch.no_grad():
        trainer.model.text_projection[0, 0] = before["model"]["text_projection"][0, 0]
    after = trainer.state()
    assert_same_weights(before["model"], after["model"])
    for name, state in before["optimizer"].items():
        assert_same_weights(state, after["optimizer"][name])
    assert not trainer.step(tiny_batch(seed=2)).skipped


def test_running_out_of_memory_says_what_helps(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore.")

    for options, wanted, unwanted in (
        ({}, ["--grad-checkpointing", "--accumulate 2", "--batch-size"], ["--sharding"]),
        ({"grad_checkpointing": True, "accumulate": 4}, ["--accumulate 8"], ["--grad-check"]),
    ):
        trainer = tiny_trainer(options=options)
        monkeypatch.setattr(trainer.model, "forward", full)
        with pytest.raises(CurateError, match="memory ran out in a step of 8 pairs") as caught:
            trainer.step(tiny_batch())
        assert all(w in str(caught.value) for w in wanted), caught.value
        assert not any(u in str(caught.value) for u in unwanted), caught.value


def test_other_errors_of_a_step_stay_what_they_are():
    batch = tiny_batch()
    with pytest.raises(RuntimeError, match="shape|size"):
        tiny_trainer().step(replace(batch, images=batch.images[:, :2]))


def test_the_moving_average_is_that_of_its_definition():
    trainer = tiny_trainer(ema_decay=0.5)
    expected = trainer.model.text_projection.detach().clone()
    for step in range(1, 4):
        trainer.step(tiny_batch(seed=step))
        d = min(0.5, step / (step + 9))
        expected = d * expected + (1 - d) * trainer.model.text_projection.detach()
    torch.testing.assert_close(trainer.weights()["text_projection"], expected)


def test_what_is_evaluated_is_what_would_be_published_and_training_goes_on_as_it_was():
    trainer, other = (tiny_trainer(ema_decay=0.5) for _ in range(2))
    for step in range(2):
        trainer.step(tiny_batch(seed=step))
        other.step(tiny_batch(seed=step))
    last, average = trainer.state()["model"], trainer.weights()
    assert not torch.equal(last["text_projection"], average["text_projection"])
    with pytest.raises(KeyError), trainer.published() as model:
        assert_same_weights(dict(model.state_dict()), average)
        raise KeyError
    assert_same_weights(trainer.state()["model"], last)
    assert_same_weights(trainer.weights(), average)
    assert trainer.step(tiny_batch(seed=2)) == other.step(tiny_batch(seed=2))
    with tiny_trainer().published() as model:
        assert_same_weights(dict(model.state_dict()), tiny_trainer().weights())


def test_schedules_go_up_stay_and_go_down():
    for schedule in ("cosine", "wsd"):
        config = TrainConfig(steps=50, warmup_steps=5, learning_rate=2.0, schedule=schedule)
        rates = [learning_rate(step, config) for step in range(50)]
        assert rates[4] == max(rates) == 2.0 and 0 < rates[-1] < 0.21
        assert rates[:5] == sorted(rates[:5]) and rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[4:40] == [2.0] * 36  # wsd: a fifth of 50 steps goes down
    no_warmup = TrainConfig(steps=1, warmup_steps=0, learning_rate=2.0)
    assert learning_rate(0, no_warmup) == 2.0


def test_the_cosine_is_open_clips_to_the_last_step():
    from open_clip_train.scheduler import cosine_lr

    config = TrainConfig(steps=50, warmup_steps=5, learning_rate=2.0)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = cosine_lr(optimizer, 2.0, 5, 50)
    for step in range(50):
        assert learning_rate(step, config) == pytest.approx(float(theirs(step)), rel=1e-12)


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_an_evaluation_compiles_nothing():
    from torch._dynamo.utils import counters

    trainer = tiny_trainer()
    for block in trainer.model.blocks():
        block.compile(backend="eager", dynamic=False)
    trainer.step(tiny_batch())
    compiled = counters["frames"]["ok"]
    assert compiled > 0
    with trainer.published() as model, torch.no_grad():
        for num in (1, 2, 3):
            model.encode_image(torch.zeros(num, 3, 16, 16))
            model.encode_text(torch.full((num, num + 3), EOS))
    assert counters["frames"]["ok"] == compiled
    trainer.step(tiny_batch(length=12))
    assert counters["frames"]["ok"] > compiled


@pytest.mark.parametrize("seed", [1 << 24, (1 << 62) + 5])
def test_patches_are_drawn_with_any_seed(seed):
    found = [gradients(tiny_trainer(patch_dropout=0.5, seed=s), tiny_batch()) for s in (seed, seed)]
    assert_same_weights(*found)
    with pytest.raises(UsageError, match=r"seed is 9223372036854775808; expected below 2\^63"):
        TrainConfig(steps=1, seed=1 << 63)


def test_flops_are_those_of_the_reference():
    # REFERENCE: B/32 44.3 G, B/16 123.3 G, L/14 526 G; at ~32 of 77 tokens 1.31 and 1.09 × fewer.
    shapes = {name: load_model_config(f"vit-{name}") for name in ("b-32", "b-16", "l-14")}
    full = {name: flops_per_pair(shape) for name, shape in shapes.items()}
    assert full["b-32"] == pytest.approx(44.3e9, rel=0.002)
    assert full["b-16"] == pytest.approx(123.3e9, rel=0.002)
    assert full["l-14"] == pytest.approx(526e9, rel=0.002)
    assert full["b-32"] / flops_per_pair(shapes["b-32"], 32) == pytest.approx(1.31, abs=0.01)
    assert full["b-16"] / flops_per_pair(shapes["b-16"], 32) == pytest.approx(1.09, abs=0.01)


def test_siglip_learns_a_bias_and_a_scale():
    trainer = tiny_trainer(loss="siglip", steps=40)
    losses = [trainer.step(tiny_batch()).loss for _ in range(40)]
    assert losses[-1] < losses[0] / 2
    assert trainer.model.logit_bias.item() != -10.0


def test_the_share_of_each_kind_of_waiting_adds_up():
    trainer = tiny_trainer()
    trainer.step(tiny_batch())
    with trainer.timer.loading():
        F.softmax(torch.zeros(10), dim=0)
    shares = trainer.timer.shares()
    assert set(shares) == {"data", "copy", "communication", "compute"}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-3)
    assert shares["compute"] > 0.5


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("steps", 0, "steps is 0; expected at least 1"),
        ("schedule", "linear", "schedule is 'linear'; expected cosine or wsd"),
        ("loss", "mse", "loss is 'mse'; expected clip or siglip"),
        ("precision", "int8", "expected auto or float32"),
        ("ema_decay", 1.0, "ema_decay is 1.0; expected between 0 and 1"),
        ("patch_dropout", 1.0, "patch_dropout is 1.0"),
        ("decay_share", 0.0, "decay_share is 0.0"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(field, value, message):
    with pytest.raises(UsageError, match=message):
        TrainConfig(**{field: value})


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(UsageError, match="8, which 3 processes cannot share equally"):
        tiny_trainer(world=World(0, 3))
    with pytest.raises(UsageError, match="sharding is 'zero'"):
        StepOptions(sharding="zero")
