"""From a batch to the gradients of all parameters, in one part or in several.

Shapes: L pairs of this rank in a step, T tokens, E shared width.
"""

from typing import Any

import torch
import xxhash
from torch import Tensor

from curate.training.data.pixels import normalize_images
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.distill import Distiller, Features
from curate.training.loop.distributed import World, sum_over_ranks
from curate.training.loop.loss import clip_loss, siglip_loss
from curate.training.loop.parallel import Parallel
from curate.training.loop.timing import StepTimer

__all__ = ["Backward"]


class Backward:
    """Computes the loss of a batch and the gradients of a model.

    Args:
        forward: calls the model.
        config: loss, patch dropout and seed.
        options: parts and chunks.
        dtype: of activations; None for float32.
        world: the ranks that train together.
        timer: told when only communication is left.
        scaler: multiplies the loss, for float16.
        distiller: of a teacher; None without one.
    """

    def __init__(
        self,
        forward: Parallel,
        *,
        config: TrainConfig,
        options: StepOptions,
        dtype: torch.dtype | None,
        world: World,
        timer: StepTimer,
        scaler: torch.amp.GradScaler,
        distiller: Distiller | None = None,
    ) -> None:
        self._distiller = distiller
        self._forward = forward
        self._config, self._options = config, options
        self._dtype, self._world, self._timer, self._scaler = dtype, world, timer, scaler
        self._bias: Any = forward.model.logit_bias
        self._taught: Features | None = None
        self._value = torch.zeros(())

    def __call__(
        self, image_L3HW: Tensor, token_LT: Tensor, step: int, taught: Features | None = None
    ) -> Tensor:
        """Add the gradients to those of the parameters and return the loss.

        Args:
            image_L3HW: uint8, on the device.
            token_LT: on the device.
            step: its number, from 0.
            taught: the teacher's features of the same pairs; None without a teacher.

        Returns:
            Scalar; of the pairs of all ranks.
        """
        self._taught, self._value = taught, torch.zeros((), device=image_L3HW.device)
        parts = self._options.accumulate
        if parts == 1:
            self._whole(image_L3HW, token_LT, step)
        else:
            self._in_parts(image_L3HW.chunk(parts), token_LT.chunk(parts), step)
        self._timer.end_backward()
        with self._world.communicating():
            self._forward.finish_gradients()
        return self._value

    def _whole(self, image_L3HW: Tensor, token_LT: Tensor, step: int) -> None:
        features = self._features(image_L3HW, token_LT, (step, 0))
        loss = self._loss(*features, self._bias)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def _in_parts(self, images: tuple[Tensor, ...], tokens: tuple[Tensor, ...], step: int) -> None:
        """Compute features of all parts without a graph, the loss, then each part with a graph.

        The loss says how it changes with each feature; the second time a part is computed, that is
        taken back to the parameters. Memory is that of one part, the gradient that of the batch.

        Source: Gao et al. 2021, arXiv:2101.06983, section 3.2 (gradient cache).
        """
        parts = list(zip(images, tokens, strict=True))
        with torch.no_grad():
            found = [self._features(*pair, (step, i)) for i, pair in enumerate(parts)]
        image_LE = torch.cat([f[0] for f in found]).requires_grad_()
        text_LE = torch.cat([f[1] for f in found]).requires_grad_()
        scale = found[0][2].detach().requires_grad_()
        bias = None if self._bias is None else self._bias.detach().requires_grad_()
        loss = self._loss(image_LE, text_LE, scale, bias)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        sizes = [len(part) for part in images]
        grads = zip(*(torch.split(_grad(x), sizes) for x in (image_LE, text_LE)), strict=True)
        for i, (pair, grad) in enumerate(zip(parts, grads, strict=True)):
            is_last = i == len(parts) - 1
            with self._forward.last_part(is_last):
                outputs = [*self._features(*pair, (step, i))]
                # The loss knows one scale and one bias: their gradients go with the last part.
                slopes = [*grad, _grad(scale) if is_last else torch.zeros_like(scale)]
                if bias is not None and is_last:
                    outputs.append(self._bias)
                    slopes.append(_grad(bias))
                torch.autograd.backward(outputs, slopes)

    def _features(
        self, image_B3HW: Tensor, token_BT: Tensor, place: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self._config.patch_dropout:
            # A part draws the same patches both times, and a run that goes on draws as if it had
            # never stopped: a draw depends on where it is made, not on what came before.
            torch.manual_seed(self._draw_seed(*place))
        with torch.autocast(image_B3HW.device.type, self._dtype, enabled=self._dtype is not None):
            return self._forward(normalize_images(image_B3HW), token_BT)

    def _draw_seed(self, step: int, part: int) -> int:
        of_rank = (step * self._world.size + self._world.rank) * self._options.accumulate
        place = of_rank + part
        if self._config.seed < 1 << 24:  # there is room for both in the 64 bits that torch takes
            return (self._config.seed << 40) + place
        return xxhash.xxh3_64_intdigest(f"{self._config.seed}\t{place}".encode())

    def _loss(
        self, image_LE: Tensor, text_LE: Tensor, scale: Tensor, bias: Tensor | None
    ) -> Tensor:
        chunk, world = self._options.loss_chunk, self._world
        if bias is not None:
            loss = siglip_loss(image_LE, text_LE, scale, bias, chunk=chunk, world=world)
            self._value = loss.detach()
            return loss
        if self._distiller is None or self._taught is None:
            loss = clip_loss(image_LE, text_LE, scale, chunk=chunk, world=world)
            self._value = loss.detach()
            return loss
        teaching = self._distiller.teaching(self._taught)
        loss = clip_loss(image_LE, text_LE, scale, chunk=chunk, world=world, teaching=teaching)
        self._value = loss.detach()
        features = self._distiller.feature_loss(image_LE, text_LE, self._taught)
        if features is None:
            return loss
        # Its gradients are averaged over ranks by whoever averages those of the model.
        self._value = self._value + sum_over_ranks(features.detach(), world) / world.size
        return loss + features


def _grad(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad
