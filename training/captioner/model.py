"""The mapper from an image's feature to vectors that a language model reads, and both together.

Shapes: B rows, F width of the feature, D width of the language model, P vectors of the image, T
tokens (of prompt and caption), W = P + T, V words.

    sequence   [padding | P vectors of the image | prompt | caption | padding]

The padding before it stands before the image, not between image and prompt as in the paper, so that
what comes before the caption's first word is never padding, and a row's caption does not depend on
the other rows' prompts. Padding is not attended, and takes no position.
"""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from curate.errors import InputError
from curate.training.captioner.config import CaptionerConfig

__all__ = ["CaptionModel", "Mapper"]

_STD = 0.02


class _Block(nn.Module):
    """Attention among all vectors, then a hidden layer; each on what is normalised, and added."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        if width % heads:
            raise InputError(
                f"the language model is {width} wide, which {heads} heads of the mapper cannot "
                "share; give another --mapper-heads"
            )
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)

    def forward(self, x_BSD: Tensor) -> Tensor:
        B, S, D = x_BSD.shape
        parts = self.qkv(self.norm_1(x_BSD)).view(B, S, 3, self.heads, D // self.heads)
        q_BHSE, k_BHSE, v_BHSE = parts.permute(2, 0, 3, 1, 4)
        seen_BHSE = F.scaled_dot_product_attention(q_BHSE, k_BHSE, v_BHSE)
        x_BSD = x_BSD + self.out(seen_BHSE.transpose(1, 2).reshape(B, S, D))
        out: Tensor = x_BSD + self.down(F.relu(self.up(self.norm_2(x_BSD))))
        return out


class Mapper(nn.Module):
    """Makes P vectors of a feature: P of it and P learned ones see each other, the latter are kept.

    Source: Mokady et al. 2021, arXiv:2111.09734, section 3.2.
    """

    def __init__(self, feature_width: int, width: int, config: CaptionerConfig) -> None:
        super().__init__()
        self.num = config.prefix_tokens
        self.project = nn.Linear(feature_width, self.num * width)
        self.constants = nn.Parameter(torch.randn(self.num, width) * _STD)
        self.blocks = nn.ModuleList(
            _Block(width, config.mapper_heads, config.mapper_ratio)
            for _ in range(config.mapper_layers)
        )

    def forward(self, feature_BF: Tensor) -> Tensor:
        """Return (B, P, D)."""
        x_BPD = self.project(feature_BF).view(len(feature_BF), self.num, -1)
        learned_BPD = self.constants.expand(len(feature_BF), -1, -1).to(x_BPD.dtype)
        x_BSD = torch.cat([x_BPD, learned_BPD], dim=1)
        for block in self.blocks:
            x_BSD = block(x_BSD)
        return x_BSD[:, self.num :]


class CaptionModel(nn.Module):
    """A mapper and a language model of transformers, both trained.

    Args:
        feature_width: F.
        language_model: any causal language model.
        config: shape of the mapper.
    """

    def __init__(self, feature_width: int, language_model: Any, config: CaptionerConfig) -> None:
        super().__init__()
        width = language_model.get_input_embeddings().embedding_dim
        self.mapper = Mapper(feature_width, width, config)
        self.language_model = language_model
        accepted = inspect.signature(language_model.forward).parameters
        self._has_positions = "position_ids" in accepted
        self._keeps = "logits_to_keep" in accepted

    def blocks(self) -> list[nn.Module]:
        """Return the blocks of the mapper and of the language model, to be compiled one by one."""
        lists = [one for one in self.language_model.modules() if isinstance(one, nn.ModuleList)]
        longest: Any = max(lists, key=len, default=[])
        return [*self.mapper.blocks, *longest]

    def inputs(
        self, feature_BF: Tensor, token_BT: Tensor, num_prompt: int
    ) -> tuple[Tensor, Tensor]:
        """Return what the language model reads.

        Args:
            feature_BF: of unit length.
            token_BT: -1 where there is none; prompts end in column num_prompt - 1.
            num_prompt: columns of prompts.

        Returns:
            Vectors (B, W, D), and 1 where a row has something, int64 (B, W).
        """
        prefix_BPD = self.mapper(feature_BF)
        B, P, D = prefix_BPD.shape
        is_there_BT = token_BT >= 0
        words_BTD = self.language_model.get_input_embeddings()(token_BT.clamp_min(0))
        prefix_BPD = prefix_BPD.to(words_BTD.dtype)
        padding_B = num_prompt - is_there_BT[:, :num_prompt].sum(1)
        if num_prompt == 0:
            ones = is_there_BT.new_ones(B, P)
            return (torch.cat([prefix_BPD, words_BTD], 1), torch.cat([ones, is_there_BT], 1).long())
        # Where row 0 has 2 of 3 prompt tokens: [x img img p p], from [img img x p p].
        at_BP = padding_B[:, None] + torch.arange(P, device=token_BT.device)
        blank_BPD = words_BTD.new_zeros(B, P, D)
        vectors_BWD = torch.cat([blank_BPD, words_BTD], 1).scatter(
            1, at_BP[:, :, None].expand(-1, -1, D), prefix_BPD
        )
        place_W = torch.arange(P + token_BT.shape[1], device=token_BT.device)
        is_after_BW = place_W >= P + num_prompt
        caption_BW = torch.cat([is_there_BT.new_zeros(B, P), is_there_BT], 1) & is_after_BW
        begun_BW = (place_W >= padding_B[:, None]) & ~is_after_BW
        return vectors_BWD, (begun_BW | caption_BW).long()

    def forward(
        self, feature_BF: Tensor, token_BT: Tensor, num_prompt: int, total: Tensor
    ) -> Tensor:
        """Return the loss of captions: their tokens' cross-entropy, summed, by `total`.

        Args:
            feature_BF: of unit length.
            token_BT: as for `inputs`, with captions.
            num_prompt: columns of prompts.
            total: what the sum is divided by: the tokens of captions of all ranks and parts.
        """
        vectors_BWD, mask_BW = self.inputs(feature_BF, token_BT, num_prompt)
        target_BC = token_BT[:, num_prompt:]
        num = target_BC.shape[1]
        more: dict[str, Any] = {}
        if self._has_positions:
            more["position_ids"] = (mask_BW.cumsum(1) - 1).clamp_min(0)
        if self._keeps:
            more["logits_to_keep"] = num + 1
        logits_BCV = self.language_model(
            inputs_embeds=vectors_BWD, attention_mask=mask_BW, use_cache=False, **more
        ).logits[:, -num - 1 : -1]
        wide = torch.promote_types(logits_BCV.dtype, torch.float32)
        loss = F.cross_entropy(
            logits_BCV.flatten(0, 1).to(wide), target_BC.flatten(),
            ignore_index=-1, reduction="sum",
        )  # fmt: skip
        return loss / total
