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


def ensure_torchvision(monkeypatch) -> None:
    """Make `import torchvision` work in a test."""
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):  # RuntimeError: built for another torch
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            monkeypatch.delitem(sys.modules, name)
    else:
        return
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
    for module in (package, transforms, transforms.functional, ops, ops.misc):
        monkeypatch.setitem(sys.modules, module.__name__, module)
