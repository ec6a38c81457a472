"""How well images and texts find each other."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["info_nce"]


def info_nce(image_BE: Tensor, text_BE: Tensor, logit_scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of telling each image's text among the batch's, and back.

    Args:
        image_BE: unit length, (B, E).
        text_BE: unit length, (B, E); row i belongs to image i.
        logit_scale: inverse temperature.

    Returns:
        Scalar, in nats.

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3.
    """
    logits_BB = logit_scale * image_BE @ text_BE.T
    target_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (F.cross_entropy(logits_BB, target_B) + F.cross_entropy(logits_BB.T, target_B)) / 2
