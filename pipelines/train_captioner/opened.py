"""A finished captioner of ours, opened to write captions, out of nothing but its folder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.sums import check_listed
from curate.pipelines.store import artifacts
from curate.pipelines.train import RunFiles, read_checkpoint
from curate.training.captioner.config import CaptionerConfig

__all__ = ["OwnCaptioner", "image_model_hash", "open_own", "own_identity"]


def own_identity(folder: str) -> str | None:
    """Return a hash of what a captioner is made of; None of a folder that is none of ours.

    Raises:
        ArtifactError: it is not finished.
    """
    files = RunFiles(folder)
    if not storage.is_local(folder) or not storage.exists(files.config):
        return None
    found = artifacts.read_json_of_anyone(files.config)
    if not isinstance(found, dict) or "captioner" not in found:
        return None
    if not storage.exists(files.final) or not storage.exists(files.card):
        raise ArtifactError(
            f"{folder}: the captioner is not finished. Run the same `curate train-captioner` again "
            "to go on."
        )
    return storage.file_sha256(files.final)


def image_model_hash(folder: str) -> str:
    """Return the hash of the tensors of a captioner's image model, as `embed` has it.

    Args:
        folder: of its run.

    Raises:
        ArtifactError: it is damaged.
    """
    from curate.training.captioner.folder import IMAGE_MODEL
    from curate.training.embedding.encoders import hash_tensors
    from curate.training.export.load import load_model

    check_listed(folder, f"{IMAGE_MODEL}/model.safetensors", must=True)
    return hash_tensors(load_model(RunFiles(folder).path(IMAGE_MODEL))[0])


class OwnCaptioner:
    """A captioner ready for use.

    Attributes:
        image_size: pixels of both sides that it sees.
    """

    def __init__(self, image_model: Any, model: Any, encoder: Any, tokenizer: Any) -> None:
        self._image_model, self._model = image_model, model
        self._encoder, self._tokenizer = encoder, tokenizer
        self.image_size: int = image_model.config.image_size

    def write(
        self, seen: Sequence[Image.Image | NDArray[np.float32]], prompts: Sequence[str], *,
        max_tokens: int,
        processors: Sequence[Any] = (),
    ) -> list[tuple[str, int, bool]]:  # fmt: skip
        """Return the caption of each image, its number of tokens, and whether it came to its end.

        Args:
            seen: images, upright, RGB; or their vectors, of unit length, shape (E,).
            prompts: alt-texts; "" without one.
            max_tokens: of a caption.
            processors: of logits, as transformers has them.
        """
        from curate.training.captioner.generate import image_features, write_captions
        from curate.training.data.images import fit

        images = [one for one in seen if isinstance(one, Image.Image)]
        if images:
            pixels = np.stack([fit(image, self.image_size) for image in images])
            features = image_features(self._image_model, pixels)
        else:
            features = np.stack([one for one in seen if not isinstance(one, Image.Image)])
        rows = write_captions(
            self._model, self._encoder, features, prompts, max_tokens=max_tokens,
            processors=processors,
        )  # fmt: skip
        texts = [self._tokenizer.decode(row, skip_special_tokens=True) for row in rows]
        return [(text, len(row), len(row) < max_tokens)
                for text, row in zip(texts, rows, strict=True)]  # fmt: skip


def open_own(folder: str, *, device: str, dtype: Any) -> OwnCaptioner:
    """Open a finished captioner.

    Args:
        folder: of its run.
        device: where it goes.
        dtype: of its weights.

    Raises:
        ArtifactError: it is damaged.
    """
    from curate.training.captioner.folder import (
        IMAGE_MODEL,
        LANGUAGE_MODEL,
        build_caption_model,
        load_captioner_weights,
        open_tokenizer,
    )
    from curate.training.captioner.sequences import SequenceEncoder
    from curate.training.export.load import load_model

    files = RunFiles(folder)
    with of_ours(files.config):
        shape = CaptionerConfig(**artifacts.read_json(files.config)["captioner"])
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        check_listed(folder, f"{IMAGE_MODEL}/{name}", must=True)
    image_model, _ = load_model(files.path(IMAGE_MODEL), device)
    place = files.path(LANGUAGE_MODEL)
    model = build_caption_model(place, image_model.config.embed_dim, shape)
    state = read_checkpoint(files, files.final)
    load_captioner_weights(model, state["model"], files.final)
    tokenizer = open_tokenizer(place)
    model = model.to(device, dtype).eval()
    encoder = SequenceEncoder(tokenizer, shape)
    return OwnCaptioner(image_model.to(dtype), model, encoder, tokenizer)
