"""Position embeddings of images of one size made those of another."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["VISION_POSITIONS", "resized_positions"]

VISION_POSITIONS = "visual.positional_embedding"


def resized_positions(found: Tensor, side: int, mode: str = "bicubic") -> Tensor | None:
    """Return positions of a square grid of patches as those of another; the class token's stays.

    Args:
        found: of the class token and of old · old patches; (1 + old², D).
        side: patches of a side that are wanted.
        mode: bicubic; or bilinear, which keeps numbers that are not negative so.

    Returns:
        (1 + side², D); `found` itself where it has that shape, None if it is no square grid.
    """
    old = math.isqrt(len(found) - 1)
    if old == side:
        return found
    if old * old != len(found) - 1:
        return None
    grid_1DHW = found[1:].T.reshape(1, -1, old, old)
    resized_1DHW = F.interpolate(grid_1DHW, (side, side), mode=mode, antialias=True)
    return torch.cat([found[:1], resized_1DHW[0].flatten(1).T])
