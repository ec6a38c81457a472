"""A model in, encoders out: functions from pixels and from texts to vectors of unit length.

A vector depends on nothing but its input, the model, the precision and the batch that it is
computed in; batches are made by whoever calls. Shapes: B batch, S side, T tokens, E width.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from curate.errors import ArtifactError, UsageError
from curate.training.data.pixels import normalize_images
from curate.training.export.load import load_model
from curate.training.model.clip import CLIP
from curate.training.text.tokenizer import Tokenizer

__all__ = [
    "ImageEncoder", "TextEncoder", "clip_encoders", "hash_tensors", "resolve_precision",
    "torch_device", "unit_vectors",
]  # fmt: skip

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class TextEncoder(Protocol):
    """Turns texts into vectors."""

    width: int

    def prepare(self, texts: Sequence[str]) -> tuple[Any, NDArray[np.int64]]:
        """Return texts as `encode` takes them, by row, and how long each is."""

    def encode(self, prepared: Any) -> NDArray[np.float32]:
        """Return a batch's vectors, (B, E), not of unit length."""


def torch_device(name: str | None) -> torch.device:
    """Return a device: as named, else a GPU if there is one.

    Raises:
        UsageError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device is {name!r}; expected cpu or cuda ({error})") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device is {name!r}, and PyTorch finds no GPU here; use cpu")
    return device


def resolve_precision(name: str, device: torch.device) -> str:
    """Return the precision that is meant: auto is bfloat16 on a GPU that has it, else float32.

    Raises:
        UsageError: there is no such precision, or not on this device.
    """
    if name == "auto":
        has_it = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return "bfloat16" if has_it else "float32"
    if name not in ("float32", *_DTYPES):
        expected = ", ".join(["auto", "float32", *_DTYPES])
        raise UsageError(f"--precision is {name!r}; expected one of {expected}")
    if name == "float16" and device.type == "cpu":
        raise UsageError("--precision float16 is for GPUs; on a CPU use float32 or bfloat16")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    """A model on its device, with the type that it computes in."""

    model: CLIP
    words: Tokenizer
    dtype: torch.dtype | None

    @property
    def device(self) -> torch.device:
        return self.model.logit_scale.device

    def computing(self) -> AbstractContextManager[Any]:
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


class ImageEncoder:
    """Turns what a model sees into vectors.

    Attributes:
        width: E.
        image_size: S.
    """

    def __init__(self, clip: _Clip) -> None:
        self._clip = clip
        self.width = clip.model.config.embed_dim
        self.image_size = clip.model.config.image_size

    @property
    def is_on_gpu(self) -> bool:
        """Whether vectors are computed on another device than the one that decodes."""
        return self._clip.device.type != "cpu"

    @torch.inference_mode()
    def encode(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the vectors of a batch, (B, E), not of unit length.

        Args:
            images: uint8, shape (B, 3, S, S).
        """
        image_B3SS = torch.from_numpy(images)
        if self.is_on_gpu:
            image_B3SS = image_B3SS.pin_memory().to(self._clip.device, non_blocking=True)
        with self._clip.computing():
            found: Tensor = self._clip.model.encode_image(normalize_images(image_B3SS))
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors


class _ClipTexts:
    """Turns texts into vectors by the text tower of a model."""

    def __init__(self, clip: _Clip) -> None:
        self._clip = clip
        self.width = clip.model.config.embed_dim

    def prepare(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens of texts, (B, T), and how many there are up to the end token."""
        tokens_BT = self._clip.words.encode(texts)
        ends: NDArray[np.int64] = (tokens_BT == self._clip.model.eos_id).argmax(axis=1) + 1
        return tokens_BT, ends

    @torch.inference_mode()
    def encode(self, prepared: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of a batch of tokens, without the padding that all have."""
        longest = int((prepared == self._clip.model.eos_id).argmax(axis=1).max()) + 1
        tokens_BT = torch.from_numpy(np.ascontiguousarray(prepared[:, :longest]))
        with self._clip.computing():
            found: Tensor = self._clip.model.encode_text(tokens_BT.to(self._clip.device))
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors


def clip_encoders(
    source: str, *, device: torch.device, precision: str, model: str | None, tokenizer: str | None
) -> tuple[ImageEncoder, TextEncoder, dict[str, Any]]:
    """Load a model; return its encoders, and what it is.

    Args:
        source: as for `curate.load`.
        device: to compute on.
        precision: as `resolve_precision` gives it.
        model: name or JSON file of the shape, for weights that come without it.
        tokenizer: None for the one that came with the weights.

    Raises:
        ArtifactError, InputError, UsageError: as for `curate.load`.
    """
    loaded, words = load_model(source, str(device), model=model, tokenizer=tokenizer)
    clip = _Clip(model=loaded, words=words, dtype=_DTYPES.get(precision))
    about = {
        "sha256": hash_tensors(loaded),
        "tokenizer_sha256": sha256(words.to_json().encode()).hexdigest(),
        "width": loaded.config.embed_dim,
        "image_size": loaded.config.image_size,
        "context_length": words.context_length,
    }
    return ImageEncoder(clip), _ClipTexts(clip), about


def hash_tensors(model: nn.Module) -> str:
    """Return the sha256 of a model's tensors: the same in whatever file they came.

    >>> hash_tensors(nn.Linear(1, 1)) == hash_tensors(nn.Linear(1, 1))
    False
    """
    digest = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(memoryview(values.view(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def unit_vectors(vectors: NDArray[np.float32], what: str) -> NDArray[np.float16]:
    """Return vectors of unit length; one of no length stays so.

    Args:
        vectors: shape (B, E).
        what: they are of, for the message.

    Raises:
        ArtifactError: a value is infinite or not a number.
    """
    if not np.isfinite(vectors).all():
        raise ArtifactError(
            f"the model's vectors of {what} are not finite; its training has diverged, or "
            "--precision is too small for it. Use float32, or an earlier checkpoint."
        )
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1.0)).astype(np.float16)
