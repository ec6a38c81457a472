"""The evaluations of a run: a file each, none over another, and their figures on the model card."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from curate.files import storage
from curate.files.own_json import OwnObject, own_object
from curate.pipelines.store import artifacts
from curate.pipelines.store.shapes import require_shape
from curate.pipelines.train.files import RunFiles

__all__ = ["card_figures", "evaluations_of", "numbers_of", "short_identity", "write_evaluation"]

_FOLDER = "eval"
_STEP = "step-"
_OF_INTERVAL = "mean_average_precision"  # whose interval is called that and no more
_RESULT = {"task": str, "images": int, "asked": (dict, None)}
_RESULTS = {"results": {"*": _RESULT}}
_OF_CARD = ("task", "file", "asked", "images", "classes", "texts", "questions")


def write_evaluation(run: str, name: str, result: Mapping[str, Any]) -> str:
    """Write the result of an evaluation into a run, beside those of others.

    A set is known by its path and what was asked of it: `imagenet/val` and `cifar/val` have one
    name and are two. The second one's file has a hash of that in its name.

    Args:
        run: folder of the run.
        name: of the set.
        result: as `evaluate` gives it.

    Returns:
        The path of the file.
    """
    path = storage.join(run, _FOLDER, f"{name}.json")
    if storage.exists(path) and _identity(_read(path)) != _identity(result):
        path = storage.join(run, _FOLDER, f"{name}-{short_identity(result)}.json")
    artifacts.write_json(path, dict(result))
    return path


def _read(path: str, shape: Any = _RESULT) -> OwnObject:
    """Read a result, or those of a step.

    Raises:
        ArtifactError: it is none.
    """
    found = artifacts.read_json_of_anyone(path)
    require_shape(found, shape, path)
    own = own_object(found, path)
    if shape is _RESULT:
        own["task"], own["images"]  # noqa: B018  these the card shows
    return own


def short_identity(result: Mapping[str, Any]) -> str:
    """Return eight digits for what was evaluated."""
    return sha256(json.dumps(_identity(result)).encode()).hexdigest()[:8]


def _identity(result: Mapping[str, Any]) -> list[Any]:
    return [result.get("file"), sorted((result.get("asked") or {}).items())]


def read_evaluations(run: str, last_step: int | None) -> dict[str, dict[str, Any]]:
    """Return the results in a run, by the names of their files.

    Args:
        run: folder of the run.
        last_step: after which it ended; the evaluation made then is of the model it is. Those of
            earlier steps are not.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in storage.list_files(storage.join(run, _FOLDER), ".json"):
        name = path.rsplit("/", 1)[-1].removesuffix(".json")
        if not name.startswith(_STEP):
            found[name] = _read(path)
        elif last_step is not None and name == f"{_STEP}{last_step:09d}":
            found |= _read(path, _RESULTS)["results"]
    return dict(sorted(found.items()))


def card_figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model card says of a result: the set, and figures over all of it.

    >>> card_figures({"task": "zeroshot", "images": 8, "top1": 0.5, "by_lang": {"en": {"top1": 1}}})
    {'task': 'zeroshot', 'images': 8, 'top1': 0.5}
    """
    intervals = dict(intervals_of(result))
    return {
        **{k: result[k] for k in _OF_CARD if k in result},
        **dict(numbers_of(result)),
        **({"intervals": intervals} if intervals else {}),
    }


def intervals_of(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[float]]]:
    """Yield the 95 % intervals of an evaluation by the names of `numbers_of`, groups left out.

    >>> dict(intervals_of({"top1": 0.5, "top1_interval": [0.2, 0.8]}))
    {'top1': [0.2, 0.8]}
    >>> dict(intervals_of({"to": {"R@1": 0.5}, "intervals": {"to": {"R@1": [0.2, 0.8]}}}))
    {'to/R@1': [0.2, 0.8]}
    """
    for name, value in found.items():
        if isinstance(value, list) and len(value) == 2:
            figure = name.removesuffix("_interval")
            yield f"{prefix}{_OF_INTERVAL if name == 'interval' else figure}", value
        elif isinstance(value, dict) and not name.startswith("by_"):
            yield from intervals_of(value, prefix if name == "intervals" else f"{prefix}{name}/")


def numbers_of(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the figures of an evaluation, those of groups left out, by path-like names."""
    for name, value in found.items():
        if isinstance(value, float):
            yield f"{prefix}{name}", value
        elif isinstance(value, dict) and not name.startswith("by_"):
            yield from numbers_of(value, f"{prefix}{name}/")


def evaluations_of(files: RunFiles, last_step: int | None) -> dict[str, dict[str, Any]]:
    """Return what the model card of a run says of its evaluations."""
    found = read_evaluations(files.folder, last_step)
    return {name: card_figures(result) for name, result in found.items()}
