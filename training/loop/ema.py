"""A moving average of the weights: often better than the last ones, at the price of a copy."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["MovingAverage"]


class MovingAverage:
    """Averages parameters: ``average ← d · average + (1 - d) · parameter`` after each step.

    The n-th update takes d = min(decay, n / (n + 9)), so that a short run is not an average with
    the random weights it began from.

    Args:
        parameters: by name; as they are now is where the average begins.
        decay: d, in (0, 1).

    Source: Polyak & Juditsky 1992; the rise of d as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self._parameters = dict(parameters)
        self.averages: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after step `step`, counted from 1."""
        share = 1 - min(self.decay, step / (step + 9))
        for name, parameter in self._parameters.items():
            self.averages[name].lerp_(parameter.detach(), share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this, the parameters hold the averages; memory for one more tensor is needed."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, parameter in self._parameters.items():
            held = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(held)
