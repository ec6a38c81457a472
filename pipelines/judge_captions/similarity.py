"""How near an image is to its alt-text, its caption, and both, by a CLIP model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Similarity"]

_BATCH = 64


class Similarity:
    """Cosines of images and texts.

    Args:
        model: folder of a run or an export.
        device: where it goes.
    """

    def __init__(self, model: str, device: str) -> None:
        from curate.training.export.load import load_run

        self._model, self._preprocess, self._tokenize = load_run(model, device)
        self._device = device

    def of(
        self, images: Sequence[Image.Image], *texts: Sequence[str]
    ) -> tuple[NDArray[np.float32], ...]:
        """Return the cosine of each image and its text, for each list of texts; shape (n,) each."""
        import torch
        import torch.nn.functional as F

        found: list[list[NDArray[np.float32]]] = [[] for _ in texts]
        with torch.inference_mode():
            for at in range(0, len(images), _BATCH):
                part = slice(at, at + _BATCH)
                pixels = torch.stack([self._preprocess(one) for one in images[part]])
                image_BE = F.normalize(self._model.encode_image(pixels.to(self._device)), dim=-1)
                for column, of_kind in zip(found, texts, strict=True):
                    tokens = self._tokenize(list(of_kind[part])).to(self._device)
                    text_BE = F.normalize(self._model.encode_text(tokens), dim=-1)
                    column.append((image_BE * text_BE).sum(-1).float().cpu().numpy())
        return tuple(np.concatenate([*column, np.zeros(0, np.float32)]) for column in found)
