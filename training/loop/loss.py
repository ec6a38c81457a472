"""How well images and texts find each other: InfoNCE and SigLIP, whole or in chunks, on any ranks.

Shapes: B pairs of a batch, E shared width; L pairs of this rank, G pairs of all ranks, C rows of a
chunk.

The whole B × B matrix of logits is 4 GiB at a batch of 32,768. `clip_loss` and `siglip_loss` never
have more than C × G of it: they compute the loss and its gradients chunk by chunk in the forward
pass, since the loss is a scalar and its gradients are needed once. With several ranks each computes
its L × G rows. A row's softmax is complete there; a column's needs one number per column from the
other ranks, its log-sum-exp. So only texts are gathered, and half as many logits are computed as
when images are gathered too.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from curate.training.loop.distributed import (
    ALONE,
    World,
    gather_rows,
    scatter_sum_rows,
    sum_over_ranks,
)

__all__ = ["Teaching", "clip_loss", "info_nce", "siglip_loss"]

CHUNK = 1024


class Teaching(NamedTuple):
    """What a teacher adds to the contrastive loss; D is its shared width.

    Attributes:
        image_LD: of this rank's images, unit length.
        text_LD: of this rank's texts, unit length.
        scale: inverse temperature of the teacher's softmax; scalar.
        contrastive_weight: of the loss without the teacher.
        relation_weight: of the divergence from the teacher.
    """

    image_LD: Tensor
    text_LD: Tensor
    scale: Tensor
    contrastive_weight: float
    relation_weight: float


def info_nce(image_BE: Tensor, text_BE: Tensor, logit_scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of telling each image's text among the batch's, and back.

    This is the plain version with the whole matrix; `clip_loss` gives the same.

    Args:
        image_BE: unit length, (B, E).
        text_BE: unit length, (B, E); row i belongs to image i.
        logit_scale: inverse temperature.

    Returns:
        Scalar, in nats.

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3.
    """
    logits_BB = logit_scale * image_BE @ text_BE.T
    target_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (F.cross_entropy(logits_BB, target_B) + F.cross_entropy(logits_BB.T, target_B)) / 2


def clip_loss(
    image_LE: Tensor,
    text_LE: Tensor,
    logit_scale: Tensor,
    *,
    chunk: int = CHUNK,
    world: World = ALONE,
    teaching: Teaching | None = None,
) -> Tensor:
    """Return `info_nce` of the pairs of all ranks, with memory for `chunk` rows of logits.

    With a teacher it is `contrastive_weight` times that, and `relation_weight` times the mean over
    images and texts of KL(teacher || student), of the softmax over the batch.

    Gradients are multiplied by the number of ranks: DDP and FSDP then take the mean over ranks,
    which makes them those of the one loss.

    Args:
        image_LE: unit length, (L, E), the same L on every rank.
        text_LE: unit length, (L, E).
        logit_scale: inverse temperature; scalar.
        chunk: rows of logits at a time.
        world: the ranks that train together.
        teaching: of a teacher; None without one.

    Returns:
        Scalar, in nats, the same on every rank.

    Source of the teacher's part: Yang et al. 2024, arXiv:2307.12732, section 3.2, equation 5.
    """
    return _contrastive(image_LE, text_LE, logit_scale, None, chunk, world, teaching)


def siglip_loss(
    image_LE: Tensor,
    text_LE: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    *,
    chunk: int = CHUNK,
    world: World = ALONE,
) -> Tensor:
    """Return the mean over images of the sigmoid loss of all pairs, of all ranks.

    ``-1/G Σ_ij log σ(z_ij · (logit_scale · image_i · text_j + logit_bias))`` with z = 1 where i = j
    and -1 elsewhere. Arguments and gradients are as for `clip_loss`.

    Source: Zhai et al. 2023, arXiv:2303.15343, equation 1 and algorithm 1.
    """
    return _contrastive(image_LE, text_LE, logit_scale, logit_bias, chunk, world, None)


def _contrastive(*arguments: Any) -> Tensor:
    loss: Tensor = _Contrastive.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss


class _Gradients(NamedTuple):
    """The loss of this rank's rows and what it changes by."""

    loss: Tensor
    image_LE: Tensor
    text_GE: Tensor
    scale: Tensor
    bias: Tensor | None


class _Contrastive(torch.autograd.Function):
    """Loss and gradients at once; without a bias InfoNCE, with one SigLIP."""

    @staticmethod
    def forward(
        ctx: Any,
        image_LE: Tensor,
        text_LE: Tensor,
        scale: Tensor,
        bias: Tensor | None,
        chunk: int,
        world: World,
        teaching: Teaching | None,
    ) -> Tensor:
        # Under autocast features come in bfloat16; logits up to 100 need more digits than it has.
        wide = torch.promote_types(image_LE.dtype, torch.float32)
        with torch.autocast(image_LE.device.type, enabled=False):
            text_GE = gather_rows(text_LE.to(wide), world)
            rows = _Rows(image_LE.to(wide), text_GE, world.rank * len(image_LE), chunk)
            if bias is None:
                found = _info_nce_rows(rows, scale.to(wide), world, teaching)
            else:
                found = _siglip_rows(rows, scale.to(wide), bias.to(wide))
            text_grad_LE = scatter_sum_rows(found.text_GE, world)
            loss = sum_over_ranks(found.loss, world)
        gradients = (found.image_LE, text_grad_LE, found.scale, found.bias)
        inputs = (image_LE, text_LE, scale, bias)
        ctx.gradients = [
            None if g is None or x is None else (g * world.size).to(x.dtype).reshape(x.shape)
            for g, x in zip(gradients, inputs, strict=True)
        ]
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        scaled = (None if g is None else (g * grad).to(g.dtype) for g in ctx.gradients)
        return (*scaled, None, None, None)


class _Rows:
    """A rank's rows of the matrix of cosines, C at a time.

    Args:
        image_LE: of this rank.
        text_GE: of all ranks.
        offset: row of `text_GE` that belongs to the first image.
        chunk: C.
    """

    def __init__(self, image_LE: Tensor, text_GE: Tensor, offset: int, chunk: int) -> None:
        self.image_LE, self.text_GE, self.offset = image_LE, text_GE, offset
        self.slices = [
            slice(first, min(first + chunk, len(image_LE)))
            for first in range(0, len(image_LE), chunk)
        ]

    def cosines(self, rows: slice) -> Tensor:
        """Return image · text of some rows, (C, G)."""
        return self.image_LE[rows] @ self.text_GE.T

    def diagonal(self, values_CG: Tensor, rows: slice) -> Tensor:
        """Return a view of the C values where an image meets its own text.

        With offset 8 and rows 2 to 4 of this rank these are columns 10 to 12.
        """
        return values_CG.diagonal(self.offset + rows.start)


def _info_nce_rows(
    rows: _Rows, scale: Tensor, world: World, teaching: Teaching | None = None
) -> _Gradients:
    """Return the share of this rank's rows in the loss, and the gradients."""
    row_lse_L, column_lse_G, matched = _log_sums(rows, scale, world)
    G = len(rows.text_GE)
    taught = _Taught(teaching, rows, world) if teaching else None
    plain, related = taught.weights if taught else (1.0, 0.0)
    # A column's log-sum-exp is known to all ranks: it is counted where the text is from.
    own_G = column_lse_G[rows.offset : rows.offset + len(rows.image_LE)]
    loss = plain * (row_lse_L.sum() + own_G.sum() - 2 * matched) / (2 * G)
    image_grad_LE, text_grad_GE = torch.empty_like(rows.image_LE), torch.zeros_like(rows.text_GE)
    scale_grad = torch.zeros_like(scale)
    for part in rows.slices:
        cosine_CG = rows.cosines(part)
        logits_CG = scale * cosine_CG
        # d loss / d logit = (row softmax + column softmax - 2 · identity) / 2G; of a teacher's
        # part its row and column softmax stand in the place of the identity.
        log_row_CG, log_column_CG = logits_CG - row_lse_L[part, None], logits_CG - column_lse_G
        slope_CG = (log_row_CG.exp() + log_column_CG.exp()).mul_(plain + related)
        rows.diagonal(slope_CG, part).sub_(2 * plain)
        if taught:
            for own_CG, (their_CG, log_CG) in zip(
                (log_row_CG, log_column_CG), taught.softmaxes(part), strict=True
            ):
                loss += related * (their_CG * (log_CG - own_CG)).sum() / (2 * G)
                slope_CG -= related * their_CG
        slope_CG /= 2 * G
        scale_grad += (slope_CG * cosine_CG).sum()
        slope_CG *= scale
        image_grad_LE[part] = slope_CG @ rows.text_GE
        text_grad_GE.addmm_(slope_CG.T, rows.image_LE[part])
    return _Gradients(loss, image_grad_LE, text_grad_GE, scale_grad, None)


class _Taught:
    """A teacher's softmax of the rows and of the columns, for the same chunks as the student's.

    Args:
        teaching: of the teacher.
        rows: of the student.
        world: the ranks.
    """

    def __init__(self, teaching: Teaching, rows: _Rows, world: World) -> None:
        self.weights = (teaching.contrastive_weight, teaching.relation_weight)
        wide = rows.image_LE.dtype
        text_GD = gather_rows(teaching.text_LD.to(wide), world)
        self._rows = _Rows(teaching.image_LD.to(wide), text_GD, rows.offset, 1)
        self._rows.slices = rows.slices
        self._scale = teaching.scale.to(wide)
        self._row_lse_L, self._column_lse_G, _ = _log_sums(self._rows, self._scale, world)

    def softmaxes(self, part: slice) -> list[tuple[Tensor, Tensor]]:
        """Return probabilities and their logarithms, (C, G) each, of rows and of columns."""
        logits_CG = self._scale * self._rows.cosines(part)
        logs = (logits_CG - self._row_lse_L[part, None], logits_CG - self._column_lse_G)
        return [(log_CG.exp(), log_CG) for log_CG in logs]


def _log_sums(rows: _Rows, scale: Tensor, world: World) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-sum-exp of this rank's rows (L) and of all columns (G), and the sum of matches."""
    row_lse_L = rows.image_LE.new_empty(len(rows.image_LE))
    column_lse_G = rows.text_GE.new_full((len(rows.text_GE),), -torch.inf)
    matched = torch.zeros_like(scale)
    for part in rows.slices:
        logits_CG = scale * rows.cosines(part)
        row_lse_L[part] = logits_CG.logsumexp(dim=1)
        column_lse_G = torch.logaddexp(column_lse_G, logits_CG.logsumexp(dim=0))
        matched += rows.diagonal(logits_CG, part).sum()
    of_ranks_RG = gather_rows(column_lse_G[None], world)
    return row_lse_L, of_ranks_RG.logsumexp(dim=0), matched


def _siglip_rows(rows: _Rows, scale: Tensor, bias: Tensor) -> _Gradients:
    """Return the share of this rank's rows in the loss, and the gradients."""
    G = len(rows.text_GE)
    image_grad_LE, text_grad_GE = torch.empty_like(rows.image_LE), torch.zeros_like(rows.text_GE)
    loss, scale_grad, bias_grad = (torch.zeros_like(scale) for _ in range(3))
    for part in rows.slices:
        cosine_CG = rows.cosines(part)
        logits_CG = scale * cosine_CG + bias
        # -log σ(-x) = softplus(x) for all, and softplus(-x) = softplus(x) - x where they match.
        own_C = rows.diagonal(logits_CG, part)
        loss += (F.softplus(logits_CG).sum() - own_C.sum()) / G
        slope_CG = logits_CG.sigmoid()
        rows.diagonal(slope_CG, part).sub_(1)
        slope_CG /= G
        scale_grad += (slope_CG * cosine_CG).sum()
        bias_grad += slope_CG.sum()
        slope_CG *= scale
        image_grad_LE[part] = slope_CG @ rows.text_GE
        text_grad_GE.addmm_(slope_CG.T, rows.image_LE[part])
    return _Gradients(loss, image_grad_LE, text_grad_GE, scale_grad, bias_grad)
