"""What a captioner is asked, and what it answers: the one thing that all captioners share."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.pipelines.caption_tables.read import MAX_CHARACTERS

__all__ = ["Answer", "Ask", "Captioner", "as_answer"]


class Ask(NamedTuple):
    """An image to be described.

    Attributes:
        pair_id: of its pair.
        seen: the image, upright, RGB; or its vector, of unit length, float32, shape (E,).
        alt: its alt-text; "" without one.
        lang: the caption is to be in, as the pairs' `lang`; None where it is not known.
    """

    pair_id: str
    seen: Image.Image | NDArray[np.float32]
    alt: str
    lang: str | None

    @property
    def image(self) -> Image.Image:
        """The image, for captioners that look at it."""
        assert isinstance(self.seen, Image.Image)
        return self.seen


@dataclass(frozen=True, slots=True)
class Answer:
    """A caption, or why there is none.

    Attributes:
        text: None without one.
        reason: why; "" with one.
        counts: what it took: tokens, requests and the like; what of a caption is odd (`cut_off`).
    """

    text: str | None
    reason: str = ""
    counts: Counter[str] = field(default_factory=Counter)


class Captioner(Protocol):
    """Describes images."""

    def answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """Return an answer for each, in order.

        Raises:
            CurateError: none can be had at all.
        """


def as_answer(text: str, counts: Counter[str] | None = None) -> Answer:
    r"""Return what a model said as a caption: one line, without quotes around it.

    >>> as_answer(' "A dog.\n Red." ').text, as_answer(" \n").reason
    ('A dog. Red.', 'empty_answer')
    """
    counts = counts if counts is not None else Counter()
    line = " ".join(text.split())
    if len(line) > 1 and line[0] + line[-1] in ('""', "“”", "«»", "''"):
        line = line[1:-1].strip()
    if not line:
        return Answer(None, "empty_answer", counts)
    if len(line) > MAX_CHARACTERS:
        return Answer(None, "too_long", counts)
    return Answer(line, "", counts)
