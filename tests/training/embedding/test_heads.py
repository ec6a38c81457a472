"""Heads: one linear layer, and LAION's layouts, each as torch computes it."""

import numpy as np
import pytest
import torch
from torch import nn

from curate.errors import InputError
from curate.training.embedding.heads import read_head

VECTORS = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float16)


class Stack(nn.Module):
    """Layers by number, as LAION's predictors have them."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


HEADS = {
    "one layer": nn.Linear(8, 1),
    "without bias": nn.Linear(8, 1, bias=False),
    "linear, dropout": Stack(nn.Linear(8, 6), nn.Dropout(), nn.Linear(6, 4), nn.Dropout(),
                             nn.Linear(4, 3), nn.Linear(3, 1)),
    "linear, relu, dropout": Stack(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_a_head_scores_as_torch_does(tmp_path, name):
    module = HEADS[name].eval()
    torch.save(module.state_dict(), tmp_path / "head.pth")
    head = read_head(str(tmp_path / "head.pth"))
    with torch.no_grad():
        expected = module(torch.from_numpy(VECTORS.astype(np.float32)))[:, 0]
    np.testing.assert_allclose(head.scores(VECTORS), expected, rtol=1e-4, atol=1e-5)
    assert head.width == 8 and head.sha256 == read_head(str(tmp_path / "head.pth")).sha256


@pytest.mark.parametrize("tensors, message", [
    ({"conv": torch.ones(2)}, "no head; expected weight and bias"),
    ({"weight": torch.ones(2, 8), "bias": torch.ones(2)}, "it gives 2 values"),
    ({"weight": torch.ones(1, 8), "bias": torch.ones(3)}, "its bias of"),
    ({"weight": torch.full((1, 8), float("nan"))}, "is not finite"),
    ({"layers.0.weight": torch.ones(4, 8), "layers.2.weight": torch.ones(1, 5)},
     "takes 5 values, the layer before gives 4"),
    ({"a.0.weight": torch.ones(1, 8), "b.0.weight": torch.ones(1, 8)}, "more than one head"),
    ({"weight": torch.ones(1, 8), "scale": torch.ones(1)}, "or other things too: scale, weight"),
])  # fmt: skip
def test_what_is_no_head_is_refused(tmp_path, tensors, message):
    torch.save(tensors, tmp_path / "head.pth")
    with pytest.raises(InputError, match=message):
        read_head(str(tmp_path / "head.pth"))
