"""A model and its optimizer: one step at a time, and all that is needed to go on later."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metadata.errors import ArtifactError, CurateError
from training.config import ModelConfig, TrainConfig
from training.data import Batch
from training.images import IMAGE_MEAN, IMAGE_STD
from training.loss import info_nce
from training.model import CLIP

__all__ = ["StepMetrics", "Trainer", "learning_rate", "normalize_images"]


class StepMetrics(NamedTuple):
    """What a step tells about itself."""

    step: int
    loss: float
    learning_rate: float
    logit_scale: float


def learning_rate(step: int, config: TrainConfig) -> float:
    """Learning rate of a step, counted from 0: linear warm-up, then half a cosine to 0.

    >>> config = TrainConfig(steps=100, warmup_steps=10, learning_rate=1.0)
    >>> learning_rate(0, config), learning_rate(9, config), round(learning_rate(99, config), 6)
    (0.1, 1.0, 0.0)
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    rest = max(1, config.steps - 1 - config.warmup_steps)
    done = min(1.0, (step - config.warmup_steps) / rest)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def normalize_images(image_B3HW: Tensor) -> Tensor:
    """Turn uint8 pixels into what the model sees, on the device they are on."""
    mean = torch.tensor(IMAGE_MEAN, device=image_B3HW.device).view(3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=image_B3HW.device).view(3, 1, 1)
    return (image_B3HW.float() / 255 - mean) / std


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices, but no biases, norms or logit_scale: those are not what overfits."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in model.parameters():
        (decayed if parameter.ndim >= 2 else others).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


class Trainer:
    """Trains a CLIP model.

    Args:
        model_config: shape of the model.
        config: how to train it; its seed draws the weights.
        eos_id: of the tokenizer.
        device: such as ``cpu`` or ``cuda``.
    """

    def __init__(
        self, model_config: ModelConfig, config: TrainConfig, eos_id: int, device: str
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = torch.device(device)
        self.model = CLIP(model_config, eos_id).to(self.device)
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.model, config.weight_decay),
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            eps=1e-6,
        )
        self.step_number = 0

    def step(self, batch: Batch) -> StepMetrics:
        """Train on one batch.

        Raises:
            CurateError: the loss is not finite.
        """
        rate = learning_rate(self.step_number, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images = torch.from_numpy(batch.images).to(self.device, non_blocking=True)
        tokens = torch.from_numpy(batch.tokens).to(self.device, non_blocking=True)
        # Causal attention never looks at what comes after the last end token of the batch.
        longest = int((batch.tokens == self.model.eos_id).argmax(axis=1).max()) + 1
        loss = info_nce(*self.model(normalize_images(images), tokens[:, :longest]))
        if not torch.isfinite(loss):
            raise CurateError(
                f"the loss is {loss.item()} at step {self.step_number + 1}, on the pairs "
                f"{', '.join(batch.pair_ids[:5])}, …. Rerun from the last checkpoint with a "
                "smaller --learning-rate."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.model.clamp_logit_scale()
        self.step_number += 1
        scale = self.model.logit_scale.detach().exp().item()
        return StepMetrics(self.step_number, loss.item(), rate, scale)

    def state(self) -> dict[str, Any]:
        """Return all that decides how training goes on, as `torch.save` takes it."""
        return {
            "step": self.step_number,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            ArtifactError: it is of another model.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step_number = state["step"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise ArtifactError(f"the checkpoint is of another model: {error}") from error
