"""Images and prompts in, captions out: words are written with keys and values of the prefix cached.

Shapes: B rows, F width of the image's feature, T tokens, W vectors of image and prompt.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from curate.training.captioner.model import CaptionModel
from curate.training.captioner.sequences import SequenceEncoder
from curate.training.data.pixels import normalize_images
from curate.training.model.clip import CLIP

__all__ = ["image_features", "write_captions"]


@torch.inference_mode()
def image_features(image_model: CLIP, image_B3HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features of images, of unit length; (B, F)."""
    weight = next(image_model.parameters())
    images = normalize_images(torch.as_tensor(image_B3HW).to(weight.device))
    feature_BF = F.normalize(image_model.encode_image(images.to(weight.dtype)).float(), dim=-1)
    found: NDArray[np.float32] = feature_BF.cpu().numpy()
    return found


@torch.inference_mode()
def write_captions(
    model: CaptionModel,
    encoder: SequenceEncoder,
    feature_BF: NDArray[np.float32],
    prompts: Sequence[str],
    *,
    max_tokens: int,
    processors: Sequence[Any] = (),
) -> list[list[int]]:
    """Return the tokens of a caption for each image; up to and without the end token.

    A batch may hold prompts of any lengths: each row is what it would be alone, but for rounding.

    Args:
        model: the captioner.
        encoder: of the prompts.
        feature_BF: of the images; scaled to unit length.
        prompts: alt-texts; "" without one.
        max_tokens: of a caption.
        processors: of logits, as `generate` of transformers takes them; none: the likeliest words.
    """
    from transformers import LogitsProcessorList

    lm = model.language_model
    device = next(model.parameters()).device
    unit_BF = F.normalize(torch.as_tensor(feature_BF).to(device), dim=-1)
    token_BT: Tensor = torch.as_tensor(encoder.prompts(prompts)).to(device)
    mapper_type = next(model.mapper.parameters()).dtype
    vectors_BWD, mask_BW = model.inputs(unit_BF.to(mapper_type), token_BT, token_BT.shape[1])
    end = encoder.eos_id
    found: Tensor = lm.generate(
        inputs_embeds=vectors_BWD, attention_mask=mask_BW, max_new_tokens=max_tokens,
        do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None, use_cache=True,
        eos_token_id=end, pad_token_id=end, logits_processor=LogitsProcessorList(processors),
    )  # fmt: skip
    rows: list[list[int]] = found.cpu().tolist()
    return [row[: row.index(end)] if end in row else row for row in rows]
