"""Training: shards in, a CLIP model out, and how good it is.

`load` gives a trained model for use. torch is imported when something here needs it, so that
matching and balancing work without it.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from curate.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from curate.training.model.clip import CLIP

__all__ = ["load", "require_packages"]


def require_packages(feature: str) -> None:
    """Check that the packages that training needs are installed.

    Raises:
        MissingExtraError: they are not.
    """
    if not all(find_spec(name) for name in ("torch", "tokenizers", "safetensors", "PIL")):
        raise MissingExtraError(feature, "train")


def load(
    source: str,
    device: str = "cpu",
    *,
    model: str | None = None,
    tokenizer: str | None = None,
    pretrained: str | None = None,
) -> "tuple[CLIP, Callable[[Image.Image], Tensor], Callable[[list[str]], Tensor]]":
    """Load a trained model.

    Args:
        source: folder that `curate train` or `curate export` wrote, or one of OpenCLIP or
            Hugging Face; with `model`, a file of weights; or the name of a published model, which
            is fetched: ``metaclip2_worldwide/ViT-B-16-worldwide``, ``hf:org/name``,
            ``open_clip:NAME/TAG``.
        device: where the model goes.
        model: name or JSON file of the shape, for weights that come without it, such as
            ``vit-b-32-quickgelu``.
        tokenizer: a file, or a name on the Hugging Face Hub; None for the one that came with the
            weights.
        pretrained: name of the weights of a published model, where `source` does not say it.

    Returns:
        The model in evaluation mode; `preprocess`, from a Pillow image to (3, H, W); `tokenize`,
        from texts to (B, T). `model.encode_image` and `model.encode_text` take batches of these.

    Raises:
        ArtifactError: there is no finished model, or its parts do not belong together.
        InputError: the weights, config or tokenizer cannot be read, or hold another model.
        UsageError: a file of weights is given without a model, or comes without a tokenizer.
    """
    require_packages("Loading a model")
    from curate.training.export.load import load_run

    return load_run(source, device, model, tokenizer, pretrained)
