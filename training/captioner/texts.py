"""Which of a pair's texts is the prompt and which the target, decided by seed, epoch and pair.

pretrain: of a pair's distinct texts the longest is the target, another one, by draw, the prompt.
finetune: a caption of a table is the target, the alt-text the prompt.
In both the prompt is left out with `prompt_dropout`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.training.captioner.config import PHASES
from curate.training.captions.lookup import CaptionIndex
from curate.training.captions.mix import ALT, Chosen, caption_draw

__all__ = ["SEPARATOR", "PhaseTexts", "joined", "parted"]

SEPARATOR = "\x1f"  # ASCII's unit separator, which no text has use for


def joined(prompt: str, target: str) -> str:
    """Return prompt and target as one text, as they go through the loader."""
    return SEPARATOR.join(text.replace(SEPARATOR, " ") for text in (prompt, target))


def parted(text: str) -> tuple[str, str]:
    """Return the prompt and the target of a joined text.

    >>> parted(joined("dog", "a red dog"))
    ('dog', 'a red dog')
    """
    prompt, _, target = text.partition(SEPARATOR)
    return prompt, target


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTexts:
    """Chooses prompt and target of a pair, for the loader.

    Attributes:
        seed: of the draws.
        phase: one of PHASES.
        prompt_dropout: share of pairs whose prompt is left out.
        index: captions by pair; None without tables.
    """

    seed: int
    phase: str
    prompt_dropout: float
    index: CaptionIndex | None = None

    def __post_init__(self) -> None:
        """Refuse a phase that there is not."""
        assert self.phase in PHASES

    def choose(
        self, pair_id: str, epoch: int, alt: str | None, about: Mapping[str, Any]
    ) -> Chosen | None:
        """Return prompt and target, joined, and the target's source; None without a target."""
        if self.phase == "finetune":
            found = self._captions(pair_id)
            if not found:
                return None
            target = found[int(self._draw(pair_id, epoch, 1) * len(found))]
            prompt = alt or ""
        else:
            texts = self._distinct(pair_id, alt, about)
            if not texts:
                return None
            target = max(texts, key=lambda one: (len(one.text), one.text))
            others = [one.text for one in texts if one.text != target.text]
            at = int(self._draw(pair_id, epoch, 1) * len(others))
            prompt = others[at] if others else ""
        if self._draw(pair_id, epoch, 2) < self.prompt_dropout:
            prompt = ""
        return Chosen(joined(prompt, target.text), target.source)

    def _captions(self, pair_id: str) -> list[Chosen]:
        if self.index is None:
            return []
        places = self.index.places(pair_id)
        return [Chosen(self.index.read(one), self.index.sources[one.source]) for one in places]

    def _distinct(self, pair_id: str, alt: str | None, about: Mapping[str, Any]) -> list[Chosen]:
        """Return a pair's texts, each once, in an order of their own."""
        listed = about.get("texts")
        found = {alt: ALT} if alt else {}
        for one in listed if isinstance(listed, list) else ():
            text = one.get("text") if isinstance(one, dict) else one
            if isinstance(text, str) and text.strip():
                found.setdefault(text, ALT)
        for chosen in self._captions(pair_id):
            found.setdefault(chosen.text, chosen.source)
        return [Chosen(text, found[text]) for text in sorted(found)]

    def _draw(self, pair_id: str, epoch: int, number: int) -> float:
        """Return the pair's draw of a number, independent of its others."""
        return caption_draw(f"{number}\t{pair_id}", self.seed, epoch)
