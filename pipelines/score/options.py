"""What pairs are scored by, and which conditions they have to meet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curate.errors import UsageError

__all__ = ["SIZES", "Condition", "ScoreOptions", "parse_condition"]

SIZES = ("width", "height", "pixels", "aspect")
_OURS = (*SIZES, "clip_score", "pair_id", "image_id", "lang")
_NAME = re.compile(r"[A-Za-z_]\w*")
_CONDITION = re.compile(r"\s*([A-Za-z_]\w*)\s*(>=|<=|>|<)\s*(q?)([0-9.eE+-]+)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that a score has to meet, or its pair is dropped under the score's name.

    Attributes:
        text: as it was given.
        column: the score.
        sign: >=, >, <= or <.
        value: a threshold; or, of `is_quantile`, the share of a language's pairs below it.
        is_quantile: the threshold is that quantile of the scores of each language.
    """

    text: str
    column: str
    sign: str
    value: float
    is_quantile: bool


def parse_condition(text: str) -> Condition:
    """Return a condition such as ``clip_score>=0.28`` or ``clip_score>=q0.3``.

    Raises:
        UsageError: it is none.

    >>> parse_condition("clip_score >= q0.3").value
    0.3
    """
    found = _CONDITION.fullmatch(text)
    try:
        value = float(found[4]) if found else None
    except ValueError:
        value = None
    if found is None or value is None:
        raise UsageError(
            f"--filter {text!r}: expected a score and a threshold, such as 'clip_score>=0.28', or "
            "a quantile in each language, such as 'clip_score>=q0.3'"
        )
    if found[3] and not 0.0 <= value <= 1.0:
        raise UsageError(f"--filter {text!r}: a quantile is from 0 to 1")
    return Condition(text, found[1], found[2], value, bool(found[3]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """What decides the scores.

    Attributes:
        prompts: a name and a file of prompts each, a line a prompt: the largest cosine of an image
            with one of them.
        heads: a name and a file each, as `read_head` takes it.
        run: model that the vectors are of, for prompts; and its shape and tokenizer.
        conditions: that pairs have to meet to count.
        device: that prompts are embedded on.
    """

    prompts: tuple[tuple[str, str], ...] = ()
    heads: tuple[tuple[str, str], ...] = ()
    run: str | None = None
    model: str | None = None
    tokenizer: str | None = None
    conditions: tuple[Condition, ...] = ()
    device: str | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: names repeat, or are ours; prompts without a model.
        """
        names = [name for name, _ in (*self.prompts, *self.heads)]
        for name in names:
            if not _NAME.fullmatch(name) or name in _OURS or names.count(name) > 1:
                raise UsageError(
                    f"{name!r} cannot be the name of a score: expected letters, digits and _, each "
                    f"name once, and none of {', '.join(_OURS)}"
                )
        if self.prompts and self.run is None:
            raise UsageError("--prompts needs the model of the vectors: name the run")

    @staticmethod
    def named_files(given: Sequence[str], option: str) -> tuple[tuple[str, str], ...]:
        """Return NAME=FILE words as pairs.

        Raises:
            UsageError: one is none.
        """
        pairs = [tuple(one.partition("=")[::2]) for one in given]
        for word, (name, file) in zip(given, pairs, strict=True):
            if not name or not file:
                raise UsageError(f"{option} is {word!r}; expected NAME=FILE")
        return tuple((name, file) for name, file in pairs)
