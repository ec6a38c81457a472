"""Second opinions on the language of texts: CLD2, HeLI, or another fastText model.

Each takes texts and gives votes: the languages its answer can mean, and how much it is to count for
them, in nats. The weights are what served best on human captions (docs/LOG.md).

Sources: CLD2, https://github.com/CLD2Owners/cld2 (`pycld2`); Jauhiainen et al. 2022, HeLI-OTS,
https://aclanthology.org/2022.lrec-1.416 (`heliport`).
"""

from collections.abc import Collection
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.lid.identify import CompiledIdentifier
from curate.errors import InputError
from curate.metadata.languages import metadata_language

__all__ = [
    "CLOSE_LANGUAGES",
    "MACRO",
    "SECOND_OPINIONS",
    "FastTextOpinion",
    "SecondOpinion",
    "Votes",
    "is_installed",
    "languages_meant",
    "open_opinion",
    "version_of",
]

# By name: the package, and what stands in the message where it is not installed.
SECOND_OPINIONS = {
    "cld2": ("pycld2", "CLD2 (Apache-2.0) is in pycld2: pip install 'curate-clip[lid]'"),
    "heli": (
        "heliport",
        "HeLI (GPL-3.0, 129 MB; no part of this project) is in heliport: pip install heliport",
    ),
}

# Languages of one macrolanguage that second opinions have one label for, or labels that are wrong
# more often than the first model's: which of them a text is in, the first model decides.
CLOSE_LANGUAGES = {"hbs": ("bs", "hr", "sr"), "msa": ("id", "ms")}
_MACRO_OF = {lang: macro for macro, langs in CLOSE_LANGUAGES.items() for lang in langs}
MACRO = "sh"  # the Wikipedia of hbs, which lid.176 has a label for beside those of its members
_MACRO_OF |= {MACRO: "hbs"}

_NO_LANGUAGE_LABELS = frozenset({"un", "xxx", "und", "zxx", "zxx_Zxxx", "und_Zyyy"})
_MOST_CHARACTERS = 1000  # of a text that are looked at
_JOINERS = "\u200c\u200d"  # invisible, and letters of Persian and Indian words need them


class Votes(NamedTuple):
    """What a second opinion says of texts.

    Attributes:
        label: which of the opinion's labels, −1 for none; shape (num_texts,).
        weight: nats; shape (num_texts,).
    """

    label: NDArray[np.int32]
    weight: NDArray[np.float32]


class SecondOpinion(Protocol):
    """Anything that says, text by text, which of its labels fits.

    Attributes:
        labels: all of them.
        sure: the first model's scores from which it is not asked: of any language, and of English.
    """

    labels: tuple[str, ...]
    sure: tuple[float, float]

    def ask(self, texts: pa.StringArray) -> Votes:
        """Return what it says of each text."""


def is_installed(name: str) -> bool:
    """Tell whether a second opinion of SECOND_OPINIONS can be asked."""
    return find_spec(SECOND_OPINIONS[name][0]) is not None


def version_of(name: str) -> str:
    """Return the package and version that answers; other versions may answer otherwise.

    Raises:
        InputError: it is not installed.
    """
    package, how = SECOND_OPINIONS[name]
    if not is_installed(name):
        raise InputError(f"--second-opinion {name}: {package} is not installed. {how}")
    return f"{package} {version(package)}"


def open_opinion(name: str) -> SecondOpinion:
    """Open one of SECOND_OPINIONS.

    Raises:
        InputError: it is not installed.
    """
    version_of(name)
    return _Cld2() if name == "cld2" else _Heli()


def languages_meant(label: str, first: Collection[str]) -> tuple[str, ...]:
    """Return the metadata languages that a second opinion's label can mean.

    Args:
        label: of the second opinion.
        first: metadata languages that the first model has labels for.

    >>> languages_meant("hbs", {"hr", "sr", "bs", "sh"}), languages_meant("fra", {"fr"})
    (('bs', 'hr', 'sr'), ('fr',))
    >>> languages_meant("hr", {"en"}), languages_meant("zxx_Zxxx", {"en"})
    (('hr',), ())
    """
    if label in _NO_LANGUAGE_LABELS:
        return ()
    lang = metadata_language(label)
    members = CLOSE_LANGUAGES.get(_MACRO_OF.get(lang, ""), ())
    told_apart = tuple(member for member in members if member in first)
    return told_apart if len(told_apart) > 1 else (lang,)


class _Labels:
    """Numbers of labels, given as they come."""

    def __init__(self, labels: Collection[str]) -> None:
        self.labels = tuple(labels)
        self._code_of = {label: i for i, label in enumerate(self.labels)}

    def code(self, label: str) -> int:
        """Return the number of a label, −1 for one that is not of the set."""
        return self._code_of.get(label, -1)


class _Cld2(_Labels):
    """CLD2, as pycld2 has it. Its bias is to English, so that its English counts for less."""

    sure = (0.8, 0.35)
    _WEIGHT, _ENGLISH, _RELIABLE = 4.0, 0.0, 1.0

    def __init__(self) -> None:
        import pycld2

        super().__init__(dict.fromkeys(code for _, code in pycld2.LANGUAGES))
        self._detect, self._error = pycld2.detect, pycld2.error

    def ask(self, texts: pa.StringArray) -> Votes:
        """Return what CLD2 says of each text."""
        detect, error, code_of = self._detect, self._error, self._code_of
        sure, unsure = self._WEIGHT + self._RELIABLE, self._WEIGHT
        sure_english, english = self._ENGLISH + self._RELIABLE, self._ENGLISH
        labels, weights = [], []
        for text in map(_valid, texts.to_pylist()):
            weight, of_english = sure, sure_english
            try:
                label = detect(text, True)[2][0][1]
                if label == "un":
                    weight, of_english = unsure, english
                    label = detect(text, True, bestEffort=True)[2][0][1]
            except error:  # characters that it refuses: it has no answer
                weight, of_english, label = unsure, english, "un"
            labels.append(code_of.get(label, -1))
            weights.append(of_english if label == "en" else weight)
        return Votes(np.array(labels, np.int32), np.array(weights, np.float32))


class _Heli(_Labels):
    """HeLI-OTS, as heliport has it. It counts by how far its second answer is behind."""

    sure = (0.9, 0.4)
    _WEIGHT, _MARGIN = 6.0, 0.5

    def __init__(self) -> None:
        super().__init__(())
        self._identifier = _heli_identifier()
        self.labels = tuple(sorted(self._identifier.get_confidence_all()))
        self._code_of = {label: i for i, label in enumerate(self.labels)}

    def ask(self, texts: pa.StringArray) -> Votes:
        """Return what HeLI says of each text."""
        found = Votes(np.full(len(texts), -1, np.int32), np.zeros(len(texts), np.float32))
        for i, text in enumerate(texts.to_pylist()):
            # Of k that are asked for, heliport 1.0.1 gives fewer: of 2 often one.
            best = self._identifier.identify_topk_with_score(_valid(text), 5)
            margin = best[1][1] - best[0][1] if len(best) > 1 else 0.0
            found.label[i] = self.code(best[0][0]) if best else -1
            found.weight[i] = self._WEIGHT * min(1.0, margin / self._MARGIN)
        return found


@cache
def _heli_identifier() -> Any:
    import heliport

    return heliport.Identifier()  # 129 MB, once a process


class FastTextOpinion:
    """Another fastText model, such as GlotLID, OpenLID or NLLB-200; its probability counts.

    Args:
        model: opened.
    """

    sure = (0.8, 0.35)
    _WEIGHT = 6.0

    def __init__(self, model: CompiledIdentifier) -> None:
        self._model = model
        self.labels = model.labels

    def ask(self, texts: pa.StringArray) -> Votes:
        """Return what the model says of each text; of one that it knows nothing of, nothing."""
        found = self._model.predict(texts)
        label = np.where(found.evidence > 0, found.label, -1).astype(np.int32)
        return Votes(label, np.float32(self._WEIGHT) * found.score)


def _valid(text: str) -> str:
    """Return the beginning of a text without what CLD2 takes for damage: control characters."""
    if len(text) > _MOST_CHARACTERS:
        text = text[:_MOST_CHARACTERS]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)
