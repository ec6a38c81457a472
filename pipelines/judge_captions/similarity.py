"""How near an image is to its alt-text, its caption, and both, by a CLIP model."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Similarity", "load_similarity"]

_BATCH = 64


class Similarity:
    """Cosines of images and texts; on a CPU of one core, so that workers decide nothing.

    Args:
        model: run, export, or name of a model, as for `curate.load`.
        device: where it goes.
        precision: auto, float32, bfloat16 or float16.

    Attributes:
        image_size: pixels of both sides that it sees.
        sha256: of its tensors and of its tokenizer.
    """

    def __init__(self, model: str, device: str, precision: str) -> None:
        import torch

        from curate.training.embedding.encoders import clip_encoders

        self._images, self._texts, about = clip_encoders(
            model, device=torch.device(device), precision=precision, model=None, tokenizer=None
        )
        self.image_size: int = about["image_size"]
        self.sha256 = [about["sha256"], about["tokenizer_sha256"]]
        self._thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))

    def of(
        self, images: Sequence[NDArray[np.uint8]], *texts: Sequence[str]
    ) -> list[NDArray[np.float32]]:
        """Return the cosine of each image and its text, for each list of texts; shape (n,) each.

        Args:
            images: shape (3, image_size, image_size); one that stands there again, for another of
                its captions, is looked at once.
            texts: shape (n,), of each kind.
        """
        return self._thread.submit(self._of, images, texts).result()

    def _of(
        self, images: Sequence[NDArray[np.uint8]], texts: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        distinct = {id(image): image for image in images}
        at = {key: number for number, key in enumerate(distinct)}
        rows = list(distinct.values())
        image_NE = _unit([self._images.encode(np.stack(rows[i : i + _BATCH]))
                          for i in range(0, len(rows), _BATCH)])  # fmt: skip
        image_NE = image_NE[[at[id(image)] for image in images]]
        found = []
        for of_kind in texts:
            vectors = [self._texts.encode(self._texts.prepare(of_kind[i : i + _BATCH])[0])
                       for i in range(0, len(of_kind), _BATCH)]  # fmt: skip
            found.append((image_NE * _unit(vectors)).sum(axis=1, dtype=np.float32))
        return found


def _unit(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    whole = np.concatenate(vectors)
    length = np.linalg.norm(whole, axis=1, keepdims=True)
    return np.asarray(whole / np.where(length > 0, length, 1.0), np.float32)


@lru_cache(maxsize=1)
def load_similarity(model: str, device: str, precision: str) -> Similarity:
    """Return what compares images and texts, loaded once in a process.

    Raises:
        ArtifactError, InputError, UsageError: as for `curate.load`.
    """
    return Similarity(model, device, precision)
