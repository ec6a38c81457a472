"""Encoded images and texts in, unit-length embeddings out, batch by batch.

Shapes: B batch, E shared width, T tokens. Images are decoded by threads one batch ahead of the
model, so that two batches are in memory, whatever the size of the set.
"""

import struct
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from curate.errors import ArtifactError
from curate.training.data.images import decode
from curate.training.eval.data import EvalSample
from curate.training.eval.prompts import Vocabulary
from curate.training.eval.ranks import in_step

__all__ = ["AS_IT_IS", "Encoder", "View", "check_finite"]

# What Pillow is seen to raise over damaged files.
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

Decoded = tuple[list[EvalSample], Tensor]
Pending = Sequence[tuple[EvalSample, "Future[Tensor | str]"]]


class View:
    """How embeddings of texts are compared with those of images: this one, as they are.

    Several views of one model are evaluated in one pass over the images.
    """

    def classes(self, class_CE: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Return what images are compared with, (C, E), of the embeddings of classes."""
        del vocabulary
        return class_CE

    def texts(self, text_ME: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return what images ask, and what asks images, (M, E) each, of the embeddings of texts."""
        del texts
        return text_ME, text_ME


AS_IT_IS = View()


@dataclass(slots=True, kw_only=True)
class Encoder:
    """A model with what turns images and texts into its input.

    Attributes:
        model: with ``encode_image`` and ``encode_text``.
        tokenize: from texts to (B, T).
        preprocess: from a Pillow image to (3, H, W).
        batch_size: images, or texts, at once.
        workers: threads that decode.
        skipped: samples left out, by reason.
    """

    model: nn.Module
    tokenize: Callable[[list[str]], Tensor]
    preprocess: Callable[[Image.Image], Tensor]
    batch_size: int = 256
    workers: int = 2
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def images(self, samples: Iterable[EvalSample]) -> Iterator[Decoded]:
        """Yield samples with their embeddings, (B, E); samples without a usable image are counted.

        Every rank yields equally often, perhaps no samples.
        """
        for batch in in_step(self._decoded(samples), self.device):
            found, image_B3HW = batch or ([], self._blank_image())
            embedding_BE = self._embed("encode_image", image_B3HW)
            yield found, embedding_BE[: len(found)]

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of this rank's texts, (len(texts), E), on the model's device."""
        pieces = [piece for _, piece in self.text_batches(texts)]
        return torch.cat(pieces)

    def text_batches(self, texts: Sequence[str]) -> Iterator[tuple[int, Tensor]]:
        """Yield the number of the first text of each batch and the batch's embeddings, (B, E).

        At least one batch, perhaps of none, and on every rank as many.
        """
        starts = range(0, max(1, len(texts)), self.batch_size)
        for first in in_step(starts, self.device):
            batch = [] if first is None else list(texts[first : first + self.batch_size])
            tokens_BT = self._trimmed(self.tokenize(batch or [""]))
            yield first or 0, self._embed("encode_text", tokens_BT)[: len(batch)]

    def _trimmed(self, tokens_BT: Tensor) -> Tensor:
        """Cut off what is behind the last end token: causal attention never looks at it."""
        eos_id = getattr(self.model, "eos_id", None)
        if eos_id is None:
            return tokens_BT
        is_end_BT = torch.eq(tokens_BT, eos_id)
        if not is_end_BT.any(dim=1).all():
            return tokens_BT
        return tokens_BT[:, : int(is_end_BT.int().argmax(dim=1).max()) + 1]

    @torch.no_grad()
    def _embed(self, method: str, inputs: Tensor) -> Tensor:
        encode = getattr(self.model, method)
        out: Tensor = F.normalize(encode(inputs.to(self.device)).float(), dim=-1)
        return out

    def _blank_image(self) -> Tensor:
        return self.preprocess(Image.new("RGB", (8, 8))).unsqueeze(0)

    def _decoded(self, samples: Iterable[EvalSample]) -> Iterator[Decoded]:
        """Yield samples and their stacked pixels, decoded one batch ahead by threads."""
        source = iter(samples)
        ahead: deque[Pending] = deque()
        with ThreadPoolExecutor(max(1, self.workers)) as pool:
            while True:
                while len(ahead) < 2:
                    taken = list(islice(source, self.batch_size))
                    if not taken:
                        break
                    ahead.append([(s, pool.submit(self._pixels, s)) for s in taken])
                if not ahead:
                    return
                yield from self._usable(ahead.popleft())

    def _usable(self, batch: Pending) -> Iterator[Decoded]:
        found: list[EvalSample] = []
        pixels: list[Tensor] = []
        for sample, future in batch:
            result = future.result()
            if isinstance(result, str):
                self.skipped[result] += 1
            else:
                found.append(sample)
                pixels.append(result)
        if found:
            yield found, torch.stack(pixels)

    def _pixels(self, sample: EvalSample) -> Tensor | str:
        """Return a sample's pixels, or the reason why it has none."""
        if not sample.image:
            return "no_image"
        try:
            image = decode(sample.image)
        except _BROKEN:
            return "corrupt_image"
        return self.preprocess(image)


def check_finite(embeddings: Any, what: str) -> None:
    """Refuse embeddings that are no numbers, which would compare as if they were the best.

    Raises:
        ArtifactError: a value is infinite or not a number.
    """
    if not bool(torch.isfinite(embeddings).all()):
        raise ArtifactError(
            f"the model's embeddings of {what} are not finite; its training has diverged. "
            "Evaluate an earlier checkpoint."
        )
