"""A model and a dataset in, its figures out: the door to evaluation, also during training.

Every rank of `torch.distributed` takes every `world`-th sample; counts add up, so that the figures
are those of one process. All ranks have to call these functions, and all get the same result.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from torch import Tensor, nn

from curate.errors import InputError, UsageError
from curate.files.sizes import several
from curate.training.eval.choice import choose
from curate.training.eval.data import EvalDataset
from curate.training.eval.embed import AS_IT_IS, Encoder, View
from curate.training.eval.multilabel import multilabel
from curate.training.eval.ranks import gather
from curate.training.eval.retrieval import retrieval_recall, retrieve
from curate.training.eval.zeroshot import zero_shot

__all__ = ["RESULT_VERSION", "evaluate", "evaluate_all", "evaluate_views", "retrieval_recall"]

RESULT_VERSION = 1

_TASKS = {
    "zeroshot": zero_shot,
    "multilabel": multilabel,
    "retrieval": retrieve,
    "choice": choose,
}


def evaluate(
    model: nn.Module,
    tokenize: Callable[[list[str]], Tensor],
    preprocess: Callable[[Image.Image], Tensor],
    dataset: EvalDataset,
    *,
    batch_size: int = 256,
    workers: int = 2,
) -> dict[str, Any]:
    """Evaluate a model on one dataset.

    The model is in evaluation mode meanwhile and afterwards in the mode it was in; no random
    numbers are drawn.

    Args:
        model: with ``encode_image`` and ``encode_text``.
        tokenize: from texts to (B, T).
        preprocess: from a Pillow image to (3, H, W), as the model's images.
        dataset: of `curate.training.eval.sets.open_dataset` or `load_datasets`.
        batch_size: images, or texts, at once.
        workers: threads that decode images.

    Returns:
        JSON-able: ``schema_version``, ``task``, ``images``, ``unusable`` and ``skipped`` (by
        reason), and the figures of the task, each with its 95 % interval.

    Raises:
        InputError: the dataset cannot be read, or none of its images.
        ArtifactError: the model's embeddings are not finite.
    """
    found = evaluate_views(
        model, tokenize, preprocess, dataset, (AS_IT_IS,), batch_size=batch_size, workers=workers
    )
    return found[0]


def evaluate_views(
    model: nn.Module,
    tokenize: Callable[[list[str]], Tensor],
    preprocess: Callable[[Image.Image], Tensor],
    dataset: EvalDataset,
    views: Sequence[View],
    *,
    batch_size: int = 256,
    workers: int = 2,
) -> list[dict[str, Any]]:
    """Evaluate several views of a model on one dataset, in one pass over its images.

    See `evaluate`.
    """
    if batch_size < 1:
        raise UsageError(f"the batch size is {batch_size}; expected at least 1")
    encoder = Encoder(model=model, tokenize=tokenize, preprocess=preprocess,
                      batch_size=batch_size, workers=workers)  # fmt: skip
    was_training = model.training
    model.eval()
    try:
        found = _TASKS[dataset.task](encoder, _counting(dataset, encoder.skipped), views)
    finally:
        model.train(was_training)
    skipped = sum(gather(encoder.skipped), Counter[str]())
    num_read = skipped.pop("read", 0)
    num_unusable = sum(skipped.values())
    if num_unusable == num_read:
        reasons = ", ".join(f"{reason} {num:,}" for reason, num in sorted(skipped.items()))
        raise InputError(
            f"{dataset.path}: no usable image among {several(num_read, 'sample')} "
            f"({reasons or 'it is empty'}); expected JPEG, PNG or WebP"
        )
    head = {"schema_version": RESULT_VERSION, "task": found[0]["task"], "file": dataset.path,
            "asked": dict(dataset.asked)}  # fmt: skip
    counts = {"images": num_read - num_unusable, "unusable": num_unusable,
              "skipped": dict(sorted(skipped.items()))}  # fmt: skip
    return [{**head, **counts, **of_view} for of_view in found]


def _counting(dataset: EvalDataset, counts: Counter[str]) -> EvalDataset:
    """Return the dataset with its samples counted as they are read."""

    def samples(rank: int, world: int) -> Any:
        for sample in dataset.samples(rank, world):
            counts["read"] += 1
            yield sample

    return replace(dataset, samples=samples)


def evaluate_all(
    model: nn.Module,
    tokenize: Callable[[list[str]], Tensor],
    preprocess: Callable[[Image.Image], Tensor],
    datasets: Iterable[EvalDataset],
    *,
    batch_size: int = 256,
    workers: int = 2,
) -> dict[str, dict[str, Any]]:
    """Evaluate a model on several datasets; figures by the datasets' names.

    See `evaluate`.
    """
    return {
        dataset.name: evaluate(
            model, tokenize, preprocess, dataset, batch_size=batch_size, workers=workers
        )
        for dataset in datasets
    }
