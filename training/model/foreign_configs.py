"""The shape of a model as OpenCLIP and Hugging Face write it ↔ `ModelConfig`."""

import math
from collections.abc import Mapping
from typing import Any

from curate.errors import InputError, UsageError
from curate.training.model.config import IMAGE_MEAN, IMAGE_STD, ModelConfig

__all__ = [
    "from_huggingface", "from_open_clip", "require_fit", "require_normalisation",
    "to_huggingface", "to_open_clip",
]  # fmt: skip

_HEAD_WIDTH = 64  # OpenCLIP's, where it says nothing
_LAYER_NORM_EPS = 1e-5
# What we build, or what changes nothing of a trained model; anything else is another model.
_KNOWN_IN_VISION = {
    "image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio", "patch_dropout",
    "pool_type", "pos_embed_type", "output_tokens", "timm_model_pretrained",
}  # fmt: skip
_KNOWN_IN_TEXT = {
    "context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "pool_type", "eos_id",
    "proj_type", "hf_tokenizer_name", "tokenizer_kwargs", "pad_id", "output_tokens",
    "hf_model_pretrained", "embed_cls",
}  # fmt: skip
# What OpenCLIP builds where it says nothing, and we build at all.
_ONLY_IN_VISION = {"pool_type": "tok", "pos_embed_type": "learnable"}
_ONLY_IN_TEXT = {"proj_type": "linear", "mlp_ratio": 4.0}
_ONLY_IN_PREPROCESS = {"mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest"}
_TEXT_POOLS = ("argmax", "eos")


def to_open_clip(config: ModelConfig, eos_id: int) -> dict[str, Any]:
    """Return `open_clip_config.json`; the tokenizer is in the same folder.

    A text is pooled at its largest id where that is the end token, as OpenCLIP always did, else at
    the end token itself, which it can since 3.0.
    """
    vision = {
        "image_size": config.image_size,
        "layers": config.vision_layers,
        "width": config.vision_width,
        "head_width": config.vision_head_width,
        "patch_size": config.patch_size,
        "mlp_ratio": config.vision_mlp_ratio,
    }
    text: dict[str, Any] = {
        "context_length": config.context_length,
        "vocab_size": config.vocab_size,
        "width": config.text_width,
        "heads": config.text_heads,
        "layers": config.text_layers,
        "hf_tokenizer_name": ".",
    }
    if eos_id != config.vocab_size - 1:
        text |= {"pool_type": "eos", "eos_id": eos_id}
    model: dict[str, Any] = {"embed_dim": config.embed_dim, "quick_gelu": config.quick_gelu}
    if config.logit_bias:
        model["init_logit_bias"] = -10.0
    preprocess = {
        "size": config.image_size, "mode": "RGB", "mean": list(IMAGE_MEAN), "std": list(IMAGE_STD),
        "interpolation": "bicubic", "resize_mode": "shortest",
    }  # fmt: skip
    return {
        "model_cfg": {**model, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": preprocess,
    }


def from_open_clip(values: Mapping[str, Any], name: str) -> ModelConfig:
    """Read `open_clip_config.json`.

    Raises:
        InputError: it is no config, or of a model that is built otherwise than CLIP's ViT.
    """
    try:
        model, preprocess = values["model_cfg"], values.get("preprocess_cfg", {})
        vision, text = model["vision_cfg"], model["text_cfg"]
        for part, known in ((vision, _KNOWN_IN_VISION), (text, _KNOWN_IN_TEXT)):
            _refuse([k for k in part if k not in known and part[k]], name)
        _refuse(["embed_cls"] if text.get("embed_cls") else [], name)
        for part, only in ((vision, _ONLY_IN_VISION), (text, _ONLY_IN_TEXT)):
            _refuse([f"{k} {part[k]}" for k, v in only.items() if part.get(k, v) != v], name)
        pool = text.get("pool_type", "argmax")
        _refuse([f"a text's pool_type {pool}"] if pool not in _TEXT_POOLS else [], name)
        require_normalisation(preprocess.get("mean"), preprocess.get("std"), name)
        for key, usual in _ONLY_IN_PREPROCESS.items():
            other = preprocess.get(key, usual)
            _refuse([f"images of {key} {other}"] if other != usual else [], name)
        is_eos = pool == "eos"
        return ModelConfig(
            embed_dim=model["embed_dim"],
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            vision_width=vision["width"],
            vision_layers=vision["layers"],
            vision_head_width=vision.get("head_width", _HEAD_WIDTH),
            vision_mlp_ratio=vision.get("mlp_ratio", 4.0),
            text_width=text["width"],
            text_layers=text["layers"],
            text_heads=text["heads"],
            context_length=text.get("context_length", 77),
            vocab_size=text["vocab_size"],
            quick_gelu=model.get("quick_gelu", False),
            eos_id=text.get("eos_id", 2) if is_eos else text["vocab_size"] - 1,
            logit_bias="init_logit_bias" in model,
        )
    except (AttributeError, KeyError, TypeError, UsageError) as error:
        raise InputError(f"{name}: not a config of an OpenCLIP ViT ({error!r})") from error


def to_huggingface(config: ModelConfig, eos_id: int, start_id: int | None) -> dict[str, Any]:
    """Return `config.json` for transformers.

    `CLIPModel` takes an eos_token_id of 2 for "the largest id of the text", for the sake of old
    configs; `MetaClip2Model`, otherwise the same, takes it as it is.

    Raises:
        UsageError: the model has a logit bias, for which there is no place.
    """
    if config.logit_bias:
        raise UsageError(
            "a model with SigLIP's logit bias cannot be exported to Hugging Face's CLIP layout, "
            "which has no place for it; choose --format open_clip or safetensors"
        )
    kind, name = ("metaclip_2", "MetaClip2Model") if eos_id == 2 else ("clip", "CLIPModel")
    shared = {
        "hidden_act": "quick_gelu" if config.quick_gelu else "gelu",
        "layer_norm_eps": _LAYER_NORM_EPS,
        "projection_dim": config.embed_dim,
    }
    vision = {
        **shared,
        "model_type": f"{kind}_vision_model",
        "hidden_size": config.vision_width,
        "intermediate_size": int(config.vision_width * config.vision_mlp_ratio),
        "num_hidden_layers": config.vision_layers,
        "num_attention_heads": config.vision_width // config.vision_head_width,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
    }
    text = {
        **shared,
        "model_type": f"{kind}_text_model",
        "hidden_size": config.text_width,
        "intermediate_size": 4 * config.text_width,
        "num_hidden_layers": config.text_layers,
        "num_attention_heads": config.text_heads,
        "max_position_embeddings": config.context_length,
        "vocab_size": config.vocab_size,
        "bos_token_id": start_id,
        "eos_token_id": eos_id,
        "pad_token_id": None,
    }
    return {
        "architectures": [name],
        "model_type": kind,
        "dtype": "float32",
        "projection_dim": config.embed_dim,
        "vision_config": vision,
        "text_config": text,
    }


def from_huggingface(values: Mapping[str, Any], name: str) -> ModelConfig:
    """Read `config.json` of `CLIPModel` or `MetaClip2Model`.

    What such a file leaves out is B/32's.

    Raises:
        InputError: it is another model's.
    """
    kind = values.get("model_type")
    if kind not in ("clip", "metaclip_2"):
        raise InputError(f"{name}: model_type is {kind!r}; expected clip or metaclip_2")
    vision, text = values.get("vision_config", {}), values.get("text_config", {})
    acts = {part.get("hidden_act", "quick_gelu") for part in (vision, text)}
    if acts not in ({"quick_gelu"}, {"gelu"}):
        raise InputError(
            f"{name}: hidden_act is {', '.join(sorted(acts))}; expected quick_gelu or gelu, and "
            "the same for images and texts"
        )
    text_width, vision_width = text.get("hidden_size", 512), vision.get("hidden_size", 768)
    if text.get("intermediate_size", 4 * text_width) != 4 * text_width:
        raise InputError(f"{name}: text intermediate_size is not 4 times the width; expected that")
    epsilons = {part.get("layer_norm_eps", _LAYER_NORM_EPS) for part in (vision, text)}
    if epsilons != {_LAYER_NORM_EPS}:
        raise InputError(
            f"{name}: layer_norm_eps is {', '.join(map(str, sorted(epsilons)))}; expected "
            f"{_LAYER_NORM_EPS}"
        )
    vocab_size, eos_id = text.get("vocab_size", 49_408), text.get("eos_token_id", 49_407)
    try:
        return ModelConfig(
            embed_dim=values.get("projection_dim", 512),
            image_size=vision.get("image_size", 224),
            patch_size=vision.get("patch_size", 32),
            vision_width=vision_width,
            vision_layers=vision.get("num_hidden_layers", 12),
            vision_head_width=vision_width // vision.get("num_attention_heads", 12),
            vision_mlp_ratio=vision.get("intermediate_size", 3072) / vision_width,
            text_width=text_width,
            text_layers=text.get("num_hidden_layers", 12),
            text_heads=text.get("num_attention_heads", 8),
            context_length=text.get("max_position_embeddings", 77),
            vocab_size=vocab_size,
            quick_gelu=acts == {"quick_gelu"},
            eos_id=vocab_size - 1 if kind == "clip" and eos_id == 2 else eos_id,
        )
    except (TypeError, UsageError) as error:
        raise InputError(f"{name}: not a config of CLIP's ViT ({error})") from error


def _refuse(found: list[str], name: str) -> None:
    if found:
        raise InputError(
            f"{name}: the model has {', '.join(found)}; expected CLIP's own vision and text "
            "transformers, without"
        )


def require_fit(values: Mapping[str, Any], name: str) -> None:
    """Refuse what transformers does to images otherwise than CLIP: another resize, no crop.

    Args:
        values: of `preprocessor_config.json`.
        name: of the file.

    Raises:
        InputError: it does.
    """
    size = values.get("size", {"shortest_edge": 0})
    wrong = [f"{key} {values[key]}" for key in ("do_resize", "do_center_crop", "do_normalize")
             if values.get(key) is False]  # fmt: skip
    if values.get("resample", 3) != 3:
        wrong.append(f"resample {values['resample']}")
    if isinstance(size, Mapping) and "shortest_edge" not in size:
        wrong.append(f"size {dict(size)}")
    if wrong:
        raise InputError(
            f"{name}: images are prepared with {', '.join(wrong)}; expected the shorter side "
            "resized (bicubic, resample 3), the middle cut out, and normalised"
        )


def require_normalisation(mean: Any, std: Any, name: str) -> None:
    """Refuse other statistics of pixels than CLIP's; None stands for CLIP's.

    Raises:
        InputError: they are others.
    """
    for what, found, ours in (("mean", mean, IMAGE_MEAN), ("std", std, IMAGE_STD)):
        values = ours if found is None else found
        close = len(values) == 3 and all(
            math.isclose(a, b, abs_tol=1e-3) for a, b in zip(values, ours, strict=True)
        )
        if not close:
            raise InputError(f"{name}: pixel {what} is {found}; expected {list(ours)}")
