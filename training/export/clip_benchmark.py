"""Our models in CLIP_benchmark, LAION's collection of zero-shot sets.

    python -m curate.training.export.clip_benchmark eval --model_type curate --model curate \
        --pretrained data/runs/clip --dataset wds/cifar10 --dataset_root sets/cifar10

takes every option of its own command line. It knows its loaders by a table of functions that give
model, transform and tokenizer (version 1.6); ours is added to it.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from PIL import Image
from torch import Tensor, nn

from curate.errors import UsageError
from curate.training.export.load import load_run

__all__ = ["MODEL_TYPE", "load_for_benchmark", "main", "register"]

MODEL_TYPE = "curate"


def load_for_benchmark(
    model_name: str = "",
    pretrained: str = "",
    cache_dir: str | None = None,
    device: Any = "cpu",
) -> tuple[nn.Module, Callable[[Image.Image], Tensor], Callable[[list[str]], Tensor]]:
    """Load a model as CLIP_benchmark asks for one.

    Args:
        model_name: not used; the run knows its model.
        pretrained: folder that `curate train` wrote.
        cache_dir: not used; nothing is downloaded.
        device: where the model goes.

    Returns:
        Model, transform from a Pillow image to (3, H, W), tokenizer from texts to (B, T).

    Raises:
        UsageError: no run is named.
        ArtifactError: there is no finished model.
    """
    del model_name, cache_dir
    if not pretrained:
        raise UsageError("--pretrained is empty; expected a run's folder, such as data/runs/clip")
    model, preprocess, tokenize = load_run(pretrained, str(device))
    return model, preprocess, tokenize


def register() -> None:
    """Make ``--model_type curate`` known to CLIP_benchmark in this process.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("clip_benchmark") is None:
        raise UsageError(
            "CLIP_benchmark is not installed. Install it with: pip install clip-benchmark"
        )
    models = import_module("clip_benchmark.models")
    models.TYPE2FUNC[MODEL_TYPE] = load_for_benchmark
    if MODEL_TYPE not in models.MODEL_TYPES:
        models.MODEL_TYPES.append(MODEL_TYPE)


def main() -> None:
    """Run CLIP_benchmark's command line with our models in it."""
    register()
    import_module("clip_benchmark.cli").main()


if __name__ == "__main__":
    main()
