"""Images and prompts in, captions out: words are written with keys and values of the prefix cached.

Shapes: B rows, T tokens, W vectors of image and prompt.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from curate.training.captioner.model import CaptionModel
from curate.training.captioner.sequences import SequenceEncoder
from curate.training.data.pixels import normalize_images
from curate.training.model.clip import CLIP

__all__ = ["write_captions"]


@torch.inference_mode()
def write_captions(
    image_model: CLIP,
    model: CaptionModel,
    encoder: SequenceEncoder,
    image_B3HW: NDArray[Any],
    prompts: Sequence[str],
    *,
    max_tokens: int,
    processors: Sequence[Any] = (),
) -> list[list[int]]:
    """Return the tokens of a caption for each image; up to and without the end token.

    A batch may hold prompts of any lengths: each row is what it would be alone, but for rounding.

    Args:
        image_model: of the features.
        model: the captioner.
        encoder: of the prompts.
        image_B3HW: uint8.
        prompts: alt-texts; "" without one.
        max_tokens: of a caption.
        processors: of logits, as `generate` of transformers takes them; none: the likeliest words.
    """
    from transformers import LogitsProcessorList

    lm = model.language_model
    device = next(model.parameters()).device
    images = normalize_images(torch.as_tensor(image_B3HW).to(device))
    weight = next(image_model.parameters())
    feature_BF = F.normalize(image_model.encode_image(images.to(weight.dtype)).float(), dim=-1)
    token_BT: Tensor = torch.as_tensor(encoder.prompts(prompts)).to(device)
    mapper_type = next(model.mapper.parameters()).dtype
    vectors_BWD, mask_BW = model.inputs(feature_BF.to(mapper_type), token_BT, token_BT.shape[1])
    end = encoder.eos_id
    found: Tensor = lm.generate(
        inputs_embeds=vectors_BWD, attention_mask=mask_BW, max_new_tokens=max_tokens,
        do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None, use_cache=True,
        eos_token_id=end, pad_token_id=end, logits_processor=LogitsProcessorList(processors),
    )  # fmt: skip
    rows: list[list[int]] = found.cpu().tolist()
    return [row[: row.index(end)] if end in row else row for row in rows]
