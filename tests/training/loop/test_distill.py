"""A student that learns from a teacher as well: the loss, its gradients, and what travels along."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from curate.errors import UsageError
from curate.training.loop.config import DistillConfig, StepOptions, TrainConfig
from curate.training.loop.loss import Teaching, clip_loss, info_nce
from curate.training.loop.trainer import Trainer
from curate.training.model.clip import CLIP
from tests.training.ranks import run_on_ranks
from tests.training.their_programs import import_open_clip
from tests.training.tiny_trainer import EOS, TINY, assert_same_weights, tiny_batch

TEACHER = replace(TINY, embed_dim=24, image_size=24, vision_width=24, text_width=24)


def unit(num, width, seed):
    rows = torch.randn(num, width, generator=torch.Generator().manual_seed(seed))
    return F.normalize(rows, dim=-1)


def naive(image, text, scale, theirs, weights):
    """The loss in plain words: softmax of the batch, both ways."""
    own = scale * image @ text.T
    their = theirs.scale * theirs.image_LD @ theirs.text_LD.T
    divergence = [
        (p.softmax(1) * (p.log_softmax(1) - q.log_softmax(1))).sum(1).mean()
        for p, q in ((their, own), (their.T, own.T))
    ]
    plain, related = weights
    return plain * info_nce(image, text, scale) + related * sum(divergence) / 2


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0, 1.0), (0.3, 2.5), (1.0, 0.0)])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_loss_in_chunks_is_the_plain_one(weights, chunk):
    theirs = Teaching(unit(7, 5, 0), unit(7, 5, 1), torch.tensor(9.0), *weights)
    found = []
    for loss in (
        lambda *leaves: clip_loss(*leaves, chunk=chunk, teaching=theirs),
        lambda *leaves: naive(*leaves, theirs, weights),
    ):
        leaves = [unit(7, 4, 2), unit(7, 4, 3), torch.tensor(12.0)]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        value = loss(*leaves)
        value.backward()
        found.append((value.detach(), *(leaf.grad for leaf in leaves)))
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


def test_gradients_are_those_of_open_clips_distillation():
    import_open_clip()
    from open_clip.loss import DistillClipLoss

    theirs = Teaching(unit(8, 6, 0), unit(8, 6, 1), torch.tensor(50.0), 1.0, 1.0)
    ours = [x.requires_grad_() for x in (unit(8, 4, 2), unit(8, 4, 3), torch.tensor(20.0))]
    same = [x.detach().clone().requires_grad_() for x in ours]
    clip_loss(*ours, teaching=theirs).backward()
    # Theirs is a cross-entropy: it differs by the teacher's entropy, which has no gradient.
    sum(DistillClipLoss()(*same, theirs.image_LD, theirs.text_LD, theirs.scale)).backward()
    for a, b in zip(ours, same, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-6, rtol=1e-4)


def test_a_student_like_its_teacher_has_nothing_to_learn_from_it():
    image, text, scale = unit(6, 4, 0), unit(6, 4, 1), torch.tensor(7.0)
    theirs = Teaching(image, text, scale, 0.0, 1.0)
    leaves = [x.clone().requires_grad_() for x in (image, text, scale)]
    loss = clip_loss(*leaves, teaching=theirs)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert all(leaf.grad.abs().max() < 1e-6 for leaf in leaves)


def teacher(config=TEACHER, seed=5):
    torch.manual_seed(seed)
    return CLIP(config, EOS).eval()


def trainer(*, shape=TINY, options=None, world=None, taught_by=None, distill=None, **config):
    values = {"steps": 10, "batch_size": 8, "warmup_steps": 2, "learning_rate": 3e-3, **config}
    return Trainer(
        shape, TrainConfig(**values, distill=distill or DistillConfig(teacher_scale=20.0)), EOS,
        options=StepOptions(**(options or {})), world=world,
        teacher=teacher() if taught_by is None else taught_by,
    )  # fmt: skip


def test_a_student_comes_to_see_pairs_as_its_teacher_does():
    taught = trainer(distill=DistillConfig(contrastive_weight=0.0, teacher_scale=20.0), steps=60)
    before = {k: v.clone() for k, v in taught.distiller.teacher.state_dict().items()}
    losses = [taught.step(tiny_batch(seed=step % 3)).loss for step in range(60)]
    assert losses[-1] < losses[0] / 2
    assert_same_weights(taught.distiller.teacher.state_dict(), before)
    assert "projection" in taught.state() and not taught.state()["projection"]


@pytest.mark.parametrize("features", [0.0, 1.5])
def test_parts_of_a_batch_and_a_run_that_goes_on_give_the_same(features):
    distill = DistillConfig(feature_weight=features, teacher_scale=20.0)
    whole, parts = trainer(distill=distill), trainer(distill=distill, options={"accumulate": 4})
    for step in range(3):
        a, b = whole.step(tiny_batch(seed=step)), parts.step(tiny_batch(seed=step))
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
    assert_same_weights(
        whole.model.state_dict(), parts.model.state_dict(), exact=False, rtol=1e-2, atol=1e-3
    )
    again = trainer(distill=distill)
    again.load_state(whole.state())
    assert again.step(tiny_batch(seed=3)) == whole.step(tiny_batch(seed=3))
    assert_same_weights(again.model.state_dict(), whole.model.state_dict())
    if features:
        for a, b in zip(again.distiller.projection.parameters(),
                        whole.distiller.projection.parameters(), strict=True):  # fmt: skip
            assert a.shape == (24, 16) and torch.equal(a, b)


def test_features_of_the_same_width_need_no_projection():
    same = teacher(replace(TEACHER, embed_dim=16))
    found = trainer(taught_by=same, distill=DistillConfig(feature_weight=1.0))
    assert found.distiller.projection is None
    assert math.isfinite(found.step(tiny_batch()).loss)


def test_a_teacher_of_another_resolution_and_tokenizer_sees_its_own():
    seen = {}
    mine = trainer()
    forward = mine.distiller.teacher.forward

    def remember(images, tokens):
        seen.update(images=images, tokens=tokens)
        return forward(images, tokens)

    mine.distiller.teacher.forward = remember
    theirs = np.zeros((8, 9), np.int64)
    theirs[np.arange(8), [1, 2, 3, 4, 5, 6, 2, 1]] = EOS
    mine.step(replace(tiny_batch(), more_tokens=(theirs,)))
    assert seen["images"].shape == (8, 3, 24, 24)
    # Without the padding that all texts have, whatever the student's are cut to.
    assert seen["tokens"].tolist() == theirs[:, :7].tolist()
    mine.step(tiny_batch())
    assert seen["tokens"].shape == (8, 5)
    assert mine.distiller.teacher.by_length


def test_weights_that_mean_nothing_are_refused():
    with pytest.raises(UsageError, match="the sum of all weights is 0"):
        DistillConfig(contrastive_weight=0, relation_weight=0)
    with pytest.raises(UsageError, match="relation_weight is -1"):
        DistillConfig(relation_weight=-1)
    with pytest.raises(UsageError, match="teacher_scale is 0; expected above 0"):
        DistillConfig(teacher_scale=0)
    with pytest.raises(UsageError, match="--teacher with --loss siglip"):
        trainer(loss="siglip")
    assert "distill" not in TrainConfig(steps=1).decisive()
    assert (
        TrainConfig(steps=1, distill=DistillConfig()).decisive()["distill"]["teacher_scale"] == 200
    )


def steps_of_ranks(world, features):
    distill = DistillConfig(feature_weight=features, teacher_scale=20.0)
    mine = trainer(world=world, distill=distill)
    rows = slice(world.rank * 4, world.rank * 4 + 4)
    losses = [mine.step(tiny_batch(seed=step, rows=rows)).loss for step in range(3)]
    return losses, mine.model.state_dict()


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    whole = trainer(distill=DistillConfig(feature_weight=0.7, teacher_scale=20.0))
    losses = [whole.step(tiny_batch(seed=step)).loss for step in range(3)]
    found = run_on_ranks(steps_of_ranks, 2, tmp_path, 0.7)
    assert found[0][0] == found[1][0] == pytest.approx(losses, rel=1e-4)
    assert_same_weights(found[0][1], found[1][1])
    assert_same_weights(found[0][1], whole.model.state_dict(), exact=False, rtol=1e-2, atol=1e-3)
