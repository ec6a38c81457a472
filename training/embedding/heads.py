"""A head in, scores of vectors out: a linear layer, or a few, on embeddings of a certain model.

Layouts, as safetensors or as what `torch.save` writes of a state dict:

- ``weight`` (1, E) and ``bias`` (1,), which may be missing: one linear layer. So are ours, and
  LAION's first aesthetic predictors;
- ``layers.N.weight`` and ``layers.N.bias``: several. Where N goes up by three there is a ReLU
  between, as in LAION's detector of NSFW for ViT-H/14 (linear, ReLU, dropout); where it goes up by
  less there is none, as in its second aesthetic predictor (linear, dropout).
"""

import re
from hashlib import sha256
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from curate.errors import InputError
from curate.training.model.weights_file import read_tensors

__all__ = ["Head", "read_head"]

_LAYER = re.compile(r"(?:.*\.)?(\d+)\.weight")
_WITH_RELU = 3


class Head:
    """Layers that give a score to each vector.

    Attributes:
        width: of the vectors.
        sha256: of its layers.
    """

    def __init__(self, layers: list[tuple[NDArray[np.float64], NDArray[np.float64], bool]]) -> None:
        self._layers = layers
        self.width = layers[0][0].shape[1]
        digest = sha256()
        for weight, bias, has_relu in layers:
            digest.update(repr((weight.shape, has_relu)).encode())
            digest.update(weight.tobytes() + bias.tobytes())
        self.sha256 = digest.hexdigest()

    def scores(self, vectors: NDArray[np.float16]) -> NDArray[np.float64]:
        """Return a score for each vector of unit length; shape (N,)."""
        found = vectors.astype(np.float64)
        for weight, bias, has_relu in self._layers:
            # Element by element in one order, however many threads a product would take.
            found = np.einsum("ne,de->nd", found, weight) + bias
            if has_relu:
                found = np.maximum(found, 0.0)
        return found[:, 0]


def read_head(path: str) -> Head:
    """Read a head.

    Raises:
        InputError: it cannot be read, is of another layout, or gives more than one score.
    """
    tensors = {name: tensor.double().numpy() for name, tensor in read_tensors(path).items()}
    known = sorted((int(m[1]), name) for name in tensors if (m := _LAYER.fullmatch(name)))
    if "weight" in tensors:
        known = [(0, "weight")]
    numbers = [number for number, _ in known]
    names = [name.removesuffix("weight") for _, name in known]
    if not names:
        raise InputError(
            f"{path}: no head; expected weight and bias, or layers.N.weight and layers.N.bias; it "
            f"has {', '.join(sorted(tensors)[:6])}"
        )
    used = {f"{name}{kind}" for name in names for kind in ("weight", "bias")}
    if len(set(numbers)) < len(numbers) or set(tensors) - used:
        raise InputError(
            f"{path}: holds more than one head, or other things too: "
            f"{', '.join(sorted(tensors)[:6])}; expected weight and bias, or layers.N.weight and "
            "layers.N.bias, and nothing else"
        )
    relus = [*(after - before >= _WITH_RELU for before, after in pairwise(numbers)), False]
    layers: list[tuple[NDArray[np.float64], NDArray[np.float64], bool]] = []
    for name, has_relu in zip(names, relus, strict=True):
        weight = np.atleast_2d(tensors[f"{name}weight"])
        bias = np.atleast_1d(tensors.get(f"{name}bias", np.zeros(len(weight))))
        if weight.ndim != 2 or bias.shape != (len(weight),):
            raise InputError(f"{path}: {name}weight is of shape {weight.shape}, its bias of "
                             f"{bias.shape}; expected (D, E) and (D,)")  # fmt: skip
        if layers and layers[-1][0].shape[0] != weight.shape[1]:
            raise InputError(f"{path}: {name}weight takes {weight.shape[1]} values, the layer "
                             f"before gives {layers[-1][0].shape[0]}")  # fmt: skip
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError(f"{path}: a value of {name}weight or its bias is not finite")
        layers.append((weight, bias, has_relu))
    if len(layers[-1][0]) != 1:
        raise InputError(f"{path}: it gives {len(layers[-1][0])} values; expected one score")
    return Head(layers)
