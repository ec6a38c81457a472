"""`curate eval`: a trained model on held-out images: zero-shot classes, retrieval, or questions.

Started by torchrun, the ranks share the images; the first one writes and prints.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from curate.errors import UsageError
from curate.files.storage import is_folder
from curate.pipelines.train import add_evaluations, short_identity, write_evaluation
from curate.training import load, require_packages

__all__ = ["evaluate_model", "is_first_process", "opened_sets", "process_group"]


def evaluate_model(
    data: Sequence[str],
    *,
    run: str,
    model: str | None = None,
    tokenizer: str | None = None,
    output: str | None = None,
    config: str | None = None,
    device: str | None = None,
    batch_size: int = 256,
    workers: int = 2,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a model on sets of images with labels, captions or questions.

    Args:
        data: folders of classes, WebDataset tars or folders of them, Parquet files, folders of
            Crossmodal-3600.
        run: what `curate.load` takes: a folder that `train` or `export` wrote, a file of weights.
        model: name or JSON file of the shape, for a file of weights.
        tokenizer: None for the one that came with the weights.
        output: folder for the figures; None for that of the run.
        config: an ``eval.json`` that names more sets.
        device: where the model runs; None for a GPU if there is one.
        batch_size: images, or texts, at once.
        workers: threads that decode images.
        **options: of `curate.training.eval.sets.EvalSpec`, for all of `data`.

    Returns:
        Per set: its task, its number of images, and the figures with 95 % intervals, all and by
        group. They are written to ``<run>/eval/<name>.json`` as well, and what they say of the
        whole set to the run's model card. A set of the same name from another path, or asked
        for otherwise, goes to ``<run>/eval/<name>-<hash>.json``. Of what is no folder, nothing is
        written unless `output` says where.

    Raises:
        UsageError: there is nothing to evaluate on.
        InputError: a set cannot be read, or lacks images, labels, texts or class names.
        ArtifactError: the run is not finished.
    """
    if not data and config is None:
        raise UsageError("nothing to evaluate on; name files or folders, or give --config")
    require_packages("curate eval")
    from curate.training.eval.evaluate import evaluate
    from curate.training.eval.ranks import is_first_rank

    with process_group(device) as place:
        sets = opened_sets(data, config, options)
        clip, preprocess, tokenize = load(run, place, model=model, tokenizer=tokenizer)
        folder = output or (run if is_folder(run) else None)
        results = {}
        for dataset in sets:
            results[dataset.name] = evaluate(
                clip, tokenize, preprocess, dataset, batch_size=batch_size, workers=workers
            )
            if is_first_rank() and folder:
                write_evaluation(folder, dataset.name, results[dataset.name])
        if is_first_rank() and folder == run:
            add_evaluations(run)
    return {"run": run, "results": results}


def is_first_process() -> bool:
    """Tell whether torchrun started this process as the one that prints, or did not start it."""
    return os.environ.get("RANK", "0") == "0"


def opened_sets(data: Sequence[str], config: str | None, options: Mapping[str, Any]) -> list[Any]:
    """Open evaluation sets, each with a name of its own; arguments as for `evaluate_model`.

    Raises:
        InputError: one cannot be read, or lacks what belongs to it.
        UsageError: two are the same set, asked for in the same way.
    """
    from curate.training.eval.sets import EvalSpec, load_datasets, open_dataset

    sets = [open_dataset(EvalSpec(path=path, **options)) for path in data]
    return _with_own_names([*sets, *(load_datasets(config) if config else [])])


def _with_own_names(sets: Sequence[Any]) -> list[Any]:
    """Give sets of one name a hash of what they are behind it.

    Raises:
        UsageError: two are the same set, asked for in the same way.
    """
    named: dict[str, Any] = {}
    for dataset in sets:
        name = dataset.name
        if name in named:
            asked = {"file": dataset.path, "asked": dataset.asked}
            name = f"{name}-{short_identity(asked)}"
        if name in named or any(_is_same(dataset, other) for other in named.values()):
            raise UsageError(f"two sets would be named {dataset.name!r} and are the same one")
        named[name] = replace(dataset, name=name)
    return list(named.values())


def _is_same(one: Any, other: Any) -> bool:
    return (one.path, one.asked) == (other.path, other.asked) and other.name == one.name


@contextmanager
def process_group(device: str | None) -> Iterator[str]:
    """Join the ranks that torchrun started, if it did, and yield this one's device."""
    import torch
    import torch.distributed as dist

    has_gpu = torch.cuda.is_available() if device is None else device.startswith("cuda")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield device or ("cuda" if has_gpu else "cpu")
        return
    place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if has_gpu else "cpu"
    if has_gpu:
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield place
    finally:
        dist.destroy_process_group()
