"""Multiple choice: the answer whose text is nearest to the image is the one chosen.

Shapes: N images, M texts, E shared width.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from curate.errors import InputError
from curate.training.eval.confidence import wilson_interval
from curate.training.eval.data import EvalDataset, EvalSample
from curate.training.eval.embed import AS_IT_IS, Encoder, View, check_finite
from curate.training.eval.ranks import gather, rank_and_world

__all__ = ["choose"]


def choose(
    encoder: Encoder, dataset: EvalDataset, views: Sequence[View] = (AS_IT_IS,)
) -> list[dict[str, Any]]:
    """Answer multiple-choice questions: the text nearest to the image is the answer.

    Of equal scores the first counts as chosen.

    Returns:
        Of each view: figures with 95 % intervals, all and by group. Equal on all ranks.

    Raises:
        InputError: there is no usable image, or a right answer is out of range.
        ArtifactError: the model's embeddings are not finite.
    """
    rank, world = rank_and_world()
    counts: list[Counter[tuple[str, str]]] = [Counter() for _ in views]
    chance, bad = 0.0, 0
    for samples, image_NE in encoder.images(_with_answers(dataset, rank, world)):
        text_ME = encoder.texts([text for s in samples for text in s.texts])
        bad += int((~torch.isfinite(image_NE)).sum() + (~torch.isfinite(text_ME)).sum())
        first = 0
        for sample, image_E in zip(samples, image_NE, strict=True):
            answer_ME = text_ME[first : first + len(sample.texts)]
            first += len(sample.texts)
            chance += 1 / len(sample.texts)
            for view, of_view in zip(views, counts, strict=True):
                asked_ME, _ = view.texts(answer_ME, sample.texts)
                is_right = int((asked_ME @ image_E).argmax()) == sample.label
                for group in ("", *sample.groups):
                    of_view["num", group] += 1
                    of_view["hits", group] += int(is_right)
    gathered = gather((counts, chance, bad))
    is_bad = any(of_rank for _, _, of_rank in gathered)
    check_finite(torch.tensor(float("nan") if is_bad else 0.0), "images or texts")
    whole_chance = sum(c for _, c, _ in gathered)
    return [
        _figures(sum((c[at] for c, _, _ in gathered), Counter[tuple[str, str]]()), whole_chance)
        for at in range(len(views))
    ]


def _figures(total: Counter[tuple[str, str]], chance: float) -> dict[str, Any]:
    num = total["num", ""]
    found = {
        "task": "multiple choice",
        "questions": num,
        "chance": chance / max(1, num),
        **_accuracy(total, ""),
    }
    groups = sorted({group for _, group in total if group})
    if groups:
        found["by_group"] = {
            g: {"questions": total["num", g], **_accuracy(total, g)} for g in groups
        }
    return found


def _accuracy(counts: Counter[tuple[str, str]], group: str) -> dict[str, Any]:
    hits, num = counts["hits", group], counts["num", group]
    return {"accuracy": hits / max(1, num), "accuracy_interval": list(wilson_interval(hits, num))}


def _with_answers(dataset: EvalDataset, rank: int, world: int) -> Iterator[EvalSample]:
    for sample in dataset.samples(rank, world):
        if sample.label is None or not 0 <= sample.label < len(sample.texts):
            raise InputError(
                f"{sample.where}: the right answer is number {sample.label}, but there are "
                f"{len(sample.texts)} answers, numbered from 0. Sets whose answers are withheld "
                "cannot be scored here."
            )
        yield sample
