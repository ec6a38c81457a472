"""A captioner and its optimizer: one step at a time, for the loop that trains CLIP models too.

Shapes: L pairs of this rank in a step, T tokens, F width of the image's feature.
"""

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from curate.errors import ArtifactError
from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.model import CaptionModel
from curate.training.captioner.sequences import NONE, trimmed
from curate.training.data.loader import Batch
from curate.training.data.pixels import normalize_images
from curate.training.loop.checkpoint import (
    full_tensors,
    load_optimizer,
    load_tensors,
    optimizer_tensors,
    own_tensors,
)
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.loop.distributed import World, sum_over_ranks
from curate.training.loop.memory import explain_out_of_memory
from curate.training.loop.optimizer import clip_gradients, make_optimizer
from curate.training.loop.schedule import learning_rate
from curate.training.loop.timing import StepTimer
from curate.training.loop.trainer import StepMetrics, resolve_precision
from curate.training.model.clip import CLIP
from curate.training.model.weights_file import FORMAT_VERSION

__all__ = ["CaptionTrainer"]

_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class CaptionTrainer:
    """Trains mapper and language model; the image model stays as it is.

    Args:
        image_model: gives features; its weights do not change.
        model: on the CPU.
        shape: of the captioner.
        config: how to train it.
        options: parts of a batch.
        world: the ranks that train together.

    Attributes:
        model: mapper and language model.
        step_number: steps done.
        image_size: pixels of both sides that the image model sees.
        timer: where the time went.
    """

    def __init__(
        self, image_model: CLIP, model: CaptionModel, shape: CaptionerConfig,
        config: TrainConfig, *, options: StepOptions | None = None, world: World | None = None,
    ) -> None:  # fmt: skip
        self.config, self.shape, self.options = config, shape, options or StepOptions()
        self.world = world or World()
        self.device = self.world.device
        self.world.share(config.batch_size, "the batch size")
        self.timer = StepTimer(self.device)
        self._dtype = _DTYPES[resolve_precision(config.precision, self.device)]
        self._image_model = image_model.to(self.device).eval().requires_grad_(False)
        self.model = model.to(self.device).train()
        if self.options.grad_checkpointing:
            model.language_model.gradient_checkpointing_enable()
        self._call: Any = self.model
        if self.world.size > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            self._call = DistributedDataParallel(self.model, device_ids=ids)
        self.optimizer = make_optimizer(self.model, config)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._dtype is torch.float16)
        self.step_number = 0
        self.image_size = image_model.config.image_size

    def step(self, batch: Batch) -> StepMetrics:
        """Train on one batch: this rank's share of it.

        A step whose loss or gradient is not finite changes no weight, on any rank.

        Raises:
            CurateError: memory ran out; the message says which options need less.
        """
        rate = learning_rate(self.step_number, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with explain_out_of_memory(self.options, self.config, self.world.size):
            self.optimizer.zero_grad(set_to_none=True)
            loss, num_tokens = self._backward(batch)
            value, norm = self._update(loss)
        self.step_number += 1
        is_bad = not math.isfinite(value) or not (math.isfinite(norm) or self._scaler.is_enabled())
        return StepMetrics(self.step_number, value, rate, math.nan, norm, num_tokens, is_bad)

    def _backward(self, batch: Batch) -> tuple[Tensor, int]:
        """Add the gradients to those of the parameters; return the loss and the tokens of a row."""
        bucket = self.options.text_bucket
        rows, num_prompt = trimmed(batch.tokens, self.shape.prompt_tokens, bucket)
        num = int((rows[:, num_prompt:] != NONE).sum())
        total = sum_over_ranks(torch.tensor(float(num), device=self.device), self.world)
        token_LT = torch.as_tensor(np.ascontiguousarray(rows)).to(self.device)
        images = torch.as_tensor(batch.images).to(self.device)
        parts = self.options.accumulate
        loss = torch.zeros((), device=self.device)
        for i, (image, token) in enumerate(
            zip(images.chunk(parts), token_LT.chunk(parts), strict=True)
        ):
            is_last = i == min(parts, len(images)) - 1
            synced = nullcontext() if is_last or self.world.size == 1 else self._call.no_sync()
            with synced:
                loss = loss + self._part(image, token, num_prompt, total, i)
        self.timer.end_backward()
        # What ranks have is a share of the whole loss.
        return sum_over_ranks(loss, self.world), int(rows.shape[1]) + self.shape.prefix_tokens

    def _part(
        self, image_B3HW: Tensor, token_BT: Tensor, num_prompt: int, total: Tensor, part: int
    ) -> Tensor:
        # Dropout draws by step and place, so that a run that goes on draws what it would have.
        place = (self.step_number * self.world.size + self.world.rank) * self.options.accumulate
        torch.manual_seed((self.config.seed << 40) + place + part)
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not None):
            feature_BF = self.features(image_B3HW)
            loss: Tensor = self._call(feature_BF, token_BT, num_prompt, total)
        # Gradients of ranks are averaged, and this is a share of a sum.
        self._scaler.scale(loss * self.world.size).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    @torch.no_grad()
    def features(self, image_B3HW: Tensor) -> Tensor:
        """Return the image model's features of uint8 images, of unit length."""
        feature_BF = self._image_model.encode_image(normalize_images(image_B3HW))
        return F.normalize(feature_BF.float(), dim=-1)

    def _update(self, loss: Tensor) -> tuple[float, float]:
        """Take the optimizer's step if all is finite; return loss and gradient norm."""
        self._scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.model.parameters(), self.config.max_grad_norm)
        value, length = torch.stack([loss.float(), norm.float()]).tolist()
        if math.isfinite(value) and math.isfinite(length):
            self._scaler.step(self.optimizer)
        self._scaler.update()
        return value, length

    def state(self) -> dict[str, Any]:
        """Return all that decides how training goes on, on rank 0; no captioner is shared out."""
        is_main = self.world.is_main
        return {
            "format": FORMAT_VERSION,
            "step": self.step_number,
            "model": own_tensors(self.model.state_dict().items(), is_main=is_main),
            "optimizer": optimizer_tensors(self.model, self.optimizer, is_main=is_main),
            "scaler": self._scaler.state_dict(),
        }

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to publish; every rank has to call this, and rank 0 gets them."""
        return full_tensors(self.model.state_dict().items(), keep=self.world.is_main)

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state; every rank has to be given the same.

        Raises:
            ArtifactError: it is of another model.
        """
        try:
            load_tensors(self.model.state_dict().items(), state["model"], "weights")
            load_optimizer(self.model, self.optimizer, state["optimizer"])
            self._scaler.load_state_dict(state["scaler"])
            self.step_number = state["step"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise ArtifactError(f"the checkpoint is of another model: {error}") from error
