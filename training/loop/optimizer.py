"""AdamW as CLIP is trained with: what decays, and how long the gradient is."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from curate.training.loop.config import TrainConfig
from curate.training.loop.distributed import is_shared_out, whole

__all__ = ["clip_gradients", "make_optimizer"]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW for a model, fused: one kernel for all parameters.

    Matrices decay, but no biases, norms, logit_scale and logit_bias: those are not what overfits.
    Parameters that FSDP has shared out and those that it left whole are in groups of their own,
    because a kernel takes one kind.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        key = (parameter.ndim < 2, not is_shared_out(parameter))
        groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": groups[key], "weight_decay": 0.0 if key[0] else config.weight_decay}
            for key in sorted(groups)
        ],
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        eps=1e-6,
        fused=True,
    )


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Shorten the gradient to a length, if it is longer; return how long it was.

    Args:
        parameters: whole, or shared out by FSDP.
        max_norm: length at most; None: only measure.

    Returns:
        Scalar, the same on every rank: nan or inf if any gradient is not finite.
    """
    kinds: dict[bool, list[Any]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            kinds.setdefault(is_shared_out(parameter), []).append(parameter)
    norms = []
    for of_kind in kinds.values():
        norms.append(whole(torch.nn.utils.get_total_norm([p.grad for p in of_kind])))
    total = torch.stack(norms).square().sum().sqrt() if norms else torch.zeros(())
    if max_norm is not None:
        for of_kind in kinds.values():
            torch.nn.utils.clip_grads_with_norm_(of_kind, max_norm, total)
    return total
