"""CLIP: a vision transformer and a causal text transformer that share a space.

Shapes: B batch, H × W pixels, P patches and the class token, T tokens, D width, E shared width.
The state-dict keys are those of the published checkpoints.
"""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from curate.training.model.config import ModelConfig
from curate.training.model.pieces import length_pieces

__all__ = ["CLIP", "keep_patches"]

MAX_LOGIT_SCALE = math.log(100.0)
INIT_LOGIT_SCALE = math.log(1 / 0.07)
INIT_SIGLIP_SCALE = math.log(10.0)
INIT_LOGIT_BIAS = -10.0


class QuickGELU(nn.Module):
    """x·σ(1.702x): the approximation of GELU that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every element."""
        return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head self-attention with the parameter names of `nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x_BTD: Tensor, at_B: Tensor | None = None) -> Tensor:
        """Mix tokens; a causal one sees only those before it.

        Args:
            x_BTD: tokens.
            at_B: of each row, the only token whose result is wanted; None: of all tokens.

        Returns:
            (B, T, D); with `at_B` (B, D).
        """
        B, T, D = x_BTD.shape
        if at_B is not None:
            return self._one(x_BTD, at_B)
        qkv = F.linear(x_BTD, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(B, T, D))
        return out

    def _one(self, x_BTD: Tensor, at_B: Tensor) -> Tensor:
        """Ask for one token of each row: keys and values of all, the query of that one."""
        B, T, D = x_BTD.shape
        of_query, of_others = self.in_proj_weight.tensor_split([D])
        query_bias, others_bias = self.in_proj_bias.tensor_split([D])
        q = F.linear(rows_at(x_BTD, at_B), of_query, query_bias).view(B, self.heads, 1, -1)
        kv = F.linear(x_BTD, of_others, others_bias)
        k, v = kv.view(B, T, 2, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        seen = None
        if self.causal:
            seen = (torch.arange(T, device=at_B.device) <= at_B[:, None])[:, None, None]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        out: Tensor = self.out_proj(mixed.reshape(B, D))
        return out


def rows_at(x_BTD: Tensor, at_B: Tensor) -> Tensor:
    """Return one token of each row: (B, T, D) → (B, D)."""
    return x_BTD[torch.arange(len(at_B), device=at_B.device), at_B]


class ResidualBlock(nn.Module):
    """Attention and MLP, each after a layer norm and added to its input."""

    def __init__(
        self, width: int, heads: int, hidden: int, *, causal: bool, quick_gelu: bool
    ) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal=causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, hidden),
                gelu=QuickGELU() if quick_gelu else nn.GELU(),
                c_proj=nn.Linear(hidden, width),
            )
        )

    def forward(self, x_BTD: Tensor, at_B: Tensor | None = None) -> Tensor:
        """Transform tokens; with `at_B` return one of each row, (B, D), and compute no others."""
        mixed = self.attn(self.ln_1(x_BTD), at_B)
        x = mixed + (x_BTD if at_B is None else rows_at(x_BTD, at_B))
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """A stack of residual blocks.

    Attributes:
        grad_checkpointing: keep only each block's input for the backward pass and compute the
            rest again there: less memory, about a third more arithmetic, the same gradients.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        *,
        causal: bool,
        quick_gelu: bool,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        self.width, self.layers = width, layers
        self.grad_checkpointing = False
        hidden = int(width * mlp_ratio)
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, heads, hidden, causal=causal, quick_gelu=quick_gelu)
            for _ in range(layers)
        )

    def forward(self, x_BTD: Tensor, at_B: Tensor) -> Tensor:
        """Transform tokens and return one of each row: (B, T, D) → (B, D).

        The last block's attention needs keys and values of all tokens; what comes behind them, five
        sixths of a block, is computed for that one alone.
        """
        x = x_BTD
        for number, block in enumerate(self.resblocks, start=1):
            wanted = at_B if number == self.layers else None
            if self.grad_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, wanted, use_reentrant=False)
            else:
                x = block(x, wanted)
        return x

    @torch.no_grad()
    def initialize(self) -> None:
        """Draw the weights as CLIP does: narrower where more layers add up."""
        into_residual = self.width**-0.5 * (2 * self.layers) ** -0.5
        for block in self.resblocks:
            assert isinstance(block, ResidualBlock)
            nn.init.normal_(block.attn.in_proj_weight, std=self.width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=into_residual)
            nn.init.zeros_(block.attn.out_proj.bias)
            for name, std in (("c_fc", (2 * self.width) ** -0.5), ("c_proj", into_residual)):
                linear = block.mlp.get_submodule(name)
                assert isinstance(linear, nn.Linear)
                nn.init.normal_(linear.weight, std=std)
                nn.init.zeros_(linear.bias)


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
            for rounding; for what computes as fast in small pieces, and compiles nothing.

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
        if not self.by_length:
            return self._encode_text(tokens_BT, at_B)
        pieces = length_pieces((at_B + 1).tolist())
        found = [
            self._encode_text(tokens_BT[rows, :longest], at_B[rows]) for rows, longest in pieces
        ]
        order = torch.tensor([row for rows, _ in pieces for row in rows], device=at_B.device)
        return torch.cat(found)[order.argsort()]

    def _encode_text(self, tokens_BT: Tensor, at_B: Tensor) -> Tensor:
        x_BTD = self.token_embedding(tokens_BT) + self.positional_embedding[: tokens_BT.shape[1]]
        out: Tensor = self.ln_final(self.transformer(x_BTD, at_B)) @ self.text_projection
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
