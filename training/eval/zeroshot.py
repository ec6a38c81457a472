"""Zero-shot classification: how often an image is nearest to the name of its own class.

Shapes: N images, C classes, E shared width.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from curate.errors import InputError
from curate.training.eval.confidence import (
    mean_interval,
    mean_of_shares_interval,
    wilson_interval,
)
from curate.training.eval.data import EvalDataset, EvalSample
from curate.training.eval.embed import AS_IT_IS, Encoder, View, check_finite
from curate.training.eval.prompts import Vocabulary
from curate.training.eval.ranks import gather, rank_and_world, sum_tensor

__all__ = ["class_embeddings", "ranks_of_labels", "zero_shot"]

# Columns of the counts: images, right with one guess, right with five.
_NUM, _TOP1, _TOP5 = 0, 1, 2


def class_embeddings(encoder: Encoder, vocabulary: Vocabulary) -> Tensor:
    """Embed classes: the mean of the embeddings of their prompts, at unit length.

    Each rank embeds the prompts of every `world`-th class.

    Returns:
        (C, E), on the model's device, the same on all ranks.

    Source: Radford et al. 2021, arXiv:2103.00020, section 3.1.4.
    """
    rank, world = rank_and_world()
    num_classes = len(vocabulary.class_ids)
    prompts, class_of = [], []
    for index in range(rank, num_classes, world):
        found = vocabulary.prompts(index)
        prompts += found
        class_of += [index] * len(found)
    class_CE: Tensor | None = None
    for first, text_BE in encoder.text_batches(prompts):
        if class_CE is None:
            class_CE = text_BE.new_zeros(num_classes, text_BE.shape[1])
        rows = torch.tensor(class_of[first : first + len(text_BE)], dtype=torch.long)
        class_CE.index_add_(0, rows.to(text_BE.device), text_BE)
    assert class_CE is not None
    class_CE = F.normalize(sum_tensor(class_CE), dim=-1)
    check_finite(class_CE, "class names")
    return class_CE


def ranks_of_labels(logits_NC: Tensor, label_N: Tensor) -> Tensor:
    """Rank, from 0, of each image's own class; of equal scores the smaller number comes first.

    So two classes of one name share their images' hits as an argmax would, and a model that gives
    everything one score is right for one class only.

    >>> ranks_of_labels(torch.tensor([[0.5, 0.5, 0.1]]), torch.tensor([1])).tolist()
    [1]
    """
    own_N1 = logits_NC.gather(1, label_N[:, None])
    number_C = torch.arange(logits_NC.shape[1], device=logits_NC.device)
    is_before_NC = (logits_NC == own_N1) & (number_C < label_N[:, None])
    return ((logits_NC > own_N1) | is_before_NC).sum(dim=1)


class _Counts:
    """Hits of one vocabulary: by class, and by group."""

    def __init__(self, vocabulary: Vocabulary, num_classes: int) -> None:
        self.place_of = torch.full((num_classes,), -1)
        self.place_of[list(vocabulary.class_ids)] = torch.arange(len(vocabulary.class_ids))
        self.by_class = np.zeros((len(vocabulary.class_ids), 3), np.int64)
        self.by_group: dict[str, NDArray[np.int64]] = {}

    def add(self, samples: list[EvalSample], image_NE: Tensor, class_CE: Tensor) -> None:
        labels = torch.tensor([s.label for s in samples], dtype=torch.long)
        place_N = self.place_of[labels]
        rows = torch.nonzero(place_N >= 0).flatten()
        if not len(rows):
            return
        place_N = place_N[rows]
        logits_NC = image_NE[rows.to(image_NE.device)] @ class_CE.T
        rank_N = ranks_of_labels(logits_NC, place_N.to(logits_NC.device)).cpu()
        hits_N3 = torch.stack([rank_N >= 0, rank_N < 1, rank_N < 5], dim=1).long().numpy()
        np.add.at(self.by_class, place_N.numpy(), hits_N3)
        for row, hits in zip(rows.tolist(), hits_N3, strict=True):
            for group in samples[row].groups:
                self.by_group[group] = self.by_group.get(group, np.zeros(3, np.int64)) + hits

    def merge(self, others: list["_Counts"]) -> None:
        self.by_class = np.sum([o.by_class for o in others], axis=0)
        groups = sorted({g for o in others for g in o.by_group})
        zeros = np.zeros(3, np.int64)
        self.by_group = {
            g: np.sum([o.by_group.get(g, zeros) for o in others], axis=0) for g in groups
        }


def zero_shot(
    encoder: Encoder, dataset: EvalDataset, views: Sequence[View] = (AS_IT_IS,)
) -> list[dict[str, Any]]:
    """Classify the images of a dataset, in every language it has class names of.

    An image counts for the languages that name its class.

    Returns:
        Of each view: figures with 95 % intervals; several languages: each, and their plain mean.
        Equal on all ranks.

    Raises:
        InputError: there is no usable image, or a label is out of range.
        ArtifactError: the model's embeddings are not finite.
    """
    rank, world = rank_and_world()
    found = [(class_embeddings(encoder, v), v) for v in dataset.vocabularies]
    classifiers = [view.classes(class_CE, v) for view in views for class_CE, v in found]
    counts = [_Counts(v, dataset.num_classes) for _ in views for _, v in found]
    num_bad = 0
    for samples, image_NE in encoder.images(_with_labels(dataset, rank, world)):
        num_bad += int((~torch.isfinite(image_NE)).any(dim=1).sum())
        for class_CE, count in zip(classifiers, counts, strict=True):
            if samples:
                count.add(samples, image_NE, class_CE)
    all_counts = gather((counts, num_bad))
    check_finite(torch.tensor(float("nan") if any(bad for _, bad in all_counts) else 0.0), "images")
    for i, count in enumerate(counts):
        count.merge([of_rank[i] for of_rank, _ in all_counts])
    num = len(found)
    return [_report(dataset, counts[at : at + num]) for at in range(0, len(counts), num)]


def _with_labels(dataset: EvalDataset, rank: int, world: int) -> Iterator[EvalSample]:
    for sample in dataset.samples(rank, world):
        if sample.label is None or not 0 <= sample.label < dataset.num_classes:
            raise InputError(
                f"{sample.where}: got class {sample.label}; expected 0 to "
                f"{dataset.num_classes - 1}, for {dataset.num_classes} classes. "
                "Give the class names that belong to this set."
            )
        yield sample


def _report(dataset: EvalDataset, counts: list[_Counts]) -> dict[str, Any]:
    reports = {
        v.lang: _figures(count) for v, count in zip(dataset.vocabularies, counts, strict=True)
    }
    head = {"task": "zero-shot classification"}
    if len(reports) == 1:
        return head | next(iter(reports.values()))
    means = {
        key: float(np.mean([r[key] for r in reports.values()]))
        for key in ("chance", "top1", "top5", "mean_class_recall")
    }
    intervals = {
        f"{key}_interval": list(mean_interval([r[f"{key}_interval"] for r in reports.values()]))
        for key in ("top1", "top5", "mean_class_recall")
    }
    return head | {"classes": dataset.num_classes} | means | intervals | {"by_lang": reports}


def _figures(counts: _Counts) -> dict[str, Any]:
    total = counts.by_class.sum(axis=0)
    seen = counts.by_class[counts.by_class[:, _NUM] > 0]
    recall = float((seen[:, _TOP1] / seen[:, _NUM]).mean()) if len(seen) else 0.0
    found: dict[str, Any] = {
        "classes": len(counts.by_class),
        "images": int(total[_NUM]),
        "chance": 1 / len(counts.by_class),
        **_shares(total),
        "mean_class_recall": recall,
        "mean_class_recall_interval": list(mean_of_shares_interval(seen[:, _TOP1], seen[:, _NUM])),
    }
    if counts.by_group:
        groups = {g: {"images": int(n[_NUM]), **_shares(n)} for g, n in counts.by_group.items()}
        found["by_group"] = groups
        found["top1_by_group"] = {g: values["top1"] for g, values in groups.items()}
    return found


def _shares(counts: NDArray[np.int64]) -> dict[str, Any]:
    num, top1, top5 = (int(n) for n in counts)
    return {
        "top1": top1 / max(1, num),
        "top1_interval": list(wilson_interval(top1, num)),
        "top5": top5 / max(1, num),
        "top5_interval": list(wilson_interval(top5, num)),
    }
