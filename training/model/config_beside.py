"""What the files beside weights say of their model, and whether it is the one that is asked for.

The shapes of tensors do not tell everything: QuickGELU or GELU, the number of heads, where a text
is read and how pixels were normalised make another model of the same shapes.
"""

import json
from typing import Any, NamedTuple

from curate.errors import ArtifactError, InputError, UsageError
from curate.files.sealed_json import CHECKSUM, read_json_of_anyone
from curate.files.storage import is_file, is_folder, join, read_text
from curate.training.model.config import ModelConfig
from curate.training.model.foreign_configs import (
    from_huggingface,
    from_open_clip,
    require_fit,
    require_normalisation,
)
from curate.training.model.weights_file import find_weights, require_known_version

__all__ = ["ConfigBeside", "assumption", "config_beside", "our_config", "read_json",
           "require_same_model"]  # fmt: skip

_OPEN_CLIP = "open_clip_config.json"
_HUGGING_FACE_PIXELS = "preprocessor_config.json"
# Of fields that differ in silence, what is said of them; sizes that tensors show are checked there.
_SILENT = ("quick_gelu", "vision_head_width", "text_heads")
_WORDS: dict[str, Any] = {
    "quick_gelu": {True: "QuickGELU", False: "GELU"},
    "vision_head_width": "image heads of width {}",
    "text_heads": "{} text heads",
}


class ConfigBeside(NamedTuple):
    """A config that was found.

    Attributes:
        path: of its file.
        config: what it says.
    """

    path: str
    config: ModelConfig


def config_beside(weights: str) -> ConfigBeside | None:
    """Return what the config beside weights says; None where there is none.

    Args:
        weights: a file of weights, or a folder of a run or an export; local, or an fsspec URL.

    Raises:
        InputError: there is one that cannot be read, or it is of a model that CLIP's ViT is not.
        ArtifactError: a newer version of this package wrote it.
    """
    folder = weights.rstrip("/") if is_folder(weights) else _parent(weights)
    for place in [folder, _parent(folder)] if folder.endswith("/checkpoints") else [folder]:
        theirs, path = join(place, _OPEN_CLIP), join(place, "config.json")
        if is_file(theirs):
            return ConfigBeside(theirs, from_open_clip(read_json(theirs), theirs))
        values = read_json(path) if is_file(path) else {}
        if "model_type" in values:
            _require_pixels(join(place, _HUGGING_FACE_PIXELS))
            return ConfigBeside(path, from_huggingface(values, path))
        if "model" in values:
            return ConfigBeside(path, our_config(values, path))
    return None


def our_config(values: dict[str, Any], path: str) -> ModelConfig:
    """Return the model of a run's or an export's `config.json`.

    Raises:
        ArtifactError: it is none of ours, or a newer version of this package wrote it.
    """
    require_known_version(values, path)
    try:
        return ModelConfig(**values["model"])
    except (KeyError, TypeError, UsageError) as error:
        raise ArtifactError(f"{path}: not a config of ours ({error!r})") from error


def require_same_model(found: ConfigBeside, asked: ModelConfig, weights: str) -> None:
    """Check that weights go into the model that they were trained as.

    Another image size or a shorter context is no contradiction: positions are fitted, and that is
    said. What shapes show is checked where tensors are.

    Raises:
        ArtifactError: the config says something else than is asked for.
    """
    for name in _SILENT:
        theirs, ours = getattr(found.config, name), getattr(asked, name)
        if theirs != ours:
            raise ArtifactError(
                f"{weights}: trained with {_said(name, theirs)}, as {found.path} says, but the "
                f"model asked for has {_said(name, ours)}. {_remedy(name, found.config)}"
            )
    theirs, ours = found.config.eos_id, asked.eos_id
    if None not in (theirs, ours) and theirs != ours:
        raise ArtifactError(
            f"{weights}: trained to read texts at the end token {theirs}, as {found.path} says, "
            f"but the model asked for reads them at {ours}. Choose the model that the weights are "
            "of, with the tokenizer that came with them."
        )


def assumption(weights: str, asked: ModelConfig) -> str:
    """Return what is taken for granted of weights without a config, for the user to read."""
    return (
        f"{find_weights(weights)}: there is no config beside it, so it is taken as asked for: "
        f"{_said('quick_gelu', asked.quick_gelu)}, {_said('text_heads', asked.text_heads)}, "
        f"texts read at the end token {asked.eos_id}. The files of OpenAI and of MetaCLIP 1 are of "
        "models with QuickGELU (-quickgelu), those of OpenCLIP mostly with GELU"
    )


def read_json(path: str) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        InputError: it holds none.
        ArtifactError: it is ours, and not what was written.
    """
    try:
        values = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds a {type(values).__name__}; expected an object")
    if CHECKSUM in values:
        read_json_of_anyone(path)
    return values


def _require_pixels(path: str) -> None:
    """Refuse another normalisation of pixels than CLIP's, which transformers keeps in this file."""
    if is_file(path):
        values = read_json(path)
        require_normalisation(values.get("image_mean"), values.get("image_std"), path)
        require_fit(values, path)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] if "/" in path else "."


def _said(name: str, value: Any) -> str:
    words = _WORDS[name]
    return str(words.format(value) if isinstance(words, str) else words[value])


def _remedy(name: str, config: ModelConfig) -> str:
    if name == "quick_gelu" and config.quick_gelu:
        return "Add -quickgelu to its name, or set quick_gelu to true in its JSON file."
    if name == "quick_gelu":
        return "Leave -quickgelu out of its name, or set quick_gelu to false in its JSON file."
    return "Give a JSON file of the shape that the weights have: --model shape.json."
