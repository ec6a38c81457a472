"""torchvision, open_clip and CLIP_benchmark as they are, beside torch's CPU build.

PyPI's wheel of torchvision is built for a CUDA build of torch. Beside the CPU build its compiled
operators do not load, and then `import torchvision` fails, because it gives shapes to two operators
that are not there. Its transforms of Pillow images need none of them: with the two declared by
hand, everything in Python is torchvision's own.

`make test` puts it into a folder of its own, `.venv/torchvision`, and not among the environment's
packages: transformers would find it there, and be broken by it. Where it is not, open_clip gets
names instead, with nothing behind them: its models compute with torch alone.
"""

import importlib
import importlib.util
import sys
import types
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import library as operators

_FOLDER = Path(sys.prefix) / "torchvision"
_BENCHMARK = Path(sys.prefix) / "clip_benchmark"  # scikit-learn too, which transformers would load
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_NAMES = ("Normalize", "Compose", "RandomResizedCrop", "ToTensor", "Resize", "CenterCrop",
          "ColorJitter", "Grayscale")  # fmt: skip
_METRICS = "clip_benchmark.metrics"
_MODULES: dict[str, types.ModuleType] = {}
_LIBRARIES: list[operators.Library] = []


class _Unused:
    """Stands for a class of torchvision; can be put together, but not called."""

    def __init__(self, *arguments: object, **options: object) -> None:
        pass


class _Interpolation:
    BICUBIC, BILINEAR, NEAREST = "bicubic", "bilinear", "nearest"


@cache
def import_torchvision():
    """Import torchvision's transforms; None if it is not installed."""
    # transformers asks whether torchvision is there; it is to find what is really there.
    from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig  # noqa: F401

    sys.path.insert(0, str(_FOLDER))
    try:
        if importlib.util.find_spec("torchvision") is None:
            return None
        _declare_operators()
        transforms = importlib.import_module("torchvision.transforms")
        importlib.import_module("torchvision.ops.misc")
    finally:
        sys.path.remove(str(_FOLDER))
    _MODULES.update({n: m for n, m in sys.modules.items() if n.partition(".")[0] == "torchvision"})
    for name in _MODULES:
        del sys.modules[name]
    return transforms


def _declare_operators():
    library = operators.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        if not hasattr(torch.ops.torchvision, operator.partition("(")[0]):
            library.define(operator)
    _LIBRARIES.append(library)  # what it declares goes with it


@cache
def import_open_clip():
    """Import open_clip, with names instead of torchvision if that is not installed."""
    if import_torchvision() is None:
        _MODULES.update(_names())
    with _as_torchvision():
        return importlib.import_module("open_clip")


@cache
def import_clip_benchmark():
    """Import what CLIP_benchmark reads sets with, and its figures; None if it is not installed."""
    if import_torchvision() is None:
        return None
    before = [*sys.path]
    sys.path[:0] = [str(_BENCHMARK), str(_FOLDER)]  # its builder wants torchvision's data sets too
    try:
        needed = ("clip_benchmark", "sklearn", "webdataset")
        if not all(map(importlib.util.find_spec, needed)):
            return None
        with _as_torchvision():
            return types.SimpleNamespace(
                builder=importlib.import_module("clip_benchmark.datasets.builder"),
                classification=importlib.import_module(f"{_METRICS}.zeroshot_classification"),
                retrieval=importlib.import_module(f"{_METRICS}.zeroshot_retrieval"),
            )
    finally:
        sys.path[:] = before


@contextmanager
def _as_torchvision():
    sys.modules.update(_MODULES)
    try:
        yield
    finally:
        _MODULES.update(
            {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "torchvision"}
        )
        for name in _MODULES:
            del sys.modules[name]


def _names() -> dict[str, types.ModuleType]:
    transforms = types.ModuleType("torchvision.transforms")
    for name in _NAMES:
        setattr(transforms, name, type(name, (_Unused,), {}))
    transforms.InterpolationMode = _Interpolation
    transforms.functional = types.ModuleType("torchvision.transforms.functional")
    ops = types.ModuleType("torchvision.ops")
    ops.misc = types.ModuleType("torchvision.ops.misc")
    ops.misc.FrozenBatchNorm2d = type("FrozenBatchNorm2d", (torch.nn.Module,), {})
    package = types.ModuleType("torchvision")
    package.transforms, package.ops = transforms, ops
    modules = (package, transforms, transforms.functional, ops, ops.misc)
    return {module.__name__: module for module in modules}
