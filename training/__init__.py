"""Training: shards in, a CLIP model out, and how good it is.

`load` gives a trained model for use. torch is imported when something here needs it, so that
matching and balancing work without it.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from metadata.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from training.model import CLIP

__all__ = ["load", "require_packages"]


def require_packages(feature: str) -> None:
    """Check that the packages that training needs are installed.

    Raises:
        MissingExtraError: they are not.
    """
    if not all(find_spec(name) for name in ("torch", "tokenizers", "PIL")):
        raise MissingExtraError(feature, "train")


def load(
    run: str, device: str = "cpu"
) -> "tuple[CLIP, Callable[[Image.Image], Tensor], Callable[[list[str]], Tensor]]":
    """Load a trained model.

    Args:
        run: folder that `curate train` wrote.
        device: where the model goes.

    Returns:
        The model in evaluation mode; `preprocess`, from a Pillow image to (3, H, W); `tokenize`,
        from texts to (B, T). `model.encode_image` and `model.encode_text` take batches of these.

    Raises:
        ArtifactError: there is no finished model.
    """
    require_packages("Loading a model")
    from training.run import load_run

    return load_run(run, device)
