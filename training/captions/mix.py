"""Which of a pair's texts is trained on: a draw by weight that seed, epoch and pair decide.

    [0 ── captions by source ──┬── the alt-text ── 1)
                               r

A pair's place on this line is xxh3_64 of its id, seeded with seed and epoch. With other weights
it keeps its place: what is synthetic at 15 % is so at 50 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import xxhash

from curate.errors import UsageError
from curate.training.captions.lookup import CaptionIndex, Place

__all__ = ["ALT", "Chosen", "PairTexts", "TextMix", "caption_draw", "json_texts"]

ALT = "alt"
_ROUNDING = 1e-9


class Chosen(NamedTuple):
    """A text, and who said it."""

    text: str
    source: str


class PairTexts(Protocol):
    """Chooses the text of a pair, for the loader."""

    def choose(
        self, pair_id: str, epoch: int, alt: str | None, about: Mapping[str, Any]
    ) -> Chosen | None:
        """Return the text of a pair in an epoch; None where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMix:
    """Draws one of a pair's texts.

    Attributes:
        seed: of the run.
        syn_ratio: chance of a caption, shared equally by the sources that a pair has; None where
            there are weights.
        weights: of the alt-text and of sources, by name; of those that a pair has.
        index: captions by pair; None without tables.
        json_keys: fields of a sample's JSON that are sources.
    """

    seed: int
    syn_ratio: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    index: CaptionIndex | None = None
    json_keys: Sequence[str] = ()
    _most_synthetic: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one is out of range, or names a source that there is not.
        """
        if (self.syn_ratio is None) == (not self.weights):
            raise UsageError(
                "captions need their share: give --syn-ratio 0.15, or --caption-weights such as "
                f"{ALT}=0.85,{(self.sources or ['name'])[0]}=0.15 (one of both)"
            )
        if self.syn_ratio is not None and not 0 <= self.syn_ratio <= 1:
            raise UsageError(f"--syn-ratio is {self.syn_ratio}; expected 0 to 1")
        known = {ALT, *self.sources}
        for name, weight in self.weights.items():
            if name not in known:
                raise UsageError(
                    f"--caption-weights names {name!r}; the texts are of {', '.join(sorted(known))}"
                )
            if not 0 <= weight < float("inf"):
                raise UsageError(f"--caption-weights gives {name} {weight}; expected 0 or more")
        if self.weights and not sum(self.weights.values()):
            raise UsageError("--caption-weights are all 0; give one of them more")
        most = self.syn_ratio
        if most is None:  # of a pair that has captions of all sources
            most = 1 - self.weights.get(ALT, 0.0) / sum(self.weights.values())
        object.__setattr__(self, "_most_synthetic", most + _ROUNDING)

    @property
    def sources(self) -> list[str]:
        """Names of the sources besides the alt-text, in the order that they are drawn in."""
        return sorted({*(self.index.sources if self.index else ()), *self.json_keys})

    def describe(self) -> dict[str, Any]:
        """Return what decides which texts are drawn, without the captions themselves."""
        return {"syn_ratio": self.syn_ratio, "weights": dict(sorted(self.weights.items())),
                "json": sorted(self.json_keys)}  # fmt: skip

    def choose(
        self, pair_id: str, epoch: int, alt: str | None, about: Mapping[str, Any]
    ) -> Chosen | None:
        """Return the text of a pair in an epoch.

        Args:
            pair_id: of the pair.
            epoch: from 0.
            alt: its alt-text; None without one.
            about: the sample's JSON.

        Returns:
            None where it has neither alt-text nor a caption that could be drawn.

        Raises:
            OSError: a caption cannot be read.
        """
        draw = caption_draw(pair_id, self.seed, epoch)
        if alt is not None and draw >= self._most_synthetic:
            return Chosen(alt, ALT)  # whatever captions it has: most need not be looked for
        texts = self._texts(pair_id, about)
        lengths = self._lengths(texts, has_alt=alt is not None)
        total = sum(length for _, length in lengths)
        if not total:
            return None if alt is None else Chosen(alt, ALT)
        at = draw * total
        source, length = lengths[-1]
        for name, span in lengths:
            if at < span:
                source, length = name, span
                break
            at -= span
        if source == ALT:
            assert alt is not None
            return Chosen(alt, ALT)
        of_source = texts[source]
        found = of_source[min(int(at / length * len(of_source)), len(of_source) - 1)]
        if isinstance(found, Place):
            assert self.index is not None
            return Chosen(self.index.read(found), source)
        return Chosen(found, source)

    def _texts(self, pair_id: str, about: Mapping[str, Any]) -> dict[str, list[Place | str]]:
        """Return the captions of a pair by source; those of tables not read yet."""
        found: dict[str, list[Place | str]] = {}
        if self.index is not None:
            for place in self.index.places(pair_id):
                found.setdefault(self.index.sources[place.source], []).append(place)
        for key in self.json_keys:
            if texts := json_texts(about.get(key)):
                found.setdefault(key, []).extend(texts)
        return found

    def _lengths(self, texts: Mapping[str, Any], *, has_alt: bool) -> list[tuple[str, float]]:
        """Return what there is with its length on the line, captions first; nothing of length 0."""
        sources = sorted(texts)
        if self.syn_ratio is None:
            lengths = [(source, self.weights.get(source, 0.0)) for source in sources]
            rest = self.weights.get(ALT, 0.0)
        else:
            # A pair without alt-text has nothing but its captions, at any ratio above 0.
            lengths = [(source, self.syn_ratio / len(sources)) for source in sources]
            rest = 1 - self.syn_ratio
        if has_alt:
            lengths.append((ALT, rest))
        return [(source, length) for source, length in lengths if length > 0]


def caption_draw(pair_id: str, seed: int, epoch: int) -> float:
    """Return a pair's place in [0, 1) in an epoch, independent of whether the pair is kept.

    Args:
        pair_id: of the pair.
        seed: of the run.
        epoch: from 0.

    >>> caption_draw("a", 0, 0) == caption_draw("a", 0, 0) != caption_draw("a", 0, 1)
    True
    """
    raw = pair_id.encode("utf-8", "surrogatepass")
    return float((xxhash.xxh3_64_intdigest(raw, _salt(seed, epoch)) >> 11) * 2.0**-53)


@lru_cache(maxsize=16)
def _salt(seed: int, epoch: int) -> int:
    return xxhash.xxh3_64_intdigest(f"captions\t{seed}\t{epoch}".encode())


def json_texts(value: Any) -> list[str]:
    r"""Return the captions that a field of a JSON holds: a string, or a list of strings.

    >>> json_texts("a dog"), json_texts(["a", " ", 3, "b"]), json_texts({"text": "a"})
    (['a dog'], ['a', 'b'], [])
    """
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and one.strip() and _is_utf8(one)]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
