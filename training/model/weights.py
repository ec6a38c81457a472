"""Files of weights in, a model's own tensors out: read without running code, resized, checked.

`load_weights` is what `curate train --init` calls. Whatever does not fit is an error that names
file, tensor, and the shapes got and expected.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from curate.errors import InputError
from curate.training.model.clip import CLIP
from curate.training.model.config import ModelConfig, load_model_config, model_config_names
from curate.training.model.layouts import from_published
from curate.training.model.positions import VISION_POSITIONS, resized_positions
from curate.training.model.weights_file import read_tensors

__all__ = ["build_model", "fit_weights", "load_weights", "published_end", "read_weights"]

_TEXT_POSITIONS = "positional_embedding"
_ALIGNMENT = 64  # of torch's own memory, in bytes
_TOKENS = "token_embedding.weight"


def read_weights(path: str) -> dict[str, Tensor]:
    """Read weights of our, OpenAI's, OpenCLIP's, MetaCLIP's or Hugging Face's layout.

    Args:
        path: a file (safetensors, or a pickle of nothing but tensors) or a folder of a run or an
            export; local, or a URL of a file.

    Returns:
        Keys as in `CLIP.state_dict`, float32.

    Raises:
        InputError: there is no such file, or it is cut off, or no file of weights.
        ArtifactError: a newer version of this package wrote it.
    """
    return from_published(read_tensors(path))


def load_weights(model: CLIP, path: str, trimmed_from: list[int] | None = None) -> list[str]:
    """Begin with the weights of a file instead of random ones.

    Args:
        model: not yet compiled, wrapped or sharded.
        path: as for `read_weights`.
        trimmed_from: rows of the token embedding that the model has, where it has fewer tokens.

    Returns:
        What was changed to fit, for the user to read.

    Raises:
        InputError: the file cannot be read, or holds another model.
        ArtifactError: a newer version of this package wrote it.
    """
    found = read_weights(path)
    rows = found.get(_TOKENS)
    if trimmed_from is not None and rows is not None and len(rows) > len(trimmed_from):
        found[_TOKENS] = rows[torch.tensor(trimmed_from)]
    tensors, messages = fit_weights(found, model.config, path)
    if model.logit_bias is not None and "logit_bias" not in tensors:
        tensors["logit_bias"] = model.logit_bias.detach()
    model.load_state_dict(tensors)
    return messages


def build_model(config: ModelConfig, eos_id: int, tensors: Mapping[str, Tensor]) -> CLIP:
    """Return a model made of these tensors, drawing no random ones first.

    Tensors of a mapped file begin where its header ends. Products of matrices round by where
    memory begins, so such tensors are copied: equal weights give equal features, whatever file.
    """
    with torch.device("meta"):
        model = CLIP(config, eos_id)
    model.load_state_dict({name: _aligned(one) for name, one in tensors.items()}, assign=True)
    return model


def _aligned(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.data_ptr() % _ALIGNMENT else tensor


def published_end(config: ModelConfig) -> ModelConfig:
    """Fix the end token of weights that come without a tokenizer.

    Published English models read a text at its largest id, which is the vocabulary's last.
    """
    return config if config.eos_id is not None else replace(config, eos_id=config.vocab_size - 1)


def fit_weights(
    tensors: Mapping[str, Tensor], config: ModelConfig, name: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Fit weights to a model of another image size or a shorter context, and check them.

    Args:
        tensors: keys as in `CLIP.state_dict`.
        config: of the model that takes them.
        name: of the file, for messages.

    Returns:
        The tensors of the model (without logit_bias if the file has none), and what was changed.

    Raises:
        InputError: they are another model's.
    """
    fitted, messages = dict(tensors), list[str]()
    if "logit_bias" in fitted and not config.logit_bias:
        del fitted["logit_bias"]
        messages.append(f"{name}: logit_bias is left out; only SigLIP's loss has one")
    _fit_image_positions(fitted, config, name, messages)
    _fit_text_positions(fitted, config, name, messages)
    _check(fitted, config, name)
    return fitted, messages


def _fit_image_positions(
    tensors: dict[str, Tensor], config: ModelConfig, name: str, messages: list[str]
) -> None:
    found = tensors.get(VISION_POSITIONS)
    if found is None or found.ndim != 2:
        return
    old, new = math.isqrt(len(found) - 1), config.image_size // config.patch_size
    resized = resized_positions(found, new)
    if resized is None or resized is found:
        return
    tensors[VISION_POSITIONS] = resized
    messages.append(
        f"{name}: image positions resized from {old}×{old} to {new}×{new} patches, for images of "
        f"{config.image_size} pixels"
    )


def _fit_text_positions(
    tensors: dict[str, Tensor], config: ModelConfig, name: str, messages: list[str]
) -> None:
    found = tensors.get(_TEXT_POSITIONS)
    if found is not None and found.ndim == 2 and len(found) > config.context_length:
        tensors[_TEXT_POSITIONS] = found[: config.context_length]
        messages.append(
            f"{name}: text positions trimmed from {len(found)} to {config.context_length} tokens"
        )


def _check(tensors: Mapping[str, Tensor], config: ModelConfig, name: str) -> None:
    expected = _state_shapes(config)
    problems = [
        f"tensor {key} has shape {tuple(tensors[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    missing = [k for k in expected if k not in tensors and k != "logit_bias"]
    problems += [f"tensor {key} is missing" for key in missing]
    problems += [f"tensor {key} is not of this model" for key in tensors if key not in expected]
    if problems:
        more = f", and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        is_context = len(problems) == 1 and problems[0].startswith(f"tensor {_TEXT_POSITIONS} has")
        advice = (
            f"Choose a model whose context_length is at most {len(tensors[_TEXT_POSITIONS])}."
            if is_context
            else _likely_models(tensors)
        )
        raise InputError(f"{name}: weights of another model: {problems[0]}{more}. {advice}")


def _state_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(v.shape) for key, v in CLIP(config, 0).state_dict().items()}


def _likely_models(tensors: Mapping[str, Tensor]) -> str:
    found = _size_of_weights(tensors)
    names = [
        base + variant
        for base in model_config_names()
        for variant in ("", "-worldwide", "-mt5")
        if found is not None and _size(load_model_config(base + variant)) == found
    ]
    if names:
        return f"By their shapes they are of {' or '.join(dict.fromkeys(names))}."
    return "Choose the model that they were trained as, or give a JSON file of its shape."


def _size(config: ModelConfig) -> tuple[int, ...]:
    c = config
    return (c.patch_size, c.vision_width, c.vision_layers, c.text_width, c.text_layers,
            c.embed_dim, c.vocab_size)  # fmt: skip


def _size_of_weights(tensors: Mapping[str, Tensor]) -> tuple[int, ...] | None:
    patches, words = tensors.get("visual.conv1.weight"), tensors.get("token_embedding.weight")
    projection = tensors.get("text_projection")
    if patches is None or words is None or projection is None:
        return None
    vision_layers, text_layers = (
        sum(k.startswith(f"{tower}transformer.resblocks.") and k.endswith(".ln_1.bias")
            for k in tensors)
        for tower in ("visual.", "")
    )  # fmt: skip
    return (patches.shape[-1], patches.shape[0], vision_layers, words.shape[1], text_layers,
            projection.shape[-1], words.shape[0])  # fmt: skip
