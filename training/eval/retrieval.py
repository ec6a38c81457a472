"""Retrieval: how often images find their texts, and texts their images.

Shapes: N images, M texts, Q queries of a chunk, E shared width, K ranks asked for (1, 5, 10).
Embeddings of the whole set are on every rank; similarities are computed a chunk of queries at a
time, each rank its own chunks, so that no N × M matrix is ever there.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curate.errors import InputError
from curate.training.eval.confidence import bootstrap_interval, mean_interval, wilson_interval
from curate.training.eval.data import EvalDataset, EvalSample
from curate.training.eval.embed import AS_IT_IS, Encoder, View, check_finite
from curate.training.eval.ranks import gather, rank_and_world, sum_tensor

__all__ = ["retrieval_recall", "retrieve"]

RANKS = (1, 5, 10)
_CHUNK = 512
_Texts = list[tuple[str, str, str]]  # key of the image, group, text


def _query_ranks(
    query_QE: Tensor, item_ME: Tensor, owner_Q: Tensor, owner_M: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of the queries and the rank, from 0, of each one's best positive.

    A tie counts against it, so that a model that gives everything one score has recall 0, not 1.
    Each rank gets every `world`-th chunk.
    """
    rank, world = rank_and_world()
    lowest = torch.finfo(item_ME.dtype).min
    for first in range(rank * _CHUNK, len(query_QE), world * _CHUNK):
        rows = slice(first, first + _CHUNK)
        similarity_QM = query_QE[rows] @ item_ME.T
        positive_QM = owner_Q[rows, None] == owner_M[None, :]
        best_Q1 = similarity_QM.masked_fill(~positive_QM, lowest).amax(dim=1, keepdim=True)
        yield rows, ((similarity_QM >= best_Q1) & ~positive_QM).sum(dim=1)


def _hits(query_QE: Tensor, item_ME: Tensor, owner_Q: Tensor, owner_M: Tensor) -> Tensor:
    """Whether each query has a right answer among the first 1, 5, 10: (Q, K) of 0 and 1."""
    asked_K = torch.tensor(RANKS, device=query_QE.device)
    hits_QK = torch.zeros(len(query_QE), len(RANKS), dtype=torch.long, device=query_QE.device)
    for rows, rank_Q in _query_ranks(query_QE, item_ME, owner_Q, owner_M):
        hits_QK[rows] = (rank_Q[:, None] < asked_K).long()
    return sum_tensor(hits_QK).cpu()


def retrieval_recall(
    image_NE: Tensor, text_ME: Tensor, image_of_text: Sequence[int]
) -> dict[str, Any]:
    """Share of queries with a right answer among the first 1, 5 and 10.

    Args:
        image_NE: unit length, (N, E).
        text_ME: unit length, (M, E).
        image_of_text: index of each text's image, shape (M,).

    Returns:
        ``image_to_text`` and ``text_to_image``, each R@1, R@5, R@10, over the images that have a
        text and over the texts.
    """
    owner_M = torch.as_tensor(image_of_text, device=image_NE.device)
    with_text = torch.unique(owner_M)
    number_N = torch.arange(len(image_NE), device=image_NE.device)
    of_images = _hits(image_NE[with_text], text_ME, with_text, owner_M)
    of_texts = _hits(text_ME, image_NE, owner_M, number_N)
    return {"image_to_text": _recalls(of_images), "text_to_image": _recalls(of_texts)}


def _recalls(hits_QK: Tensor) -> dict[str, float]:
    shares = hits_QK.double().mean(dim=0).tolist() if len(hits_QK) else [0.0] * len(RANKS)
    return {f"R@{k}": share for k, share in zip(RANKS, shares, strict=True)}


def retrieve(
    encoder: Encoder, dataset: EvalDataset, views: Sequence[View] = (AS_IT_IS,)
) -> list[dict[str, Any]]:
    """Retrieve the texts of images and the images of texts, of all texts and of each group's.

    Samples of one image are one image with several texts.

    Returns:
        Of each view: recalls with 95 % intervals: binomial for images; for texts by resampling
        images, whose captions are not independent. Groups (languages): each, and their plain
        mean. Equal on all ranks.

    Raises:
        InputError: there is no text.
        ArtifactError: the model's embeddings are not finite.
    """
    keys, image_NE, texts = _embed_images(encoder, dataset)
    if not keys:
        return [{"task": "retrieval"} for _ in views]  # the caller, who counts, refuses it
    place = {key: i for i, key in enumerate(keys)}
    texts = [t for t in texts if t[0] in place]
    if not texts:
        raise InputError(f"{dataset.path}: there is no image with a text; expected captions")
    text_ME = _embed_texts(encoder, [text for _, _, text in texts])
    check_finite(image_NE, "images")
    check_finite(text_ME, "texts")
    device = encoder.device
    owner_M = torch.tensor([place[key] for key, _, _ in texts], device=device)
    image_NE, text_ME = image_NE.to(device), text_ME.to(device)
    viewed = (view.texts(text_ME, [text for _, _, text in texts]) for view in views)
    return [
        _report(image_NE, asked_ME, asking_ME, owner_M, texts) for asked_ME, asking_ME in viewed
    ]


def _report(
    image_NE: Tensor, asked_ME: Tensor, asking_ME: Tensor, owner_M: Tensor, texts: _Texts
) -> dict[str, Any]:
    """Return the figures of texts that images ask for, and of texts that ask for images."""
    number_N = torch.arange(len(image_NE), device=image_NE.device)
    of_texts = _hits(asking_ME, image_NE, owner_M, number_N)
    found: dict[str, Any] = {
        "task": "retrieval",
        "distinct_images": len(image_NE),
        "chance_R@1": 1 / len(image_NE),
        **_figures(image_NE, asked_ME, owner_M, of_texts),
    }
    groups = sorted({group for _, group, _ in texts} - {""})
    if groups:
        found["by_group"] = {}
        for group in groups:
            rows = torch.tensor([i for i, t in enumerate(texts) if t[1] == group])
            at = rows.to(image_NE.device)
            found["by_group"][group] = _figures(image_NE, asked_ME[at], owner_M[at], of_texts[rows])
        found["mean_over_groups"] = _mean(list(found["by_group"].values()))
    return found


def _figures(
    image_NE: Tensor, text_ME: Tensor, owner_M: Tensor, of_texts: Tensor
) -> dict[str, Any]:
    """Both ways, for some of the texts; images without a text among them do not ask."""
    with_text, number_of = torch.unique(owner_M, return_inverse=True)
    of_images = _hits(image_NE[with_text], text_ME, with_text, owner_M)
    number_of = number_of.cpu().numpy()
    num_texts = np.bincount(number_of)
    intervals: dict[str, dict[str, list[float]]] = {"image_to_text": {}, "text_to_image": {}}
    for at, k in enumerate(RANKS):
        num_hits = int(of_images[:, at].sum())
        per_image = np.bincount(number_of, weights=of_texts[:, at].numpy()).astype(np.int64)
        by_binomial = wilson_interval(num_hits, len(of_images))
        by_resampling = bootstrap_interval(per_image, num_texts)
        intervals["image_to_text"][f"R@{k}"] = list(by_binomial)
        intervals["text_to_image"][f"R@{k}"] = list(by_resampling)
    return {
        "texts": len(text_ME),
        "images_with_text": len(with_text),
        "image_to_text": _recalls(of_images),
        "text_to_image": _recalls(of_texts),
        "intervals": intervals,
    }


def _mean(groups: list[dict[str, Any]]) -> dict[str, Any]:
    ways, names = ("image_to_text", "text_to_image"), [f"R@{k}" for k in RANKS]
    means = {way: {k: float(np.mean([g[way][k] for g in groups])) for k in names} for way in ways}
    intervals = {
        way: {k: list(mean_interval([g["intervals"][way][k] for g in groups])) for k in names}
        for way in ways
    }
    return {**means, "intervals": intervals}


def _embed_images(encoder: Encoder, dataset: EvalDataset) -> tuple[list[str], Tensor, _Texts]:
    """Return the keys of all distinct images, sorted, their embeddings, and all texts, sorted."""
    rank, world = rank_and_world()
    texts: _Texts = []
    own_keys: list[str] = []
    pieces: list[Tensor] = []
    distinct = _each_image_once(dataset.samples(rank, world), texts)
    for samples, image_BE in encoder.images(distinct):
        own_keys += [s.key for s in samples]
        pieces.append(image_BE.cpu())
    own_NE = torch.cat(pieces) if pieces else torch.empty(0, 1)
    gathered = gather((own_keys, own_NE, texts))
    first: dict[str, tuple[int, int]] = {}
    for r, (keys, _, _) in enumerate(gathered):
        for i, key in enumerate(keys):
            first.setdefault(key, (r, i))
    keys = sorted(first)
    rows = [gathered[r][1][i] for r, i in (first[key] for key in keys)]
    image_NE = torch.stack(rows) if rows else torch.empty(0, 1)
    return keys, image_NE, sorted(text for _, _, found in gathered for text in found)


def _each_image_once(samples: Iterator[EvalSample], texts: _Texts) -> Iterator[EvalSample]:
    """Yield the first sample of each image, and put the texts of all into `texts`."""
    seen: set[str] = set()
    for sample in samples:
        groups = sample.groups or ("",)
        each = groups if len(groups) == len(sample.texts) else groups[:1] * len(sample.texts)
        texts += [(sample.key, g, t) for g, t in zip(each, sample.texts, strict=True)]
        if sample.key not in seen:
            seen.add(sample.key)
            yield sample


def _embed_texts(encoder: Encoder, texts: Sequence[str]) -> Tensor:
    """Embed texts, every rank its share, and return all of them in order, on the CPU."""
    rank, world = rank_and_world()
    shares = gather(encoder.texts(texts[rank::world]).cpu())
    text_ME = torch.empty(len(texts), shares[0].shape[1])
    for r, share_ME in enumerate(shares):
        text_ME[r::world] = share_ME
    return text_ME
