"""Residual blocks of attention and MLP: tokens in, tokens out, or of each row the one asked for.

Shapes: B rows, T tokens of each, N tokens of all, D width. Rows of unequal length may come in
*pieces*: those of like length behind each other, each cut to the longest of its piece, so that the
matrices see no padding of the others.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["ResidualBlock", "Transformer"]

Pieces = Sequence[tuple[int, int]]  # rows and tokens of a row, of each piece


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

    def forward(self, x_NTD: Tensor, at_B: Tensor | None = None, pieces: Pieces = ()) -> Tensor:
        """Mix tokens; a causal one sees only those before it.

        Args:
            x_NTD: tokens, (B, T, D); with `pieces` those of one after the other, (N, D).
            at_B: of each row, the only token whose result is wanted; None: of all tokens.
            pieces: rows and tokens of a row of each piece.

        Returns:
            As `x_NTD`; with `at_B` (B, D).
        """
        if at_B is not None:
            return self._one(x_NTD, at_B, pieces)
        qkv = F.linear(x_NTD, self.in_proj_weight, self.in_proj_bias)
        if not pieces:
            B, T, D = x_NTD.shape
            out: Tensor = self.out_proj(self._mixed(qkv, B, T))
            return out
        of_pieces = torch.split(qkv, [B * T for B, T in pieces])
        mixed = [
            self._mixed(part, B, T).flatten(0, 1)
            for part, (B, T) in zip(of_pieces, pieces, strict=True)
        ]
        out = self.out_proj(torch.cat(mixed))
        return out

    def _mixed(self, qkv: Tensor, B: int, T: int) -> Tensor:
        q, k, v = qkv.view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return mixed.transpose(1, 2).reshape(B, T, -1)

    def _one(self, x_NTD: Tensor, at_B: Tensor, pieces: Pieces) -> Tensor:
        """Ask for one token of each row, without making keys and values of the others.

        With query q and token x, a head's score q·(K x + k) is (Kᵀ q)·x plus q·k, which is the same
        for all tokens of a row and so nothing to the softmax; and its weights a give V Σ a x + v.
        """
        of_query, of_key, of_value = self.in_proj_weight.chunk(3)
        query_bias, _, value_bias = self.in_proj_bias.chunk(3)
        q_BD = F.linear(rows_at(x_NTD, at_B, pieces), of_query, query_bias)
        B, D = q_BD.shape
        q_HBd = q_BD.view(B, self.heads, -1).transpose(0, 1) * (D // self.heads) ** -0.5
        asked_BHD = (q_HBd @ of_key.view(self.heads, -1, D)).transpose(0, 1)
        if not pieces:
            mixed_BHD = self._read(asked_BHD, x_NTD, at_B)
        else:
            num = [B for B, _ in pieces]
            parts = zip(
                torch.split(asked_BHD, num), torch.split(x_NTD, [B * T for B, T in pieces]),
                torch.split(at_B, num), pieces, strict=True,
            )  # fmt: skip
            mixed_BHD = torch.cat(
                [self._read(asked, part.view(B, T, D), at) for asked, part, at, (B, T) in parts]
            )
        values_HBd = mixed_BHD.transpose(0, 1) @ of_value.view(self.heads, -1, D).transpose(1, 2)
        out: Tensor = self.out_proj(values_HBd.transpose(0, 1).reshape(B, D) + value_bias)
        return out

    def _read(self, asked_BHD: Tensor, x_BTD: Tensor, at_B: Tensor) -> Tensor:
        """Return the mean of the tokens of each row by their scores, for each head: (B, H, D)."""
        with torch.autocast(x_BTD.device.type, enabled=False):  # scores keep all their digits
            seen_BTD = x_BTD.to(torch.promote_types(x_BTD.dtype, torch.float32))
            scores_BHT = asked_BHD.to(seen_BTD.dtype) @ seen_BTD.transpose(1, 2)
            if self.causal:
                later_BT = torch.arange(x_BTD.shape[1], device=at_B.device) > at_B[:, None]
                scores_BHT = scores_BHT.masked_fill(later_BT[:, None], -torch.inf)
            return (scores_BHT.softmax(dim=-1) @ seen_BTD).to(x_BTD.dtype)


def rows_at(x_NTD: Tensor, at_B: Tensor, pieces: Pieces = ()) -> Tensor:
    """Return one token of each row: (B, T, D), or (N, D) in pieces, → (B, D)."""
    if pieces:
        return x_NTD[first_tokens(pieces, at_B.device) + at_B]
    return x_NTD[torch.arange(len(at_B), device=at_B.device), at_B]


def first_tokens(pieces: Pieces, device: torch.device) -> Tensor:
    """Return where each row of pieces begins: (B,).

    >>> first_tokens([(2, 3), (1, 5)], torch.device("cpu")).tolist()
    [0, 3, 6]
    """
    lengths = torch.tensor([T for B, T in pieces for _ in range(B)], device=device)
    return lengths.cumsum(0) - lengths


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

    def forward(self, x_NTD: Tensor, at_B: Tensor | None = None, pieces: Pieces = ()) -> Tensor:
        """Transform tokens; with `at_B` return one of each row, (B, D), and compute no others."""
        mixed = self.attn(self.ln_1(x_NTD), at_B, pieces)
        x = mixed + (x_NTD if at_B is None else rows_at(x_NTD, at_B, pieces))
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

    def forward(self, x_NTD: Tensor, at_B: Tensor, pieces: Pieces = ()) -> Tensor:
        """Transform tokens and return one of each row: (B, T, D), or (N, D) in pieces, → (B, D).

        The last block's attention needs keys and values of all tokens; what comes behind them, five
        sixths of a block, is computed for that one alone.
        """
        x = x_NTD
        for number, block in enumerate(self.resblocks, start=1):
            wanted = at_B if number == self.layers else None
            if self.grad_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, wanted, pieces, use_reentrant=False)
            else:
                x = block(x, wanted, pieces)
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
