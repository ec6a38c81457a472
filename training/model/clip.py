"""CLIP: a vision transformer and a causal text transformer that share a space.

Shapes: B batch, H × W pixels, P patches and the class token, T tokens, N tokens of all rows, D
width, E shared width.
The state-dict keys are those of the published checkpoints.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from curate.training.model.config import ModelConfig
from curate.training.model.pieces import length_pieces
from curate.training.model.transformer import ResidualBlock, Transformer

__all__ = ["CLIP", "keep_patches"]

MAX_LOGIT_SCALE = math.log(100.0)
INIT_LOGIT_SCALE = math.log(1 / 0.07)
INIT_SIGLIP_SCALE = math.log(10.0)
INIT_LOGIT_BIAS = -10.0


def keep_patches(patch_BPD: Tensor, share_dropped: float) -> Tensor:
    """Keep a random part of each image's patches, at least one: (B, P, D) → (B, K, D).

    Source: Li et al. 2023, FLIP, arXiv:2212.00794, section 3 (without the decoder).
    """
    B, P, D = patch_BPD.shape
    num_kept = max(1, round(P * (1 - share_dropped)))
    order_BP = torch.rand(B, P, device=patch_BPD.device).argsort(dim=1)
    at_BKD = order_BP[:, :num_kept, None].expand(B, num_kept, D)
    return patch_BPD.gather(1, at_BKD)


class VisionTransformer(nn.Module):
    """Image → its place in the shared space, read off the class token.

    Attributes:
        patch_dropout: share of the patches that training leaves out, in [0, 1); evaluation sees
            all of them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.patch_dropout = 0.0
        width = config.vision_width
        num_patches = (config.image_size // config.patch_size) ** 2
        scale = width**-0.5
        self.conv1 = nn.Conv2d(3, width, config.patch_size, config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(num_patches + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(
            width, config.vision_layers, width // config.vision_head_width,
            causal=False, quick_gelu=config.quick_gelu, mlp_ratio=config.vision_mlp_ratio,
        )  # fmt: skip
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, config.embed_dim))

    def forward(self, image_B3HW: Tensor) -> Tensor:
        """Embed images: (B, 3, H, W) → (B, E)."""
        patch_BPD = self.conv1(image_B3HW).flatten(2).transpose(1, 2)
        patch_BPD = patch_BPD + self.positional_embedding[1:]
        if self.training and self.patch_dropout:
            patch_BPD = keep_patches(patch_BPD, self.patch_dropout)
        class_D = self.class_embedding + self.positional_embedding[0]
        x_BPD = torch.cat([class_D.expand(len(patch_BPD), 1, -1), patch_BPD], dim=1)
        first_B = torch.zeros(len(x_BPD), dtype=torch.int64, device=x_BPD.device)
        x_BD = self.transformer(self.ln_pre(x_BPD), first_B)
        out: Tensor = self.ln_post(x_BD) @ self.proj
        return out


class CLIP(nn.Module):
    """Images and texts in one space.

    Args:
        config: shape of the model.
        eos_id: the token a text is read at; exactly one in each text.

    Attributes:
        logit_bias: added to scaled similarities by SigLIP's loss; None without
            `config.logit_bias`.
        by_length: compute texts in pieces of like length, each cut to its longest. The same but
            for rounding; for what attends to small pieces as fast, and compiles nothing.

    Source: Radford et al. 2021, arXiv:2103.00020.
    """

    logit_bias: nn.Parameter | None

    def __init__(self, config: ModelConfig, eos_id: int) -> None:
        super().__init__()
        self.config = config
        self.eos_id = eos_id
        self.by_length = False
        width = config.text_width
        self.visual = VisionTransformer(config)
        self.transformer = Transformer(
            width, config.text_layers, config.text_heads, causal=True, quick_gelu=config.quick_gelu
        )
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, config.embed_dim))
        scale = INIT_SIGLIP_SCALE if config.logit_bias else INIT_LOGIT_SCALE
        self.logit_scale = nn.Parameter(torch.tensor(scale))
        bias = nn.Parameter(torch.tensor(INIT_LOGIT_BIAS)) if config.logit_bias else None
        self.register_parameter("logit_bias", bias)
        self._initialize()

    def _initialize(self) -> None:
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=self.config.text_width**-0.5)
        self.transformer.initialize()
        self.visual.transformer.initialize()

    def blocks(self) -> list[ResidualBlock]:
        """Return all residual blocks, the image's before the text's: to compile or shard each."""
        both = [*self.visual.transformer.resblocks, *self.transformer.resblocks]
        return [block for block in both if isinstance(block, ResidualBlock)]

    @property
    def grad_checkpointing(self) -> bool:
        """Tell whether blocks are computed again in the backward pass instead of remembered."""
        return self.transformer.grad_checkpointing

    @grad_checkpointing.setter
    def grad_checkpointing(self, on: bool) -> None:
        self.transformer.grad_checkpointing = on
        self.visual.transformer.grad_checkpointing = on

    def encode_image(self, image_B3HW: Tensor) -> Tensor:
        """Embed normalised images: (B, 3, H, W) → (B, E), not of unit length."""
        out: Tensor = self.visual(image_B3HW)
        return out

    def encode_text(self, tokens_BT: Tensor) -> Tensor:
        """Embed tokenised texts: (B, T) with T ≤ context_length → (B, E), not of unit length."""
        at_B = (tokens_BT == self.eos_id).int().argmax(dim=1)
        if self.by_length:
            return self._encode_pieces(tokens_BT, at_B)
        x_BTD = self.token_embedding(tokens_BT) + self.positional_embedding[: tokens_BT.shape[1]]
        out: Tensor = self.ln_final(self.transformer(x_BTD, at_B)) @ self.text_projection
        return out

    def _encode_pieces(self, tokens_BT: Tensor, at_B: Tensor) -> Tensor:
        """Embed texts, of which those of like length lie behind each other without their padding.

        All tokens go through the matrices at once, and through attention piece by piece.
        """
        found = length_pieces((at_B + 1).tolist())
        order_B = torch.tensor([row for rows, _ in found for row in rows], device=at_B.device)
        pieces = tuple((len(rows), longest) for rows, longest in found)
        tokens_N = torch.cat([tokens_BT[rows, :longest].flatten() for rows, longest in found])
        places = torch.arange(tokens_BT.shape[1], device=at_B.device)
        places_N = torch.cat([places[:longest].repeat(num) for num, longest in pieces])
        x_ND = self.token_embedding(tokens_N) + F.embedding(places_N, self.positional_embedding)
        x_BD = self.transformer(x_ND, at_B[order_B], pieces)
        out: Tensor = (self.ln_final(x_BD) @ self.text_projection)[order_B.argsort()]
        return out

    def forward(self, image_B3HW: Tensor, tokens_BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return image and text embeddings of unit length, (B, E) each, and the logit scale."""
        image_BE = F.normalize(self.encode_image(image_B3HW), dim=-1)
        text_BE = F.normalize(self.encode_text(tokens_BT), dim=-1)
        return image_BE, text_BE, self.logit_scale.exp()

    @torch.no_grad()
    def clamp_logit_scale(self) -> None:
        """Keep the logit scale in [1, 100]."""
        self.logit_scale.clamp_(0.0, MAX_LOGIT_SCALE)
