"""The shape of a model; how it is trained stands in `curate.training.loop.config`."""

import json
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from curate.errors import InputError, UsageError

__all__ = [
    "IMAGE_MEAN",
    "IMAGE_STD",
    "ModelConfig",
    "load_model_config",
    "model_config_names",
    "model_variant_names",
    "num_parameters",
]

_VARIANT = "variant-"

# OpenAI's statistics of pixels from 0 to 1, which all published CLIP models share.
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


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
        quick_gelu: x·σ(1.702x) instead of GELU; in both transformers.
        vision_mlp_ratio: hidden width of an image block's MLP over vision_width; rounded down.
        eos_id: the end token's id where published weights fix it; None: the tokenizer's.
        logit_bias: learn a bias beside logit_scale, as SigLIP's loss needs.

    Source: Radford et al. 2021, arXiv:2103.00020, section 2.4 and table 20; SigLIP's bias: Zhai
    et al. 2023, arXiv:2303.15343, section 3.2.
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
    vision_mlp_ratio: float = 4.0
    eos_id: int | None = None
    logit_bias: bool = False

    def __post_init__(self) -> None:
        """Check that the sizes fit.

        Raises:
            UsageError: they do not.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("quick_gelu", "logit_bias", "eos_id") and value < 1:
                raise UsageError(f"{field.name} is {value}; expected >= 1")
        if self.eos_id is not None and not 0 <= self.eos_id < self.vocab_size:
            raise UsageError(f"eos_id is {self.eos_id}; expected a token, 0 to vocab_size - 1")
        for whole, part in (
            ("image_size", "patch_size"),
            ("vision_width", "vision_head_width"),
            ("text_width", "text_heads"),
        ):
            if getattr(self, whole) % getattr(self, part):
                raise UsageError(
                    f"{whole} {getattr(self, whole)} is no multiple of {part} {getattr(self, part)}"
                )


def num_parameters(config: ModelConfig) -> int:
    """Return how many weights a model of a shape has.

    >>> num_parameters(load_model_config("vit-b-32"))
    151277313
    """

    def blocks(layers: int, width: int, hidden: int) -> int:
        attention = 4 * width * width + 4 * width
        mlp = 2 * width * hidden + hidden + width
        return layers * (attention + mlp + 4 * width)

    c = config
    patches = (c.image_size // c.patch_size) ** 2
    hidden = int(c.vision_width * c.vision_mlp_ratio)
    image = c.vision_width * (3 * c.patch_size**2 + patches + 2 + 4 + c.embed_dim)
    text = c.text_width * (c.vocab_size + c.context_length + 2 + c.embed_dim)
    towers = blocks(c.vision_layers, c.vision_width, hidden)
    towers += blocks(c.text_layers, c.text_width, 4 * c.text_width)
    return image + text + towers + 1 + c.logit_bias


def model_config_names() -> list[str]:
    """Return the names of the models that come with the package, without their variants.

    >>> "vit-b-32" in model_config_names()
    True
    """
    return [name for name in _config_files() if not name.startswith(_VARIANT)]


def model_variant_names() -> list[str]:
    """Return what may follow a model's name, one or several, as in vit-h-14-378-worldwide.

    >>> model_variant_names()
    ['336', '378', '384', 'mt5', 'quickgelu', 'worldwide']
    """
    names = [name for name in _config_files() if name.startswith(_VARIANT)]
    return [name.removeprefix(_VARIANT) for name in names]


def load_model_config(name: str) -> ModelConfig:
    """Return a model's shape, by its name or from a JSON file.

    >>> load_model_config("vit-h-14-378-worldwide").vocab_size
    901629

    Raises:
        UsageError: there is no such model, or the variant does not fit it.
        InputError: the file does not hold the fields of ModelConfig.
    """
    if Path(name).is_file():
        return _model_config(name, Path(name).read_text("utf-8"))
    values = _named_config(name)
    if values is None:
        raise UsageError(
            f"unknown model {name!r}; expected a JSON file or one of "
            f"{', '.join(model_config_names())}, which may be followed by "
            f"{', '.join('-' + v for v in model_variant_names())}"
        )
    return ModelConfig(**values)


def _config_files() -> list[str]:
    folder = files("curate.training.model.configs")
    return sorted(f.name.removesuffix(".json") for f in folder.iterdir() if ".json" in f.name)


def _read_config(name: str) -> dict[str, Any]:
    text = files("curate.training.model.configs").joinpath(f"{name}.json").read_text("utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def _named_config(name: str) -> dict[str, Any] | None:
    """Return a model's fields, overlaid by those of the variants in its name, in any order.

    -mt5-worldwide is -worldwide-mt5: the vocabulary of mT5, also where the languages are all.
    """
    rest, variants = name.lower(), list[str]()
    while rest not in model_config_names():
        rest, _, variant = rest.rpartition("-")
        if not rest or variant not in model_variant_names():
            return None
        variants.append(variant)
    values = _read_config(rest)
    for variant in sorted(variants, key=lambda one: one == "mt5"):
        values |= _read_config(_VARIANT + variant)
    return values


def _model_config(name: str, text: str) -> ModelConfig:
    try:
        return ModelConfig(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: not a model config ({error})") from error
