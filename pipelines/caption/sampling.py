"""How words are chosen: the likeliest, or drawn by a hash of seed and pair.

A draw is an argmax with noise: the word whose logit plus a Gumbel variable is largest has the
probability of the softmax (Gumbel 1954; Yellott 1977). Each pair's noise is a stream of its own,
so that the other pairs of a batch do not decide what is said of it, as they do where all draws are
from one stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xxhash

from curate.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Decoding", "SeededDraws"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How words are chosen.

    Attributes:
        max_tokens: of a caption.
        temperature: 0: always the likeliest word.
        top_p: draw from the likeliest words of this share.
        seed: of the draws.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.max_tokens < 1:
            raise UsageError(f"--max-tokens is {self.max_tokens}; expected at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"--temperature is {self.temperature}; expected 0 or more")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p is {self.top_p}; expected above 0, up to 1")

    def seed_of(self, pair_id: str) -> int:
        """Return the seed of a pair's draws; 0 <= seed < 2^63."""
        raw = pair_id.encode("utf-8", "surrogatepass")
        return xxhash.xxh3_64_intdigest(raw, xxhash.xxh3_64_intdigest(f"{self.seed}".encode())) >> 1

    def processors(self, pair_ids: Sequence[str]) -> list[Any]:
        """Return what `generate` of transformers takes to choose words, beside `do_sample=False`.

        Args:
            pair_ids: of the rows of the batch.
        """
        if not self.temperature:
            return []
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        seeds = [self.seed_of(pair_id) for pair_id in pair_ids]
        found: list[Any] = [TemperatureLogitsWarper(self.temperature)]
        if self.top_p < 1:
            found.append(TopPLogitsWarper(self.top_p))
        return [*found, SeededDraws(seeds)]


class SeededDraws:
    """Adds Gumbel noise to logits, each row's from a stream of its own.

    Args:
        seeds: of the rows.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        import torch

        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, _input_ids: "Tensor", scores_BV: "Tensor") -> "Tensor":
        """Return scores_BV with noise; B rows, V words."""
        import torch

        width = scores_BV.shape[1]
        rows = [torch.rand(width, generator=stream) for stream in self._streams]
        tiny = torch.finfo(torch.float32).tiny
        noise_BV = -(-torch.stack(rows).clamp_min(tiny).log()).clamp_min(tiny).log()
        return scores_BV.float() + noise_BV.to(scores_BV.device)
