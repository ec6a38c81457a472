"""A finished run's model, ready for use."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from metadata.errors import ArtifactError
from training.config import ModelConfig
from training.images import fit, to_rgb
from training.model import CLIP
from training.tokenizer import Tokenizer
from training.trainer import normalize_images

__all__ = ["load_model", "load_run", "read_checkpoint"]


def read_checkpoint(content: bytes, name: str) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values, never code.

    Raises:
        ArtifactError: it is cut off or no checkpoint of ours.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        raise ArtifactError(
            f"{name}: not a readable checkpoint ({error}). Remove it to go on from the one before."
        ) from error
    if not isinstance(state, dict) or "model" not in state:
        raise ArtifactError(f"{name}: not a checkpoint of `curate train` (it has no weights)")
    return state


def load_model(run: str, device: str = "cpu") -> tuple[CLIP, Tokenizer]:
    """Load the model and the tokenizer of a finished run.

    Raises:
        ArtifactError: the run is not finished, or its files do not belong together.
    """
    folder = Path(run)
    weights = folder / "checkpoints" / "final.pt"
    for path in (folder / "config.json", folder / "tokenizer.json", weights):
        if not path.is_file():
            raise ArtifactError(
                f"{run}: there is no {path.name}; the run is not finished. "
                "Run the same `curate train` again to go on."
            )
    config = ModelConfig(**json.loads((folder / "config.json").read_text())["model"])
    text = (folder / "tokenizer.json").read_text("utf-8")
    tokenizer = Tokenizer.from_json(text, config.context_length)
    if tokenizer.vocab_size > config.vocab_size:
        raise ArtifactError(
            f"{run}: the tokenizer has {tokenizer.vocab_size} tokens, the model only "
            f"{config.vocab_size}; they do not belong together"
        )
    model = CLIP(config, tokenizer.eos_id)
    state = read_checkpoint(weights.read_bytes(), str(weights))
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise ArtifactError(f"{weights}: weights of another model: {error}") from error
    return model.to(device).eval(), tokenizer


def load_run(
    run: str, device: str
) -> tuple[CLIP, Callable[[Image.Image], Tensor], Callable[[list[str]], Tensor]]:
    """Return a run's model with its `preprocess` and `tokenize`."""
    model, tokenizer = load_model(run, device)
    size = model.config.image_size

    def preprocess(image: Image.Image) -> Tensor:
        return normalize_images(torch.from_numpy(fit(to_rgb(image), size)))

    def tokenize(texts: list[str]) -> Tensor:
        return torch.from_numpy(tokenizer.encode(texts))

    return model, preprocess, tokenize
