"""`curate eval --ensemble`: experts of clusters on held-out images, as one model and one by one.

The way through: experts and the clusters' text encoder → a set's classes or texts → their places
among the clusters → weights → figures of the ensemble, and beside it those of the plain mean, of
each expert, and of the best one, all in one pass over the images.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.clustered.plan import Centres
from curate.pipelines.evaluate.stage import opened_sets, process_group
from curate.pipelines.store import artifacts
from curate.pipelines.train import write_evaluation
from curate.training import require_packages

__all__ = ["evaluate_ensemble", "figure_of"]

_OF_ALL = ("schema_version", "task", "file", "asked", "images", "unusable", "skipped")


class _Expert(NamedTuple):
    """An expert: its run's name and folder, and its cluster."""

    name: str
    folder: str
    cluster: int


def evaluate_ensemble(
    data: Sequence[str],
    *,
    runs: Sequence[str],
    clusters: str,
    text_encoder: str | None,
    output: str | None = None,
    config: str | None = None,
    device: str | None = None,
    batch_size: int = 256,
    workers: int = 2,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate experts on sets of images with labels, captions or questions.

    Args:
        data: as for `evaluate_model`.
        runs: folders of experts' runs, of one cluster each.
        clusters: folder that `cluster` wrote.
        text_encoder: the one that the clusters' vectors are by.
        output: folder for the figures; None: they are written nowhere.
        config: an ``eval.json`` that names more sets.
        device: where the models run; None for a GPU if there is one.
        batch_size: images, or texts, at once.
        workers: threads that decode images.
        **options: of `curate.training.eval.sets.EvalSpec`, for all of `data`.

    Returns:
        Per set: the ensemble's figures as `evaluate_model` gives them; weights of the experts (by
        language where there are several; of questions, each a task, their mean); mean: figures of
        the plain mean of all cosines; experts: of each by its name; best: the name of the one with
        the best figure on this very set.

    Raises:
        ArtifactError: a run is no expert, not finished, or of other clusters, or the text encoder
            is not that of the clusters.
        InputError: a set cannot be read.
        UsageError: there is nothing to evaluate, two runs are of one cluster, or no text encoder is
            named.
    """
    if not data and config is None:
        raise UsageError("nothing to evaluate on; name files or folders, or give --config")
    require_packages("curate eval")
    from curate.training.ensemble.model import FixedWeights
    from curate.training.ensemble.places import ClusterWeights
    from curate.training.eval.evaluate import evaluate_views
    from curate.training.eval.ranks import is_first_rank

    centres = Centres.read(clusters)
    experts = _experts(runs, centres, clusters)
    if text_encoder is None:
        raise UsageError(
            "an ensemble is weighed by where class names are among the clusters: name the encoder "
            f"that {clusters} was made with ({_shown(centres.model)}) with --text-encoder"
        )
    with process_group(device) as place:
        sets = opened_sets(data, config, options)
        places = _places(text_encoder, centres, place)
        model, tokenize, preprocess = _ensemble(experts, place)
        num, results = len(experts), {}
        for dataset in sets:
            weighed = ClusterWeights(places, [one.cluster for one in experts])
            each = [FixedWeights([float(i == j) for j in range(num)]) for i in range(num)]
            found = evaluate_views(
                model, tokenize, preprocess, dataset,
                [weighed, FixedWeights([1.0 / num] * num), *each],
                batch_size=batch_size, workers=workers,
            )  # fmt: skip
            results[dataset.name] = _result(found, experts, weighed.of_all_ranks())
            if is_first_rank() and output:
                write_evaluation(output, dataset.name, results[dataset.name])
    return {"runs": [one.folder for one in experts], "clusters": centres.identity,
            "results": results}  # fmt: skip


def figure_of(found: Mapping[str, Any]) -> float:
    """Return the one figure that experts are compared by: accuracy, precision or mean recall."""
    for name in ("top1", "mean_average_precision", "accuracy"):
        if name in found:
            return float(found[name])
    return sum(float(found[way]["R@1"]) for way in ("image_to_text", "text_to_image")) / 2


def _experts(runs: Sequence[str], centres: Centres, clusters: str) -> list[_Expert]:
    """Return the experts, checked to be of these clusters and of one each.

    Raises:
        ArtifactError: one is none, or of others.
        UsageError: two are of one cluster, or have one name.
    """
    found: list[_Expert] = []
    for run in runs:
        path = storage.join(run, "config.json")
        values = artifacts.read_json(path) if storage.exists(path) else {}
        about = values.get("expert")
        if not isinstance(about, dict):
            raise ArtifactError(f"{run}: it is no expert's run; `curate train --expert` makes one")
        with of_ours(path):
            identity, cluster = str(about["clusters"]), int(about["cluster"])
        if identity != centres.identity:
            raise ArtifactError(
                f"{run}: it is an expert for a cluster of others than those of {clusters}: its "
                f"clusters are {identity[:12]}…, these {centres.identity[:12]}…. Name its clusters "
                "with --clusters."
            )
        name = run.rstrip("/").rpartition("/")[2]
        for other in found:
            if other.cluster == cluster or other.name == name:
                raise UsageError(f"{other.folder} and {run} are both for cluster {other.cluster}, "
                                 "or have one name; name one of them")  # fmt: skip
        found.append(_Expert(name, run, cluster))
    return found


def _shown(model: Mapping[str, Any]) -> str:
    kind = model.get("library", "the text tower of a model")
    return f"{kind}, sha256 {str(model['sha256'])[:12]}…"


def _places(name: str, centres: Centres, device: str) -> Any:
    """Return what finds texts' places among the clusters.

    Raises:
        ArtifactError: the encoder is not the clusters'.
    """
    import torch

    from curate.training.ensemble.places import TextPlaces, open_text_encoder

    encoder, about = open_text_encoder(name, torch.device(device))
    if about["sha256"] != centres.model["sha256"]:
        raise ArtifactError(
            f"--text-encoder {name} is not the one that the clusters were made with: its sha256 is "
            f"{about['sha256'][:12]}…, expected {centres.model['sha256'][:12]}… "
            f"({_shown(centres.model)})"
        )
    return TextPlaces(encoder, centres.centres, centres.cluster)


def _ensemble(experts: Sequence[_Expert], device: str) -> tuple[Any, Any, Any]:
    """Load the experts side by side.

    Raises:
        ArtifactError: they are of several shapes or tokenizers, or one is not finished.
    """
    from curate.training.ensemble.model import Ensemble
    from curate.training.export.load import input_functions, load_model

    models, tokenizers = zip(*(load_model(one.folder, device) for one in experts), strict=True)
    if any(one != tokenizers[0] for one in tokenizers):
        raise ArtifactError("the experts have several tokenizers; expected experts of one run")
    preprocess, tokenize = input_functions(models[0].config.image_size, tokenizers[0])
    return Ensemble(models), tokenize, preprocess


def _result(
    found: Sequence[dict[str, Any]], experts: Sequence[_Expert], noted: Mapping[str, list[float]]
) -> dict[str, Any]:
    names = [one.name for one in experts]
    mean, *each = ({k: v for k, v in one.items() if k not in _OF_ALL} for one in found[1:])
    by_task = {task: dict(zip(names, weights, strict=True)) for task, weights in noted.items()}
    weights = by_task if len(by_task) != 1 else next(iter(by_task.values()))
    best = max(range(len(names)), key=lambda i: (figure_of(each[i]), -i))
    return {**found[0], "weights": weights, "mean": mean,
            "experts": dict(zip(names, each, strict=True)), "best": names[best]}  # fmt: skip
