"""The parts of a captioner in the folder of its run: nothing outside of it is read again.

config.json         `captioner`: its shape; `train`: how it was trained
image_model/        an export of the frozen CLIP model
language_model/     config and tokenizer, as transformers has them, without weights
checkpoints/        final.pt: mapper and language model
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from curate.errors import ArtifactError, InputError
from curate.files.storage import file_sha256
from curate.training.captioner.config import CaptionerConfig
from curate.training.captioner.model import CaptionModel

__all__ = [
    "IMAGE_MODEL",
    "LANGUAGE_MODEL",
    "build_caption_model",
    "language_model_identity",
    "load_captioner_weights",
    "open_language_model",
    "open_tokenizer",
    "save_language_model",
]

IMAGE_MODEL, LANGUAGE_MODEL = "image_model", "language_model"
_UNREADABLE = (OSError, ValueError, KeyError, ImportError)


def language_model_identity(name: str) -> dict[str, str]:
    """Return what a language model is: its name, and the Hub's commit or a hash of its folder.

    Raises:
        InputError: there is no such model.
    """
    from transformers import AutoConfig

    try:
        commit = getattr(AutoConfig.from_pretrained(name), "_commit_hash", None)
    except _UNREADABLE as error:
        raise _no_model(name, error) from error
    if commit is not None:
        return {"name": name, "weights": commit}
    digest = sha256()
    for path in sorted(one for one in Path(name).iterdir() if one.is_file()):
        digest.update(f"{path.name}\t{file_sha256(str(path))}\n".encode())
    return {"name": Path(name).resolve().name, "weights": digest.hexdigest()}


def open_language_model(name: str) -> Any:
    """Return a causal language model with its weights, in float32; none of its own code is run.

    Args:
        name: on the Hugging Face Hub, or a folder.

    Raises:
        InputError: there is no such model.
    """
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    except _UNREADABLE as error:
        raise _no_model(name, error) from error


def open_tokenizer(name: str) -> Any:
    """Return a language model's tokenizer.

    Raises:
        InputError: there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except _UNREADABLE as error:
        raise _no_model(name, error) from error


def _no_model(name: str, error: Exception) -> InputError:
    return InputError(
        f"{name}: no causal language model of transformers ({error}). Name one of the Hub, such as "
        "facebook/opt-125m, or a folder with one."
    )


def save_language_model(folder: str, model: Any, tokenizer: Any) -> None:
    """Write config and tokenizer of a language model to a local folder, without weights."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build_caption_model(folder: str, feature_width: int, shape: CaptionerConfig) -> CaptionModel:
    """Return a captioner with random weights, whose language model is that of a folder.

    Raises:
        InputError: there is none.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder)
        language_model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32
        )
    except _UNREADABLE as error:
        raise _no_model(folder, error) from error
    return CaptionModel(feature_width, language_model, shape)


def load_captioner_weights(model: CaptionModel, weights: Mapping[str, Tensor], path: str) -> None:
    """Give a captioner the weights of a run.

    Raises:
        ArtifactError: they are of another one.
    """
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ArtifactError(
            f"{path}: weights of another captioner: {str(error).splitlines()[-1].strip()}"
        ) from error
