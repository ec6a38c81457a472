"""Names of torchvision that open_clip imports, and nothing behind them.

open_clip's models compute with torch alone; torchvision only transforms images for it, which the
tests do themselves. torchvision has no wheel for torch's CPU build on PyPI, so without this
open_clip could not be compared with at all. Where torchvision works, it is used.
"""

import importlib
import sys
import types

import torch

_NAMES = ("Normalize", "Compose", "RandomResizedCrop", "ToTensor", "Resize", "CenterCrop",
          "ColorJitter", "Grayscale")  # fmt: skip


class _Unused:
    """Stands for a class of torchvision; can be put together, but not called."""

    def __init__(self, *arguments: object, **options: object) -> None:
        pass


class _Interpolation:
    BICUBIC, BILINEAR, NEAREST = "bicubic", "bilinear", "nearest"


def import_open_clip():
    """Import open_clip, with names instead of torchvision if that cannot be imported."""
    try:
        return importlib.import_module("open_clip")
    except (ImportError, RuntimeError):  # RuntimeError: torchvision is built for another torch
        pass
    # transformers asks for torchvision's version; it is to find what is really there.
    from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig  # noqa: F401

    names = _names()
    sys.modules.update(names)
    try:
        return importlib.import_module("open_clip")
    finally:
        for name in names:
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
