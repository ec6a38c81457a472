"""A model and batches small enough for a step in milliseconds, and ways to compare trainers."""

import numpy as np
import torch

from curate.training.data.loader import Batch, Position
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.trainer import Trainer
from curate.training.model.config import ModelConfig

TINY = ModelConfig(
    embed_dim=16, image_size=16, patch_size=8, vision_width=16, vision_layers=2,
    vision_head_width=8, text_width=16, text_layers=1, text_heads=2, context_length=16,
    vocab_size=301,
)  # fmt: skip
EOS = 2


def tiny_batch(num=8, seed=0, rows=slice(None), length=4):
    """A batch whose pairs are those of the whole batch in the given rows."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((num, TINY.context_length), np.int64)
    tokens[:, 0] = 1
    tokens[:, 1:length] = rng.integers(3, 301, (num, length - 1))
    tokens[:, length] = EOS
    images = rng.integers(0, 256, (num, 3, 16, 16), dtype=np.uint8)
    ids = [f"{seed}-{i}" for i in range(num)]
    return Batch(images[rows], tokens[rows], ids[rows], Position(), {})


def tiny_trainer(*, world=None, options=None, **config):
    values = {"steps": 10, "batch_size": 8, "warmup_steps": 2, "learning_rate": 1e-3, **config}
    return Trainer(
        TINY, TrainConfig(**values), EOS, options=StepOptions(**(options or {})), world=world
    )


def assert_same_weights(a, b, *, exact=True, rtol=1e-4, atol=1e-6):
    assert a.keys() == b.keys()
    for name in a:
        if exact:
            assert torch.equal(a[name], b[name]), name
        else:
            for x, y in zip(_decided(name, a[name]), _decided(name, b[name]), strict=True):
                torch.testing.assert_close(x, y, rtol=rtol, atol=atol, msg=name)


def _decided(name, tensor):
    """Return the parts of a weight that the loss decides.

    A bias of the keys adds the same to all scores of a query, which softmax takes away: its
    gradient is nothing but rounding, of which Adam makes whole steps.
    """
    if not name.endswith("in_proj_bias"):
        return [tensor]
    query, _, value = tensor.chunk(3)
    return [query, value]
