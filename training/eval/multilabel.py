"""Several classes per image: how well a class's images come first when sorted by similarity.

Shapes: N images, C classes, E shared width. The scores of the whole set are on every rank.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curate.errors import InputError
from curate.training.eval.confidence import mean_interval
from curate.training.eval.data import EvalDataset, EvalSample
from curate.training.eval.embed import AS_IT_IS, Encoder, View, check_finite
from curate.training.eval.ranks import gather, rank_and_world
from curate.training.eval.zeroshot import class_embeddings

__all__ = ["average_precision", "multilabel"]

_Row = tuple[str, list[NDArray[np.float32]], NDArray[np.bool_]]
_RESAMPLES = 200
_SEED = 0


def average_precision(
    score_NC: NDArray[np.float32],
    truth_NC: NDArray[np.bool_],
    times_N: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Mean, over a class's images, of the precision among all that come no later.

    Of equal scores, images without the class come first, so that a tie counts against the model.

    Args:
        score_NC: similarity of images and classes.
        truth_NC: whether an image has a class.
        times_N: how often each image counts; None for once.

    Returns:
        Shape (C,); nan for a class that no image has.

    >>> average_precision(np.float32([[3], [2], [1]]), np.array([[True], [False], [True]]))
    array([0.83333333])
    """
    times_N = np.ones(len(score_NC), np.int64) if times_N is None else times_N
    order_NC = np.lexsort((truth_NC, -score_NC), axis=0)
    hit_NC = np.take_along_axis(truth_NC, order_NC, axis=0) * times_N[order_NC]
    precision_NC = hit_NC.cumsum(axis=0) / np.maximum(1, times_N[order_NC].cumsum(axis=0))
    num_C = hit_NC.sum(axis=0)
    total_C = (precision_NC * hit_NC).sum(axis=0)
    found_C = np.full(len(num_C), np.nan)
    np.divide(total_C, num_C, out=found_C, where=num_C > 0)
    return found_C


def multilabel(
    encoder: Encoder, dataset: EvalDataset, views: Sequence[View] = (AS_IT_IS,)
) -> list[dict[str, Any]]:
    """Score images that have any number of classes each.

    Returns:
        Of each view: mean average precision over the classes that occur, with a 95 % interval by
        resampling images; several languages: each, and their plain mean. Equal on all ranks.

    Raises:
        InputError: there is no usable image, or a sample's labels are not one per class.
        ArtifactError: the model's embeddings are not finite.
    """
    rank, world = rank_and_world()
    embedded = [(class_embeddings(encoder, v), v) for v in dataset.vocabularies]
    classifiers = [view.classes(class_CE, v) for view in views for class_CE, v in embedded]
    own: list[_Row] = []
    for samples, image_NE in encoder.images(_checked(dataset, rank, world)):
        scores = [(image_NE @ class_CE.T).cpu().numpy() for class_CE in classifiers]
        for row, sample in enumerate(samples):
            truth = np.array(sample.classes, dtype=bool)
            own.append((sample.key, [s[row] for s in scores], truth))
    rows = sorted((r for found in gather(own) for r in found), key=lambda r: r[0])
    if not rows:
        # The caller, who counts, refuses it.
        return [{"task": "multilabel classification"} for _ in views]
    num = len(dataset.vocabularies)
    return [_report(dataset, rows, at * num) for at in range(len(views))]


def _report(dataset: EvalDataset, rows: Sequence[_Row], first: int) -> dict[str, Any]:
    """Return the figures of a view, whose scores begin at a place of each row's."""
    reports = {}
    for number, vocabulary in enumerate(dataset.vocabularies, start=first):
        score_NC = np.stack([scores[number] for _, scores, _ in rows])
        check_finite(torch.from_numpy(score_NC), "images")
        truth_NC = np.stack([truth for _, _, truth in rows])[:, list(vocabulary.class_ids)]
        reports[vocabulary.lang] = _figures(score_NC, truth_NC)
    head = {"task": "multilabel classification"}
    if len(reports) == 1:
        return head | next(iter(reports.values()))
    mean = float(np.mean([r["mean_average_precision"] for r in reports.values()]))
    interval = list(mean_interval([r["interval"] for r in reports.values()]))
    return head | {"mean_average_precision": mean, "interval": interval, "by_lang": reports}


def _figures(score_NC: NDArray[np.float32], truth_NC: NDArray[np.bool_]) -> dict[str, Any]:
    found = average_precision(score_NC, truth_NC)
    has_images = ~np.isnan(found)
    score_NC, truth_NC = score_NC[:, has_images], truth_NC[:, has_images]
    return {
        "classes": int(has_images.sum()),
        "chance": float(truth_NC.mean()) if truth_NC.size else 0.0,
        "mean_average_precision": float(found[has_images].mean()) if has_images.any() else 0.0,
        "interval": _interval(score_NC, truth_NC),
    }


def _interval(score_NC: NDArray[np.float32], truth_NC: NDArray[np.bool_]) -> list[float]:
    if not truth_NC.size:
        return [0.0, 1.0]
    rng = np.random.default_rng(_SEED)
    num = len(score_NC)
    draws = rng.multinomial(num, np.full(num, 1 / num), size=_RESAMPLES)
    means = [np.nanmean(average_precision(score_NC, truth_NC, times_N)) for times_N in draws
             if truth_NC[times_N > 0].any()]  # fmt: skip
    return [float(bound) for bound in np.percentile(means, [2.5, 97.5])]


def _checked(dataset: EvalDataset, rank: int, world: int) -> Iterator[EvalSample]:
    for sample in dataset.samples(rank, world):
        if len(sample.classes) != dataset.num_classes:
            raise InputError(
                f"{sample.where}: got {len(sample.classes)} labels; expected one for each of the "
                f"{dataset.num_classes} classes. Give the class names that belong to this set."
            )
        yield sample
