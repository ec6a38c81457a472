"""A model and its tokenizer in, the files of an export out, as bytes by name.

The last file of each is the one that says what the others are, so whoever writes them in this
order leaves nothing that looks finished before it is.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, get_args

from safetensors.torch import save
from torch import Tensor

from curate.errors import UsageError
from curate.training.model.clip import CLIP
from curate.training.model.config import IMAGE_MEAN, IMAGE_STD
from curate.training.model.foreign_configs import to_huggingface as huggingface_config
from curate.training.model.foreign_configs import to_open_clip as open_clip_config
from curate.training.model.layouts import to_huggingface as huggingface_tensors
from curate.training.model.weights_file import FORMAT_VERSION
from curate.training.text.tokenizer import Tokenizer

__all__ = ["FORMATS", "ExportFormat", "export_files"]

ExportFormat = Literal["safetensors", "open_clip", "huggingface"]
FORMATS: tuple[str, ...] = get_args(ExportFormat)
_PAD_NAMES = ("<|pad|>", "<pad>", "[PAD]")
# One key each: safetensors writes several in an order that changes, and bytes with it.
_OURS = {"format_version": str(FORMAT_VERSION)}
_OTHERS = {"format": "pt"}


def export_files(
    model: CLIP, tokenizer: Tokenizer, export_format: str
) -> dict[str, Callable[[], bytes]]:
    """Return what makes each file of an export, to be called one after the other.

    Args:
        model: any CLIP; its weights are written in float32.
        tokenizer: its tokenizer.
        export_format: ``safetensors``, which `training.load` reads; ``open_clip``, for
            `open_clip.create_model_from_pretrained("local-dir:…")`; ``huggingface``, for
            `AutoModel.from_pretrained` of transformers.

    Raises:
        UsageError: there is no such format, or the model cannot be expressed in it.
    """
    if export_format == "safetensors":
        return _ours(model, tokenizer)
    if export_format == "open_clip":
        return _open_clip(model, tokenizer)
    if export_format == "huggingface":
        return _huggingface(model, tokenizer)
    raise UsageError(f"unknown format {export_format!r}; expected one of {', '.join(FORMATS)}")


def _ours(model: CLIP, tokenizer: Tokenizer) -> dict[str, Callable[[], bytes]]:
    config = {
        "format_version": FORMAT_VERSION,
        "model": asdict(model.config),
        "eos_id": model.eos_id,
    }
    return {
        "tokenizer.json": lambda: tokenizer.to_json().encode(),
        "model.safetensors": lambda: _safetensors(_tensors(model), _OURS),
        "config.json": lambda: _json(config),
    }


def _open_clip(model: CLIP, tokenizer: Tokenizer) -> dict[str, Callable[[], bytes]]:
    return {
        **_tokenizer_files(tokenizer),
        "open_clip_model.safetensors": lambda: _safetensors(_tensors(model), _OTHERS),
        "open_clip_config.json": lambda: _json(open_clip_config(model.config, model.eos_id)),
    }


def _huggingface(model: CLIP, tokenizer: Tokenizer) -> dict[str, Callable[[], bytes]]:
    config = huggingface_config(model.config, model.eos_id, tokenizer.start_id)
    return {
        **_tokenizer_files(tokenizer),
        "preprocessor_config.json": lambda: _json(_image_processor(model.config.image_size)),
        "model.safetensors": lambda: _safetensors(huggingface_tensors(_tensors(model)), _OTHERS),
        "config.json": lambda: _json(config),
    }


def _tensors(model: CLIP) -> dict[str, Tensor]:
    return {k: v.detach().float().cpu().contiguous() for k, v in model.state_dict().items()}


def _safetensors(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    content: bytes = save(tensors, metadata)
    return content


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _tokenizer_files(tokenizer: Tokenizer) -> dict[str, Callable[[], bytes]]:
    """Return the tokenizer as transformers, and through it OpenCLIP, reads it."""
    special = {"eos_token": tokenizer.token(tokenizer.eos_id)}
    special["pad_token"] = next(
        (name for name in _PAD_NAMES if tokenizer.has_token(name)), special["eos_token"]
    )
    if tokenizer.start_id is not None:
        special["bos_token"] = tokenizer.token(tokenizer.start_id)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": tokenizer.context_length,
        "clean_up_tokenization_spaces": False,
        # A caption may spell a special token: it is text there, as it was in training.
        "split_special_tokens": True,
        **special,
    }
    ids = {"trimmed_from": tokenizer.trimmed_from}
    return {
        "tokenizer.json": lambda: tokenizer.to_foreign_json().encode(),
        "tokenizer_config.json": lambda: _json(config),
        # Of each token its id in the tokenizer that this one was trimmed from.
        **({"token_ids.json": lambda: _json(ids)} if tokenizer.trimmed_from else {}),
    }


def _image_processor(size: int) -> dict[str, Any]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
    }
