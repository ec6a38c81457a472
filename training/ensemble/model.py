"""Experts side by side as one model: a vector is the vectors of all of them, one behind the other.

A product of such vectors is the sum of the experts' cosines; with the blocks of the text's vector
weighed it is the weighted sum. So whatever compares a model's vectors compares an ensemble's.

Shapes: B batch, M texts, X experts, E width of an expert's vectors.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from curate.errors import ArtifactError
from curate.training.eval.embed import View
from curate.training.eval.prompts import Vocabulary
from curate.training.model.clip import CLIP

__all__ = ["Ensemble", "FixedWeights", "weighed_blocks"]


class Ensemble(nn.Module):
    """Experts of one shape, whose vectors stand one behind the other.

    Args:
        experts: at least one, of one shape and one tokenizer.

    Raises:
        ArtifactError: their shapes differ.
    """

    def __init__(self, experts: Sequence[CLIP]) -> None:
        super().__init__()
        shapes = {(one.config.embed_dim, one.config.image_size, one.eos_id) for one in experts}
        if len(shapes) != 1:
            raise ArtifactError(
                "the experts are of several shapes (width, pixels, end token: "
                f"{', '.join(map(str, sorted(shapes)))}); expected experts of one run"
            )
        self.experts = nn.ModuleList(experts)
        self.eos_id = experts[0].eos_id

    def encode_image(self, image_B3SS: Tensor) -> Tensor:
        """Return (B, X·E), each block of unit length."""
        return self._together("encode_image", image_B3SS)

    def encode_text(self, tokens_BT: Tensor) -> Tensor:
        """Return (B, X·E), each block of unit length."""
        return self._together("encode_text", tokens_BT)

    def _together(self, method: str, inputs: Tensor) -> Tensor:
        found = [getattr(one, method)(inputs).float() for one in self.experts]
        return torch.cat([F.normalize(one, dim=-1) for one in found], dim=-1)


def weighed_blocks(text_ME: Tensor, weights: Tensor) -> Tensor:
    """Return texts' vectors with each expert's block at its weight as length.

    Args:
        text_ME: of an ensemble, (M, X·E).
        weights: (X,), or of each text its own, (M, X).

    >>> weighed_blocks(torch.tensor([[3.0, 4.0, 0.0, 2.0]]), torch.tensor([1.0, 0.5])).tolist()
    [[0.6000000238418579, 0.800000011920929, 0.0, 0.5]]
    """
    num = weights.shape[-1]
    text_MXE = F.normalize(text_ME.view(len(text_ME), num, -1), dim=-1)
    return (text_MXE * weights.to(text_ME)[..., None]).flatten(1)


class FixedWeights(View):
    """An ensemble with the same weights whatever is asked: one expert, or the mean of all.

    Args:
        weights: (X,).
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = torch.tensor(weights, dtype=torch.float64)

    def classes(self, class_CE: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Return the classes' vectors, weighed."""
        del vocabulary
        return weighed_blocks(class_CE, self._weights)

    def texts(self, text_ME: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the texts' vectors, weighed, both ways."""
        del texts
        found = weighed_blocks(text_ME, self._weights)
        return found, found
