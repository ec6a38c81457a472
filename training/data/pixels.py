"""uint8 pixels in, what the model sees out, on the device they are on."""

import torch
from torch import Tensor

from curate.training.model.config import IMAGE_MEAN, IMAGE_STD

__all__ = ["normalize_images"]


def normalize_images(image_B3HW: Tensor) -> Tensor:
    """Turn uint8 pixels into float32 of about zero mean and unit variance per channel."""
    mean = torch.tensor(IMAGE_MEAN, device=image_B3HW.device).view(3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=image_B3HW.device).view(3, 1, 1)
    # In place: of batches as large as these, new memory for each step costs more than the steps.
    return image_B3HW.to(torch.float32, copy=True).div_(255).sub_(mean).div_(std)
