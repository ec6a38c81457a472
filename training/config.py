"""What decides a training run: the shape of the model, and how it is trained."""

import json
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

from metadata.errors import InputError, UsageError

__all__ = ["ModelConfig", "TrainConfig", "load_model_config", "model_config_names"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Shape of a CLIP model.

    Attributes:
        embed_dim: width of the space that images and texts share.
        image_size: pixels of both sides; a multiple of patch_size.
        patch_size: pixels of both sides of a patch.
        vision_width: width of the image transformer; a multiple of vision_head_width.
        vision_layers: its blocks.
        vision_head_width: width of an attention head.
        text_width: width of the text transformer; a multiple of text_heads.
        text_layers: its blocks.
        text_heads: its attention heads.
        context_length: tokens of a text at most, start and end included.
        vocab_size: tokens known.
        quick_gelu: x·σ(1.702x) instead of GELU.

    Source: Radford et al. 2021, arXiv:2103.00020, section 2.4 and table 20.
    """

    embed_dim: int
    image_size: int
    patch_size: int
    vision_width: int
    vision_layers: int
    vision_head_width: int
    text_width: int
    text_layers: int
    text_heads: int
    context_length: int
    vocab_size: int
    quick_gelu: bool = True

    def __post_init__(self) -> None:
        """Check that the sizes fit.

        Raises:
            UsageError: they do not.
        """
        for field in fields(self):
            if getattr(self, field.name) < 1 and field.name != "quick_gelu":
                raise UsageError(f"{field.name} is {getattr(self, field.name)}; expected >= 1")
        for whole, part in (
            ("image_size", "patch_size"),
            ("vision_width", "vision_head_width"),
            ("text_width", "text_heads"),
        ):
            if getattr(self, whole) % getattr(self, part):
                raise UsageError(
                    f"{whole} {getattr(self, whole)} is no multiple of {part} {getattr(self, part)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    Attributes:
        steps: optimizer steps in all.
        batch_size: pairs per step.
        learning_rate: at its peak.
        warmup_steps: steps to the peak, linear; cosine down to 0 after it.
        weight_decay: of AdamW; none on biases, norms and logit_scale.
        beta2: of AdamW.
        seed: of the weights, the order of pairs and the crops.
        checkpoint_every: steps between checkpoints; 0 for the last one only.
        keep_checkpoints: how many of the newest stay.
        log_every: steps between lines of log.jsonl.
        shuffle_pairs: pairs held in memory to draw the next one from.

    Source: Xu et al. 2023, arXiv:2309.16671, section 4 (warm-up, cosine, AdamW).
    """

    steps: int = 1000
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    weight_decay: float = 0.1
    beta2: float = 0.98
    seed: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    log_every: int = 20
    shuffle_pairs: int = 10_000

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        for name in ("steps", "batch_size", "log_every", "shuffle_pairs", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("learning_rate", "weight_decay", "warmup_steps", "checkpoint_every", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 0")


def model_config_names() -> list[str]:
    """Return the names of the models that come with the package.

    >>> "vit-b-32" in model_config_names()
    True
    """
    folder = files("training.configs")
    return sorted(f.name.removesuffix(".json") for f in folder.iterdir() if ".json" in f.name)


def load_model_config(name: str) -> ModelConfig:
    """Return a model's shape, by its name or from a JSON file.

    Raises:
        UsageError: there is no such model.
        InputError: the file does not hold the fields of ModelConfig.
    """
    if name in model_config_names():
        text = files("training.configs").joinpath(f"{name}.json").read_text()
    elif Path(name).is_file():
        text = Path(name).read_text()
    else:
        raise UsageError(
            f"unknown model {name!r}; expected a JSON file or one of "
            f"{', '.join(model_config_names())}"
        )
    try:
        return ModelConfig(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: not a model config ({error})") from error
