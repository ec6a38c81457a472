"""A model, ready for use: of a finished run, of an export, or of a published file of weights."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from curate.errors import ArtifactError, InputError, UsageError
from curate.files.storage import is_file, join
from curate.training.data.images import fit, to_rgb
from curate.training.data.pixels import normalize_images
from curate.training.model.clip import CLIP
from curate.training.model.config import ModelConfig, load_model_config
from curate.training.model.config_beside import (
    config_beside,
    our_config,
    read_json,
    require_same_model,
)
from curate.training.model.weights import build_model, fit_weights, published_end, read_weights
from curate.training.model.weights_file import find_weights
from curate.training.published.registry import HUB, is_name, nearest
from curate.training.published.resolve import hub_folder, resolve
from curate.training.text.tokenizer import Tokenizer
from curate.training.text.tokenizer_files import check_fit, open_tokenizer, tokenizer_beside
from curate.training.text.trimming import trimmed_shape

__all__ = ["input_functions", "load_model", "load_run"]

_log = logging.getLogger("curate")
_OPEN_CLIP = "open_clip_config.json"


class _Source(NamedTuple):
    """Where the parts of a model are."""

    config: ModelConfig
    weights: str
    tokenizer: str | None


def load_model(
    source: str, device: str = "cpu", *, model: str | None = None, tokenizer: str | None = None,
    pretrained: str | None = None,
) -> tuple[CLIP, Tokenizer]:  # fmt: skip
    """Load a model and its tokenizer.

    Args:
        source: folder of a finished run, or of an export (ours, OpenCLIP's, Hugging Face's); or,
            with `model`, a file of weights: local, or an fsspec URL. Or the name of a published
            model, ``hf:org/name`` or ``open_clip:NAME/TAG``.
        device: where the model goes.
        model: name or JSON file of the shape, for weights that come without it.
        tokenizer: as for `open_tokenizer`; None for the one that came with the weights.
        pretrained: name of a published model's weights.

    Raises:
        ArtifactError: the run is not finished, or the parts do not belong together.
        InputError: the weights, config or tokenizer cannot be read, or hold another model.
        UsageError: a file of weights is given without a model, or comes without a tokenizer.
    """
    found = _found(source, model, pretrained)
    place = tokenizer or found.tokenizer
    if place is None:
        raise UsageError(
            f"{source} comes without its tokenizer; give one: CLIP's bpe_simple_vocab_16e6.txt.gz, "
            "a JSON file of the tokenizers library, or a name on the Hugging Face Hub"
        )
    words = open_tokenizer(place, found.config.context_length)
    tensors = read_weights(found.weights)
    config = trimmed_shape(_with_vocabulary_of(tensors, found.config), words)
    check_fit(words, config, source)
    fitted, messages = fit_weights(tensors, config, found.weights)
    for message in messages:
        _log.info("%s", message)
    return build_model(config, words.eos_id, fitted).to(device).eval(), words


def load_run(
    source: str,
    device: str,
    model: str | None = None,
    tokenizer: str | None = None,
    pretrained: str | None = None,
) -> tuple[CLIP, Callable[[Image.Image], Tensor], Callable[[list[str]], Tensor]]:
    """Return a model with its `preprocess` and `tokenize`; arguments as for `load_model`."""
    clip, words = load_model(
        source, device, model=model, tokenizer=tokenizer, pretrained=pretrained
    )
    return clip, *input_functions(clip.config.image_size, words)


def input_functions(
    image_size: int, tokenizer: Tokenizer
) -> tuple[Callable[[Image.Image], Tensor], Callable[[list[str]], Tensor]]:
    """Return what makes a model's inputs.

    Args:
        image_size: pixels of both sides that the model sees.
        tokenizer: the model's.

    Returns:
        `preprocess`, from a Pillow image of any mode and size to (3, image_size, image_size);
        `tokenize`, from B texts to (B, T).
    """

    def preprocess(image: Image.Image) -> Tensor:
        return normalize_images(torch.from_numpy(fit(to_rgb(image), image_size)))

    def tokenize(texts: list[str]) -> Tensor:
        return torch.from_numpy(tokenizer.encode(texts))

    return preprocess, tokenize


def _found(source: str, model: str | None, pretrained: str | None) -> _Source:
    if model is not None:
        return _by_name(source, model)
    if is_name(source, pretrained):
        found = resolve(source, pretrained)
        if found.note:
            _log.info("%s: %s", found.name, found.note)
        return _Source(found.config, found.weights, found.tokenizer)
    if source.startswith(HUB):
        return _by_folder(hub_folder(source.removeprefix(HUB)))
    return _by_folder(source)


def _by_name(source: str, model: str) -> _Source:
    config, tokenizer = load_model_config(model), tokenizer_beside(source)
    fixed = config if tokenizer else published_end(config)
    beside = config_beside(source)
    if beside is not None:
        require_same_model(beside, fixed, source)
    return _Source(fixed, find_weights(source), tokenizer)


def _by_folder(source: str) -> _Source:
    if is_file(source):
        beside = config_beside(source)
        if beside is not None:
            return _Source(beside.config, find_weights(source), tokenizer_beside(source))
        raise UsageError(
            f"{source} is a file of weights, which does not say what model it is of; give its name "
            "too, such as vit-b-32-quickgelu"
        )
    config = join(source, "config.json")
    if is_file(join(source, _OPEN_CLIP)) or (is_file(config) and "model_type" in read_json(config)):
        found = config_beside(source)
        assert found is not None
        return _Source(found.config, find_weights(source), tokenizer_beside(source))
    return _by_config(source)


def _by_config(source: str) -> _Source:
    """Find the parts of a run or an export of ours."""
    config, tokenizer = join(source, "config.json"), join(source, "tokenizer.json")
    if is_file(config) and "architecture" in (values := read_json(config)):
        raise InputError(
            f"{source}: a model of timm's ({values['architecture']}), which is the image part "
            "alone; expected a folder of OpenCLIP (with open_clip_config.json), of transformers, "
            "or of ours"
        )
    needed = [config, tokenizer]
    if not is_file(join(source, "model.safetensors")):
        needed.append(join(source, "checkpoints", "final.pt"))
    if "://" not in source and not Path(source).exists():
        raise InputError(
            f"there is no {source}; {_runs_beside(Path(source))}. Nor is it the name of a "
            f"published model{nearest(source)}"
        )
    for path in needed:
        if not is_file(path):
            raise ArtifactError(
                f"{source}: there is no {path.rpartition('/')[2]}; the run is not finished. "
                "Run the same `curate train` again to go on."
            )
    return _Source(our_config(read_json(config), config), find_weights(source), tokenizer)


def _runs_beside(source: Path) -> str:
    """Say which runs there are where one was looked for."""
    runs = sorted(path.parent.name for path in source.parent.glob("*/config.json"))
    return f"the runs there are {', '.join(runs)}" if runs else "nor any other run there"


def _with_vocabulary_of(tensors: dict[str, Tensor], config: ModelConfig) -> ModelConfig:
    """Give a model the few more tokens that a run adds where its shape has too few for bytes."""
    words = tensors.get("token_embedding.weight")
    if words is None or words.ndim != 2 or config.vocab_size >= 259:
        return config
    return replace(config, vocab_size=max(config.vocab_size, len(words)))
