"""What decides the vectors that `curate embed` makes."""

from dataclasses import dataclass

from curate.errors import UsageError

__all__ = ["EmbedOptions"]

_KINDS = ("image", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    """What decides the result of embedding.

    Attributes:
        run: folder of a run or an export, or a file of weights; None for no vectors of images.
        model: name or JSON file of the shape, for weights that come without it.
        tokenizer: of the weights; None for the one that came with them.
        text_encoder: a sentence encoder for the texts instead of the model's text tower.
        kinds: which vectors are made, of image and text; None for those that can be.
        precision: auto, float32, bfloat16 or float16.
        batch_size: images, or texts, that a model sees at once.
        decoder: of JPEGs: auto, simplejpeg or pillow.
        device: such as cpu or cuda; None for a GPU if there is one.
        crops: cuts of each image that get vectors as well, as students of a teacher see them.
        crop_seed: decides the cuts.
    """

    run: str | None = None
    model: str | None = None
    tokenizer: str | None = None
    text_encoder: str | None = None
    kinds: tuple[str, ...] | None = None
    precision: str = "auto"
    batch_size: int = 64
    decoder: str = "auto"
    device: str | None = None
    crops: int = 0
    crop_seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.batch_size < 1:
            raise UsageError(f"--batch-size is {self.batch_size}; expected at least 1")
        if self.decoder not in ("auto", "simplejpeg", "pillow"):
            raise UsageError(
                f"--decoder is {self.decoder!r}; expected auto, simplejpeg or pillow: vectors are "
                "to be the same on every machine"
            )
        unknown = set(self.kinds or ()) - set(_KINDS)
        if unknown or self.kinds == ():
            shown = ",".join(self.kinds or ())
            raise UsageError(f"--kinds is {shown!r}; expected image, text or image,text")
        if self.run is None and self.model is not None:
            raise UsageError("--model names the shape of weights; name the weights themselves too")
        if self.crops < 0:
            raise UsageError(f"--crops is {self.crops}; expected at least 0")
        if self.crops and (self.run is None or not self.wants_images):
            raise UsageError("--crops are looked at by a model: name a run, and have --kinds image")
        if "text" in (self.kinds or ()) and self.run is None and self.text_encoder is None:
            raise UsageError("--kinds text needs a model: name a run, or a --text-encoder")
        if self.kinds == ("image",) and self.text_encoder is not None:
            raise UsageError("--text-encoder is for texts, and --kinds leaves them out")

    @property
    def wants_texts(self) -> bool:
        """Whether texts become vectors."""
        has_model = self.run is not None or self.text_encoder is not None
        return has_model and (self.kinds is None or "text" in self.kinds)

    @property
    def wants_images(self) -> bool:
        """Whether images are looked at."""
        return self.kinds is None or "image" in self.kinds
