"""A frozen teacher beside a model that learns: its features of the same pairs, and a projection.

Shapes: L pairs of this rank, E the student's shared width, D the teacher's, T tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from curate.training.data.batch import Batch
from curate.training.data.pixels import normalize_images
from curate.training.loop.config import DistillConfig
from curate.training.loop.distributed import World
from curate.training.loop.loss import Teaching
from curate.training.model.clip import CLIP
from curate.training.model.pieces import cut_to_longest

__all__ = ["Distiller", "Features", "StoredTeacher", "resized"]


@dataclass(frozen=True, slots=True)
class Features:
    """What a teacher says of the pairs of this rank, unit length.

    Attributes:
        image_LD: of the images.
        text_LD: of the texts.
    """

    image_LD: Tensor
    text_LD: Tensor


def resized(image_L3HW: Tensor, size: int) -> Tensor:
    """Return uint8 images of another size: bicubic, antialiased; those of the size as they are."""
    if image_L3HW.shape[-1] == size:
        return image_L3HW
    found = F.interpolate(image_L3HW.float(), size=(size, size), mode="bicubic", antialias=True)
    return found.round().clamp(0, 255).to(torch.uint8)


class StoredTeacher(nn.Module):
    """What a teacher said of pairs before, instead of the teacher: it is asked by their ids.

    Args:
        find: gives the vectors of images and texts of pairs, by their ids and cuts.
        width: D.
        device: where they go.
    """

    logit_scale: Tensor

    def __init__(
        self,
        find: Callable[
            [Sequence[str], Sequence[int]], tuple[NDArray[np.float32], NDArray[np.float32]]
        ],
        width: int,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.width, self._find = width, find
        # Nobody stored it: the teacher's scale has to be given.
        self.register_buffer("logit_scale", torch.zeros((), device=device))

    def features(self, pair_ids: Sequence[str], crops: Sequence[int]) -> Features:
        """Return what is stored of pairs, of the cuts of their images that the student sees."""
        stored = self._find(pair_ids, crops)
        found = [torch.from_numpy(one).to(self.logit_scale.device) for one in stored]
        image_LD, text_LD = (F.normalize(one, dim=-1) for one in found)
        return Features(image_LD, text_LD)


class Distiller:
    """A teacher, its weight in the loss, and what brings a student's features to its width.

    The teacher is whole on every rank: it is neither trained nor shared out.

    Args:
        teacher: in evaluation mode, on the device; or its vectors.
        config: weights and scale.
        width: E.
        learning_rate: of the projection's AdamW; the schedule sets it anew for each step.
        dtype: of the teacher's activations; None for float32.
        world: the ranks that train together.

    Attributes:
        projection: from E to D for images and texts; None where no features are compared, or both
            widths are one.

    Source: Yang et al. 2024, arXiv:2307.12732 (CLIP-KD), sections 3.2 (relations) and 3.3
    (features); Vasu et al. 2024, arXiv:2311.17049 (MobileCLIP), section 3.2.
    """

    def __init__(
        self,
        teacher: CLIP | StoredTeacher,
        config: DistillConfig,
        *,
        width: int,
        learning_rate: float,
        dtype: torch.dtype | None,
        world: World,
    ) -> None:
        self.config, self._world, self._dtype = config, world, dtype
        self.teacher = teacher.eval().requires_grad_(False)
        if isinstance(teacher, CLIP):
            # It is never compiled. On a GPU attention in pieces would be many small kernels.
            teacher.by_length = teacher.logit_scale.device.type == "cpu"
        scale = teacher.logit_scale.detach().exp().float()
        given = config.teacher_scale
        self._scale = scale if given is None else scale.new_tensor(given)
        self.projection: nn.ModuleList | None = None
        self.optimizer: torch.optim.AdamW | None = None
        theirs = teacher.width if isinstance(teacher, StoredTeacher) else teacher.config.embed_dim
        if config.feature_weight and theirs != width:
            made = [nn.Linear(width, theirs, bias=False) for _ in range(2)]
            self.projection = nn.ModuleList(made).to(teacher.logit_scale.device)
            self.optimizer = torch.optim.AdamW(
                self.projection.parameters(), lr=learning_rate, weight_decay=0.0, fused=True
            )

    @torch.no_grad()
    def features(self, batch: Batch, image_L3HW: Tensor | None = None) -> Features:
        """Return what the teacher says of pairs.

        Images of another size than the teacher's are resized to it (bicubic, antialiased), as the
        published code does with those of the student.

        Args:
            batch: as students get it, its last tokens those of the teacher; of stored vectors its
                ids and cuts are asked for, whatever its images and texts.
            image_L3HW: its images, where they are on the device already.
        """
        if isinstance(self.teacher, StoredTeacher):
            return self.teacher.features(batch.pair_ids, batch.crops)
        device = self.teacher.logit_scale.device
        seen = torch.as_tensor(batch.images).to(device) if image_L3HW is None else image_L3HW
        image_L3HW = normalize_images(resized(seen, self.teacher.config.image_size))
        tokens = torch.as_tensor([batch.tokens, *batch.more_tokens][-1])
        token_LT = cut_to_longest(tokens, self.teacher.eos_id)[0].to(device)
        with torch.autocast(device.type, self._dtype, enabled=self._dtype is not None):
            image_LD, text_LD, _ = self.teacher(image_L3HW, token_LT)
        return Features(image_LD.float(), text_LD.float())

    def teaching(self, features: Features) -> Teaching:
        """Return what the contrastive loss has to know of the teacher."""
        return Teaching(
            features.image_LD, features.text_LD, self._scale, self.config.contrastive_weight,
            self.config.relation_weight,
        )  # fmt: skip

    def feature_loss(self, image_LE: Tensor, text_LE: Tensor, features: Features) -> Tensor | None:
        """Return `feature_weight` times one minus the cosine to the teacher's features.

        The mean over the pairs of this rank and both kinds; None with a weight of 0.
        """
        if not self.config.feature_weight:
            return None
        projections = self.projection or (nn.Identity(), nn.Identity())
        pairs = zip(
            projections, (image_LE, text_LE), (features.image_LD, features.text_LD), strict=True
        )
        losses = [1 - F.cosine_similarity(project(own.float()), theirs).mean()
                  for project, own, theirs in pairs]  # fmt: skip
        return self.config.feature_weight * torch.stack(losses).mean()

    def step(self, rate: float, *, is_good: bool) -> None:
        """Take the projection's step with the mean of all ranks' gradients, and clear them.

        Args:
            rate: of the schedule.
            is_good: the model takes its step too.
        """
        if self.projection is None or self.optimizer is None:
            return
        if self._world.size > 1:
            for parameter in self._with_gradients():
                dist.all_reduce(parameter)
                parameter /= self._world.size
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if is_good:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _with_gradients(self) -> Iterator[Tensor]:
        assert self.projection is not None
        yield from (p.grad for p in self.projection.parameters() if p.grad is not None)

    def state(self) -> dict[str, object]:
        """Return copies of the projection and its optimizer's state; {} without one."""
        if self.projection is None or self.optimizer is None:
            return {}
        weights = {k: v.detach().cpu() for k, v in self.projection.state_dict().items()}
        return deepcopy({"model": weights, "optimizer": self.optimizer.state_dict()})

    def load_state(self, state: dict[str, object]) -> None:
        """Go on from a state."""
        if self.projection is not None and self.optimizer is not None:
            self.projection.load_state_dict(state["model"])  # type: ignore[arg-type]
            self.optimizer.load_state_dict(deepcopy(state["optimizer"]))  # type: ignore[arg-type]
