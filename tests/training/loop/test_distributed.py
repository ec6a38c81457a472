import itertools

import pytest
import torch
import torch.nn.functional as F

from curate.errors import UsageError
from curate.training.data.pixels import normalize_images
from curate.training.loop.checkpoint import joined
from curate.training.loop.distributed import (
    gather_objects,
    gather_rows,
    joined_world,
    max_over_ranks,
    scatter_sum_rows,
    sum_over_ranks,
)
from curate.training.loop.loss import clip_loss, info_nce, siglip_loss
from tests.training.ranks import run_on_ranks
from tests.training.tiny_trainer import assert_same_weights, tiny_batch, tiny_trainer

RANKS = 2
# The vocabulary of 301 rows cannot be shared equally by two: FSDP pads.
SETUPS = {
    "ddp": ({}, {}),
    "ddp in parts": ({"loss": "siglip", "max_grad_norm": 1.0}, {"accumulate": 2}),
    "fsdp": ({"ema_decay": 0.9, "max_grad_norm": 1.0}, {"sharding": "fsdp"}),
    "fsdp in parts": (
        {"loss": "siglip"},
        {"sharding": "fsdp", "accumulate": 2, "grad_checkpointing": True},
    ),
}
RESUMED = ("ddp in parts", "fsdp")
STEPS = 4


def rows_of(world, num=8):
    share = num // world.size
    return slice(world.rank * share, (world.rank + 1) * share)


def train(world, config, options, state=None, first=0, stop=STEPS):
    trainer = tiny_trainer(world=world, options=options, **config)
    if state is not None:
        trainer.load_state(state)
    metrics = [trainer.step(tiny_batch(seed=i, rows=rows_of(world))) for i in range(first, stop)]
    return {"metrics": metrics, "state": trainer.state(), "weights": trainer.weights(),
            "shares": trainer.timer.shares()}  # fmt: skip


def bad_step(world):
    """A step in which one rank alone has a number that is not finite."""
    trainer = tiny_trainer(world=world)
    before = trainer.state()
    if world.rank == 1:
        trainer.model.visual.proj.data[0, 0] = float("nan")
    found = trainer.step(tiny_batch(rows=rows_of(world)))
    return found.skipped, before["model"], trainer.state()["model"]


def published(world):
    """Train with an average of the weights that is looked at between the steps."""
    config, options = SETUPS["fsdp"]
    trainer = tiny_trainer(world=world, options=options, **config)
    seen = []
    for i in range(STEPS):
        trainer.step(tiny_batch(seed=i, rows=rows_of(world)))
        with trainer.published() as model, torch.no_grad():
            images, tokens = tiny_batch().images, torch.from_numpy(tiny_batch().tokens)
            seen += [model.encode_image(normalize_images(torch.from_numpy(images))).clone(),
                     model.encode_text(tokens).clone()]  # fmt: skip
    return seen, trainer.state()["model"]


def float16(world):
    """Train in float16; in the last step the gradient overflows in one rank's shard alone."""
    trainer = tiny_trainer(world=world, options={"sharding": "fsdp"}, precision="float16")
    trainer._scaler._init_scale = 16.0
    metrics = [trainer.step(tiny_batch(seed=i, rows=rows_of(world))) for i in range(STEPS)]
    before = trainer.state()

    def overflow(parameter):
        if world.rank == 1:
            parameter.grad.to_local()[0, 0] = float("inf")

    trainer.model.visual.proj.register_post_accumulate_grad_hook(overflow)
    last = trainer.step(tiny_batch(rows=rows_of(world)))
    return {"metrics": metrics, "before": before, "last": last, "after": trainer.state()}


def features(num=8):
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(num, 6, generator=generator, dtype=torch.float64) for _ in range(2)]
    return [F.normalize(x, dim=-1) for x in draw]


def loss_of_ranks(world, loss):
    """Loss and gradients as the mean over ranks makes them."""
    image, text = (x[rows_of(world)].clone().requires_grad_() for x in features())
    scalars = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (12.0, -5.0)]
    more = scalars if loss is siglip_loss else scalars[:1]
    value = loss(image, text, *more, chunk=3, world=world)
    value.backward()
    own = [x.grad / world.size for x in (image, text)]
    return (
        value.item(),
        [gather_rows(x, world) for x in own],
        [sum_over_ranks(x.grad, world) / world.size for x in more],
    )


def collectives(world):
    rows = torch.arange(4.0).reshape(2, 2) + 10 * world.rank
    return {
        "gathered": gather_rows(rows, world),
        "scattered": scatter_sum_rows(torch.ones(4, 1) * (world.rank + 1), world),
        "sum": sum_over_ranks(torch.tensor([1.0, world.rank]), world),
        "max": max_over_ranks([1.0 * world.rank, -1.0 * world.rank], world),
        "objects": gather_objects({"rank": world.rank}, world),
    }


def everything(world, states):
    """All that needs two processes, in one start of them."""
    return {
        "collectives": collectives(world),
        "clip": loss_of_ranks(world, clip_loss),
        "siglip": loss_of_ranks(world, siglip_loss),
        "bad": bad_step(world),
        "float16": float16(world),
        "published": published(world),
        "train": {name: train(world, *setup) for name, setup in SETUPS.items()},
        "resumed": {name: train(world, *SETUPS[name], states[name], first=2) for name in RESUMED},
    }


def alone(name, state=None, first=0, stop=STEPS):
    config, options = SETUPS[name]
    with joined_world("cpu") as world:
        return train(world, config, {**options, "sharding": "ddp"}, state, first, stop)


@pytest.fixture(scope="module")
def one():
    return {name: alone(name) for name in SETUPS}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    states = {name: alone(name, stop=2)["state"] for name in RESUMED}
    return run_on_ranks(everything, RANKS, tmp_path_factory.mktemp("ranks"), states)


def whole_state(two, *names):
    """Return the state that two ranks have written together."""
    parts = [rank[names[0]] for rank in two]
    for name in names[1:]:
        parts = [part[name] for part in parts]
    return joined(parts if parts[0]["parts"] > 1 else parts[:1])


@pytest.mark.slow
def test_collectives_do_what_their_names_say(two):
    for rank, found in enumerate(r["collectives"] for r in two):
        assert found["gathered"].tolist() == [[0, 1], [2, 3], [10, 11], [12, 13]]
        assert found["scattered"].tolist() == [[3.0], [3.0]]
        assert found["sum"].tolist() == [2.0, 1.0]
        assert found["max"] == [1.0, 0.0]
        assert found["objects"] == [{"rank": 0}, {"rank": 1}]
        assert rank in (0, 1)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_loss_of_two_ranks_is_that_of_one_process(two, name):
    image, text = (x.requires_grad_() for x in features())
    scalars = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (12.0, -5.0)]
    more = scalars if name == "siglip" else scalars[:1]
    expected = siglip_loss(image, text, *more) if name == "siglip" else info_nce(image, text, *more)
    expected.backward()
    for rank in two:
        loss, rows, of_scalars = rank[name]
        assert loss == pytest.approx(expected.item(), rel=1e-12)
        for a, b in zip(rows, (image, text), strict=True):
            torch.testing.assert_close(a, b.grad, rtol=1e-10, atol=1e-13)
        for a, b in zip(of_scalars, more, strict=True):
            torch.testing.assert_close(a, b.grad, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", SETUPS)
def test_two_ranks_train_the_model_of_one_process(one, two, name):
    expected, main = one[name], two[0]["train"][name]
    for rank in two:
        for a, b in zip(rank["train"][name]["metrics"], expected["metrics"], strict=True):
            assert a.loss == pytest.approx(b.loss, rel=1e-4)
            assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-3)
        assert rank["train"][name]["metrics"] == main["metrics"]
    # Adam divides a gradient by its own size, so rounding moves a weight by a part of a step.
    model = whole_state(two, "train", name, "state")["model"]
    assert_same_weights(dict(model), expected["state"]["model"], exact=False, atol=2e-4)
    assert_same_weights(main["weights"], expected["weights"], exact=False, atol=2e-4)
    sizes = [
        sum(tensor.numel() for tensor in rank["train"][name]["state"]["model"].values())
        for rank in two
    ]
    if name.startswith("fsdp"):  # each its rows, and neither the others'
        assert sum(sizes) == sum(x.numel() for x in expected["state"]["model"].values())
        assert sizes[1] > 0.4 * sum(sizes)
    else:
        assert sizes[1] == 0, "rank 0 alone gets the state"


@pytest.mark.parametrize("name", RESUMED)
def test_two_ranks_go_on_from_the_state_of_one_and_one_from_that_of_two(one, two, name):
    resumed, expected = two[0]["resumed"][name], one[name]
    for a, b in zip(resumed["metrics"], expected["metrics"][2:], strict=True):
        assert a.step == b.step and a.loss == pytest.approx(b.loss, rel=1e-4)
    model = whole_state(two, "resumed", name, "state")["model"]
    assert_same_weights(dict(model), expected["state"]["model"], exact=False, atol=2e-4)
    together = whole_state(two, "train", name, "state")
    back = alone(name, together, first=STEPS, stop=STEPS + 1)
    straight = alone(name, one[name]["state"], first=STEPS, stop=STEPS + 1)
    assert back["metrics"][0].loss == pytest.approx(straight["metrics"][0].loss, rel=1e-3)


def test_a_number_that_is_not_finite_on_one_rank_makes_all_leave_the_step_out(two):
    for skipped, before, after in (rank["bad"] for rank in two):
        assert skipped
        assert_same_weights(before, after)


def test_float16_on_shared_out_weights_is_scaled_on_all_ranks_alike(two):
    expected = alone("ddp")["metrics"]
    for rank in (found["float16"] for found in two):
        for a, b in zip(rank["metrics"], expected, strict=True):
            assert a.loss == pytest.approx(b.loss, rel=5e-3)
            assert a.logit_scale == pytest.approx(b.logit_scale, rel=1e-4)
        assert rank["last"].grad_norm == float("inf") and not rank["last"].skipped
        assert_same_weights(rank["before"]["model"], rank["after"]["model"])
    before, after = two[0]["float16"]["before"], two[0]["float16"]["after"]
    assert before["scaler"]["scale"] == 16
    assert after["scaler"]["scale"] == 8, "an overflow on one rank halves it on all"


def test_the_average_of_shared_out_weights_is_looked_at_and_put_back(two):
    with joined_world("cpu") as world:
        expected, _ = published(world)
    for rank in two:
        seen, model = rank["published"]
        assert_same_weights(model, rank["train"]["fsdp"]["state"]["model"])
        for a, b in zip(seen, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=2e-3)
    assert not torch.allclose(expected[0], expected[-2], atol=1e-2), "it moves"


def test_time_for_communication_is_seen(two):
    for rank, name in itertools.product(two, SETUPS):
        assert 0 < rank["train"][name]["shares"]["communication"] < 1


def test_a_device_that_is_not_there_is_refused():
    for device, message in (("nonsense", "expected cpu, cuda"), ("cuda:0", "no GPU here")):
        if device.startswith("cuda") and torch.cuda.is_available():
            continue
        with pytest.raises(UsageError, match=message), joined_world(device):
            pass
