"""The shape of a captioner, and what its texts are."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import UsageError

__all__ = ["PHASES", "CaptionerConfig"]

PHASES = ("pretrain", "finetune")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerConfig:
    """The shape of a captioner.

    Attributes:
        prefix_tokens: vectors that the image becomes.
        mapper_layers: blocks of the mapper.
        mapper_heads: heads of their attention.
        mapper_ratio: width of their hidden layers, in widths of the language model.
        prompt_tokens: of the alt-text, at most.
        text_tokens: of alt-text and caption together, at most, with the end token.
        prompt_dropout: share of pairs whose alt-text is left out, so that images without one are
            captioned too.
    """

    prefix_tokens: int = 40
    mapper_layers: int = 8
    mapper_heads: int = 8
    mapper_ratio: int = 2
    prompt_tokens: int = 128
    text_tokens: int = 320
    prompt_dropout: float = 0.5

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        for name in ("prefix_tokens", "mapper_layers", "mapper_heads", "mapper_ratio"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        if not 0 <= self.prompt_tokens < self.text_tokens - 1:
            raise UsageError(
                f"prompt_tokens is {self.prompt_tokens}; expected 0 to {self.text_tokens - 2}, "
                "so that of text_tokens some are left for the caption"
            )
        if not 0 <= self.prompt_dropout <= 1:
            raise UsageError(f"prompt_dropout is {self.prompt_dropout}; expected 0 to 1")

    @property
    def caption_tokens(self) -> int:
        """Tokens of a caption, at most, with the end token."""
        return self.text_tokens - self.prompt_tokens

    def as_dict(self) -> dict[str, Any]:
        """Return the values, for a run's record."""
        return asdict(self)
