"""The models that vectors are made with, loaded once in a process."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from curate.errors import ArtifactError

if TYPE_CHECKING:
    from curate.training.embedding.encoders import ImageEncoder, TextEncoder

__all__ = ["Encoders", "ModelSpec", "load_encoders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Which models, and how they compute; picklable."""

    run: str | None
    model: str | None
    tokenizer: str | None
    text_encoder: str | None
    wants_images: bool
    wants_texts: bool
    device: str
    precision: str


@dataclass(frozen=True, slots=True)
class Encoders:
    """What turns images and texts into vectors.

    Attributes:
        image: None where images get no vectors.
        text: likewise.
        columns: what each column's vectors are made by: hashes and width.
    """

    image: "ImageEncoder | None"
    text: "TextEncoder | None"
    columns: dict[str, dict[str, Any]]

    @property
    def widths(self) -> dict[str, int]:
        """Width of the vectors of each column."""
        return {name: int(about["width"]) for name, about in self.columns.items()}

    def require(self, columns: dict[str, dict[str, Any]]) -> None:
        """Refuse models that are not those that the run began with.

        Raises:
            ArtifactError: another model is at the same place here.
        """
        for name, about in columns.items():
            found = self.columns.get(name, {}).get("sha256")
            if found != about["sha256"]:
                raise ArtifactError(
                    f"the model of the {name} vectors is another one on this machine, or was "
                    f"replaced since the run began: its sha256 is {found}, expected "
                    f"{about['sha256']}. Put the same model everywhere and run the command again."
                )


@lru_cache(maxsize=1)
def load_encoders(spec: ModelSpec) -> Encoders:
    """Load the models.

    Raises:
        ArtifactError, InputError, UsageError: as for `curate.load`.
        CurateError: a library is not installed.
    """
    if spec.run is None and spec.text_encoder is None:
        return Encoders(None, None, {})
    import torch

    from curate.training.embedding.encoders import clip_encoders
    from curate.training.embedding.sentences import open_sentence_encoder

    device = torch.device(spec.device)
    image, text, columns = None, None, {}
    if spec.run is not None:
        images, texts, about = clip_encoders(
            spec.run, device=device, precision=spec.precision, model=spec.model,
            tokenizer=spec.tokenizer,
        )  # fmt: skip
        if spec.wants_images:
            image, columns["image"] = images, about
        if spec.wants_texts and spec.text_encoder is None:
            text, columns["text"] = texts, about
    if spec.wants_texts and spec.text_encoder is not None:
        text, columns["text"] = open_sentence_encoder(spec.text_encoder, device)
    return Encoders(image, text, columns)
