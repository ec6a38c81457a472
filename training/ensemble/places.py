"""Texts in, their places among clusters out, by the encoder that the clusters were made with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curate.curation.vectors.balanced import nearest_centre
from curate.curation.vectors.mixture import expert_weights, single_weights
from curate.training.embedding.encoders import TextEncoder, clip_encoders, unit_vectors
from curate.training.embedding.sentences import is_sentence_encoder, open_sentence_encoder
from curate.training.ensemble.model import weighed_blocks
from curate.training.eval.embed import View
from curate.training.eval.prompts import Vocabulary
from curate.training.eval.ranks import gather

__all__ = ["ClusterWeights", "TextPlaces", "open_text_encoder"]

NOWHERE = -1
_BATCH = 256


def open_text_encoder(name: str, device: torch.device) -> tuple[TextEncoder, dict[str, Any]]:
    """Load a text encoder; return it, and what it is.

    Args:
        name: of a sentence encoder, as for `open_sentence_encoder`; else of a model whose text
            tower is meant, as for `curate.load`.
        device: to compute on.

    Raises:
        ArtifactError, InputError, UsageError: it cannot be loaded.
    """
    if is_sentence_encoder(name):
        return open_sentence_encoder(name, device)
    _, texts, about = clip_encoders(
        name, device=device, precision="float32", model=None, tokenizer=None
    )
    return texts, about


@dataclass(frozen=True, slots=True)
class TextPlaces:
    """Finds the cluster that a text is nearest to.

    Attributes:
        encoder: of the clusters.
        centres: fine ones; (K, E).
        cluster: of each centre; (K,).
    """

    encoder: TextEncoder
    centres: NDArray[np.float32]
    cluster: NDArray[np.int64]

    def of_texts(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the cluster of each text, NOWHERE for one without a vector, and its distance."""
        return self._near(self._vectors(texts))

    def of_classes(self, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the cluster of each class, by the mean of its prompts' vectors, and its distance.

        Prompts without a vector do not count; a class of which none has one is NOWHERE.
        """
        prompts, of = [], []
        for index in range(len(vocabulary.class_ids)):
            found = vocabulary.prompts(index)
            prompts += found
            of += [index] * len(found)
        sums = np.zeros((len(vocabulary.class_ids), self.centres.shape[1]))
        np.add.at(sums, of, self._vectors(prompts).astype(np.float64))
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return self._near((sums / np.where(lengths > 0, lengths, 1.0)).astype(np.float32))

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.zeros((len(texts), self.centres.shape[1]), np.float32)
        for first in range(0, len(texts), _BATCH):
            prepared, _ = self.encoder.prepare(texts[first : first + _BATCH])
            vectors = unit_vectors(self.encoder.encode(prepared), "texts")
            found[first : first + len(vectors)] = vectors
        return found

    def _near(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        fine, distance = nearest_centre(vectors, self.centres)
        is_there = vectors.any(axis=1)
        return np.where(is_there, self.cluster[fine], NOWHERE), distance


class ClusterWeights(View):
    """An ensemble whose weights follow from where a task's classes, or texts, are.

    Images that ask for texts are a task whose classes are all of these; a text that asks for images
    is a task by itself.

    Args:
        places: among the clusters.
        experts: the cluster of each expert, (X,).

    Attributes:
        noted: the weights of each task that was asked for, by its language or "texts"; (X,). Where
            each question is a task, the mean of theirs.
    """

    def __init__(self, places: TextPlaces, experts: Sequence[int]) -> None:
        self._places, self._experts = places, np.array(experts, np.int64)
        self.noted: dict[str, list[float]] = {}
        self._sum = np.zeros(len(experts))
        self._num = 0

    def classes(self, class_CE: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Return the classes' vectors, weighed by where the classes are."""
        weights = expert_weights(*self._places.of_classes(vocabulary), self._experts)
        self.noted[vocabulary.lang] = weights.tolist()
        return weighed_blocks(class_CE, torch.from_numpy(weights))

    def texts(self, text_ME: Tensor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the texts' vectors, weighed by all of their places, and each by its own."""
        cluster, distance = self._places.of_texts(texts)
        weights = expert_weights(cluster, distance, self._experts)
        self._sum += weights
        self._num += 1
        self.noted["texts"] = (self._sum / self._num).tolist()
        each = single_weights(cluster, self._experts)
        return (
            weighed_blocks(text_ME, torch.from_numpy(weights)),
            weighed_blocks(text_ME, torch.from_numpy(each)),
        )

    def of_all_ranks(self) -> dict[str, list[float]]:
        """Return `noted` of the questions of all ranks, which share them out."""
        gathered = gather((self._sum, self._num))
        num = sum(of_rank for _, of_rank in gathered)
        if num:
            mean = sum((of_rank for of_rank, _ in gathered), np.zeros(len(self._sum))) / num
            self.noted["texts"] = [round(weight, 12) for weight in mean.tolist()]
        return self.noted
