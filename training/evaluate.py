"""How good a model is: zero-shot classification, and retrieval both ways."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.model import CLIP
from training.tokenizer import Tokenizer
from training.trainer import normalize_images

__all__ = ["embed_images", "embed_texts", "retrieval_recall", "zero_shot_logits"]

TEMPLATES = ("a picture of {a} {name}", "{a} {name}", "a photo of {a} {name}")
RANKS = (1, 5, 10)
_BATCH = 256


@torch.no_grad()
def embed_images(model: CLIP, images: NDArray[np.uint8]) -> Tensor:
    """Embed uint8 images (N, 3, H, W) to unit length, (N, E), on the CPU."""
    device = model.logit_scale.device
    pieces = [
        F.normalize(model.encode_image(normalize_images(batch.to(device))), dim=-1).cpu()
        for batch in torch.split(torch.from_numpy(images), _BATCH)
    ]
    return torch.cat(pieces)


@torch.no_grad()
def embed_texts(model: CLIP, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Embed texts to unit length, (N, E), on the CPU."""
    device = model.logit_scale.device
    tokens = torch.from_numpy(tokenizer.encode(texts))
    pieces = [
        F.normalize(model.encode_text(batch.to(device)), dim=-1).cpu()
        for batch in torch.split(tokens, _BATCH)
    ]
    return torch.cat(pieces)


def zero_shot_logits(
    model: CLIP,
    tokenizer: Tokenizer,
    image_NE: Tensor,
    class_names: Sequence[str],
    templates: Sequence[str] = TEMPLATES,
) -> Tensor:
    """Similarity of images and classes; a class is the mean of its templates.

    Args:
        model: a CLIP model.
        tokenizer: its tokenizer.
        image_NE: unit length, (N, E).
        class_names: shape (C,).
        templates: with ``{name}``, and ``{a}`` for its English article.

    Returns:
        (N, C).

    Source: Radford et al. 2021, arXiv:2103.00020, section 3.1.4.
    """
    per_template = [
        embed_texts(model, tokenizer, [_filled(template, name) for name in class_names])
        for template in templates
    ]
    class_CE = F.normalize(torch.stack(per_template).mean(dim=0), dim=-1)
    return image_NE @ class_CE.T


def _filled(template: str, name: str) -> str:
    return template.format(name=name, a="an" if name[:1].lower() in "aeiou" else "a")


def _ranks(similarity_NM: Tensor, positive_NM: Tensor) -> Tensor:
    """Rank, from 0, of each row's best positive; a tie counts against it.

    So a model that gives everything one score has recall 0, not 1.
    """
    lowest = torch.finfo(similarity_NM.dtype).min
    best_N1 = similarity_NM.masked_fill(~positive_NM, lowest).amax(dim=1, keepdim=True)
    return ((similarity_NM >= best_N1) & ~positive_NM).sum(dim=1)


def retrieval_recall(
    image_NE: Tensor, text_ME: Tensor, image_of_text: Sequence[int]
) -> dict[str, Any]:
    """Share of queries with a right answer among the first 1, 5 and 10.

    Args:
        image_NE: unit length, (N, E).
        text_ME: unit length, (M, E).
        image_of_text: index of each text's image, shape (M,).

    Returns:
        ``image_to_text`` and ``text_to_image``, each R@1, R@5, R@10, over the images that have a
        text and over the texts.
    """
    similarity_NM = image_NE @ text_ME.T
    owner_M = torch.as_tensor(image_of_text)
    positive_NM = owner_M[None, :] == torch.arange(len(image_NE))[:, None]
    with_text = positive_NM.any(dim=1)
    of_images = _ranks(similarity_NM[with_text], positive_NM[with_text])
    of_texts = _ranks(similarity_NM.T, positive_NM.T)
    return {
        way: {f"R@{k}": float((ranks < k).float().mean()) for k in RANKS}
        for way, ranks in (("image_to_text", of_images), ("text_to_image", of_texts))
    }
