"""The language of alt-texts in steps, each of which is counted: texts in, languages and steps out.

1. What is no text (`no_text`) has no language.
2. The first model says what it says of the normalized text.
3. Of some texts it knows no word and no n-gram; then its answer is none.
4. Where its score is low, or it has nothing to say, a second opinion is asked, and what the page or
   the address says is looked at. Each is so many nats for a language, on top of the logarithm of
   the probability that the first model gives it; a label of a macrolanguage counts for its members.
5. What nobody says anything of has no language.

English is the answer that lid.176 gives too rarely on web captions and to texts in languages that
it never saw, Māori or Quechua. So a low score is no reason to doubt English, but many vowels are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.lid.identify import Predictions, taken
from curate.curation.lid.known_texts import KnownTexts
from curate.curation.lid.marks import marks_of
from curate.curation.lid.no_text import KINDS, kinds_of, normalized, vowel_shares
from curate.curation.lid.opinions import (
    CLOSE_LANGUAGES,
    MACRO,
    SecondOpinion,
    Votes,
    languages_meant,
)
from curate.metadata.languages import metadata_language

__all__ = ["NO_LANGUAGE", "STEPS", "FirstModel", "Found", "Prior", "StepwiseIdentifier"]

NO_LANGUAGE = ""

# What decided over a text. Of those from no_letters to no_evidence nothing is known.
STEPS = (*KINDS[1:], "no_evidence", "first", "first_unsure", "second", "prior")

_SURE, _SURE_ENGLISH = 0.8, 0.35  # scores that are not low, where nobody is asked but priors
_VOWELS, _SURE_WITH_VOWELS = 0.46, 0.95  # of English; more, and it may be another language
_LEAST = 0.01  # probability of a language that the first model does not know, or rules out
_NEVER = 1e-9  # stands for a probability of 0
_MOST_MEANT = max(map(len, CLOSE_LANGUAGES.values()))  # languages that a label can mean
_KINDS = (np.int32, np.float32, np.uint8, np.int32, np.int32)  # of what is found
_SLICE = 2048  # texts whose probabilities of all labels are in memory at once


class FirstModel(Protocol):
    """The model that is always asked."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Its labels, without prefix."""

    def predict(self, texts: pa.StringArray) -> Predictions:
        """Return the label, score and evidence of each text."""

    def probabilities(
        self, texts: pa.StringArray, found: Predictions | None = None
    ) -> NDArray[np.float32]:
        """Return the probability of every label, maybe 0 below 1e-3; (num_texts, num_labels).

        Args:
            texts: shape (num_texts,).
            found: what `predict` gave for them, if it was asked.
        """


class Prior(NamedTuple):
    """What is known of texts besides themselves.

    Attributes:
        langs: metadata language of each, with nulls; string, shape (num_texts,).
        weight: nats that it counts.
    """

    langs: pa.StringArray
    weight: float


class Found(NamedTuple):
    """What was found of texts; each array has shape (num_texts,).

    Attributes:
        lang: metadata language, NO_LANGUAGE for none; dictionary<int32, string>.
        score: of the first model for this language, 0 where it has none.
        step: place in STEPS of what decided.
        first: what the first model said by itself; as lang.
        second: what the second opinion said, NO_LANGUAGE where it was not asked; as lang.
    """

    lang: pa.DictionaryArray
    score: NDArray[np.float32]
    step: NDArray[np.uint8]
    first: pa.DictionaryArray
    second: pa.DictionaryArray


class StepwiseIdentifier:
    """Identifies languages in steps.

    Args:
        first: asked of all texts.
        second: asked where the first is unsure; None for nobody.
    """

    def __init__(self, first: FirstModel, second: SecondOpinion | None) -> None:
        self._first, self._second = first, second
        of_first = [metadata_language(label) for label in first.labels]
        meant = [languages_meant(label, set(of_first)) for label in second.labels] if second else []
        langs = {NO_LANGUAGE, *of_first, *(lang for langs in meant for lang in langs)}
        self._langs = sorted(langs)
        self._code = {lang: i for i, lang in enumerate(self._langs)}
        # The last place is that of texts without a label, whose number is −1.
        self._of_first = np.array([self._code[n] for n in (*of_first, NO_LANGUAGE)], dtype=np.int32)
        labels_of: list[list[int]] = [[] for _ in self._langs]
        for label, code in enumerate(self._of_first[:-1].tolist()):
            labels_of[code].append(label)
        self._labels_of = np.full((len(langs), max(map(len, labels_of))), -1, dtype=np.int64)
        for its_labels, labels in zip(self._labels_of, labels_of, strict=True):
            its_labels[: len(labels)] = labels
        self._meant = np.zeros((len(meant) + 1, _MOST_MEANT), dtype=np.int32)
        for row, one in zip(self._meant, meant, strict=False):
            row[: len(one)] = [self._code[lang] for lang in one]
        self._shown = self._meant[:, 0]
        self._macro = self._code.get(MACRO, -1)
        self._is_member = np.array([lang in CLOSE_LANGUAGES["hbs"] for lang in self._langs])
        # Of the threads that identify, when they do not: texts, and where pages say something too,
        # what the second opinion has said.
        self._known: list[KnownTexts] = []
        self._votes: list[KnownTexts] = []
        self._sure, self._sure_english = second.sure if second else (_SURE, _SURE_ENGLISH)

    @property
    def first_labels(self) -> tuple[str, ...]:
        """Labels of the first model, without prefix."""
        return self._first.labels

    def identify(self, texts: pa.StringArray, priors: Sequence[Prior] = ()) -> Found:
        """Return the language of each text and what decided.

        Args:
            texts: shape (num_texts,); no nulls.
            priors: asked where the first model is unsure.
        """
        if priors:  # what is found does not follow from the text alone
            return self._named(self._identify(texts, priors))
        known = taken(self._known) or KnownTexts(_KINDS)
        found = known.found(texts, self._identify)
        self._known.append(known)
        return self._named(found)

    def _identify(self, texts: pa.StringArray, priors: Sequence[Prior] = ()) -> list[NDArray[Any]]:
        """Return language, score, step, first and second answer, as in Found, of numbered langs."""
        marks = marks_of(texts)
        kinds = kinds_of(texts, marks)
        texts = normalized(texts, marks)
        found = self._first.predict(texts)
        first = self._of_first[found.label]
        lang, score = first.copy(), found.score.copy()
        step = np.full(len(texts), STEPS.index("first"), dtype=np.uint8)
        second = np.zeros(len(texts), dtype=np.int32)
        knows = (found.evidence > 0) & (found.label >= 0)
        unsure = np.flatnonzero((kinds == 0) & self._is_unsure(texts, first, found.score, knows))
        for at in range(0, len(unsure), _SLICE):
            rows = unsure[at : at + _SLICE]
            lang[rows], score[rows], step[rows], second[rows] = self._decide(
                texts.take(pa.array(rows)), found.rows(rows), first[rows], knows[rows],
                [Prior(prior.langs.take(pa.array(rows)), prior.weight) for prior in priors],
            )  # fmt: skip
        is_none = kinds > 0
        lang[is_none], score[is_none], step[is_none] = 0, 0, kinds[is_none] - 1
        first[is_none | ~knows] = 0
        return [lang, score, step, first, second]

    def _named(self, found: Sequence[NDArray[Any]]) -> Found:
        names = pa.array(self._langs, pa.string())
        lang, first, second = (
            pa.DictionaryArray.from_arrays(pa.array(found[i]), names) for i in (0, 3, 4)
        )
        return Found(lang, found[1], found[2], first, second)

    def _is_unsure(
        self,
        texts: pa.StringArray,
        first: NDArray[np.int32],
        score: NDArray[np.float32],
        knows: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Tell of each text whether more is to be asked than the first model."""
        is_english = first == self._code.get("en", -1)
        unsure = ~knows | (score < np.where(is_english, self._sure_english, self._sure))
        unsure |= first == self._macro  # which of its members, it does not say
        doubtful = np.flatnonzero(is_english & ~unsure & (score < _SURE_WITH_VOWELS))
        shares = vowel_shares(texts.take(pa.array(doubtful)))
        unsure[doubtful[shares > _VOWELS]] = True
        return unsure

    def _decide(
        self,
        texts: pa.StringArray,
        found: Predictions,
        first: NDArray[np.int32],
        knows: NDArray[np.bool_],
        priors: Sequence[Prior],
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.uint8], NDArray[np.int32]]:
        """Return language, score, step and the second opinion's answer to texts that are unsure."""
        votes = self._asked(texts, remember=bool(priors))
        num, of_second = len(texts), self._shown[votes.label]
        # What weighs nothing is shown, and is no vote.
        votes = votes._replace(label=np.where(votes.weight > 0, votes.label, np.int32(-1)))
        codes = np.zeros((num, _MOST_MEANT + len(priors)), dtype=np.int32)
        weights = np.zeros(codes.shape, dtype=np.float64)
        codes[:, :_MOST_MEANT] = self._meant[votes.label]
        weights[:, :_MOST_MEANT] = votes.weight[:, None]
        for at, prior in enumerate(priors, _MOST_MEANT):
            codes[:, at], weights[:, at] = self._codes_of(prior.langs), prior.weight
        from_first = np.where(knows, first, np.int32(0))
        # Where all votes are for the first model's language, nothing has to be weighed.
        contested = np.flatnonzero(((codes > 0) & (codes != from_first[:, None])).any(axis=1))
        lang, alone, score = from_first.copy(), from_first.copy(), found.score.copy()
        score[~knows] = 0
        lang[contested], alone[contested], score[contested] = self._weigh(
            texts.take(pa.array(contested)), found.rows(contested), from_first[contested],
            codes[contested], weights[contested],
        )  # fmt: skip
        step = np.full(num, STEPS.index("first_unsure"), dtype=np.uint8)
        step[lang != from_first] = STEPS.index("second")
        step[lang != alone] = STEPS.index("prior")
        step[lang == 0] = STEPS.index("no_evidence")
        return lang, score, step, of_second

    def _asked(self, texts: pa.StringArray, *, remember: bool) -> Votes:
        """Return the second opinion's votes, and maybe remember them."""
        second = self._second
        if second is None:
            return Votes(np.full(len(texts), -1, np.int32), np.zeros(len(texts), np.float32))
        if not remember:
            return second.ask(texts)
        known = taken(self._votes) or KnownTexts((np.int32, np.float32))
        found = known.found(texts, lambda new: list(second.ask(new)))
        self._votes.append(known)
        return Votes(*found)

    def _weigh(
        self,
        texts: pa.StringArray,
        found: Predictions,
        first: NDArray[np.int32],
        codes: NDArray[np.int32],
        weights: NDArray[np.float64],
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Return the language by all votes, that by the second opinion's alone, the first's score.

        A language that nobody has a vote for has its probability alone, so only the first model's
        and those with votes are looked at.
        """
        looked_at = np.concatenate([first[:, None], codes], axis=1)
        probabilities = np.zeros(looked_at.shape, dtype=np.float32)
        known = np.flatnonzero(first > 0)
        probabilities[known] = self._by_language(
            texts.take(pa.array(known)), found.rows(known), looked_at[known]
        )
        lang = alone = self._likeliest(
            looked_at[:, : 1 + _MOST_MEANT], weights[:, :_MOST_MEANT], probabilities
        )
        if codes.shape[1] > _MOST_MEANT:
            lang = self._likeliest(looked_at, weights, probabilities)
        place = np.argmax(looked_at == lang[:, None], axis=1)
        score = probabilities[np.arange(len(lang)), place]
        return lang, alone, np.where(lang > 0, score, np.float32(0))

    def _codes_of(self, langs: pa.StringArray) -> NDArray[np.int32]:
        """Return the places of languages; 0 for nulls and those that no model knows."""
        found = pc.index_in(langs, value_set=pa.array(self._langs, pa.string()))
        return np.asarray(pc.fill_null(found, 0).to_numpy(zero_copy_only=False), dtype=np.int32)

    def _likeliest(
        self,
        looked_at: NDArray[np.int32],
        weights: NDArray[np.float64],
        probabilities: NDArray[np.float32],
    ) -> NDArray[np.int32]:
        """Return the language of the largest sum of each text, of equal ones the first by name.

        Args:
            looked_at: the first model's language, 0 where it knows nothing, and those with a vote,
                0 for none; shape (num_texts, 1 + num_votes).
            weights: of the votes in nats; shape (num_texts, num_votes).
            probabilities: of the first model for these languages, and maybe more of them.
        """
        first, codes = looked_at[:, 0], looked_at[:, 1:]
        is_vote: NDArray[np.bool_] = np.greater(codes, 0)
        votes: NDArray[np.bool_] = np.equal(looked_at[:, :, None], codes[:, None, :])
        votes &= is_vote[:, None, :]
        sums = np.where(votes, weights[:, None, :], 0.0).sum(axis=2)
        least = np.where(votes.any(axis=2), _LEAST, _NEVER)
        found = np.maximum(probabilities[:, : looked_at.shape[1]], least)
        sums += np.where(first[:, None] > 0, np.log(found), 0.0)
        has_member = np.asarray(self._is_member[codes].any(axis=1))
        sums[(looked_at == 0) | ((looked_at == self._macro) & has_member[:, None])] = -np.inf
        best = sums.max(axis=1, keepdims=True)
        chosen = np.where(sums == best, looked_at, len(self._langs)).min(axis=1)
        return np.where(np.isneginf(best[:, 0]), 0, chosen).astype(np.int32)

    def _by_language(
        self, texts: pa.StringArray, found: Predictions, langs: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the first model's probability of some languages of each text; as these."""
        of_labels = self._first.probabilities(texts, found)
        rows = np.arange(len(langs))[:, None]
        by_lang = np.zeros(langs.shape, dtype=np.float32)
        for labels in self._labels_of.T:  # one of each language, then those that have more
            label = labels[langs]
            by_lang += np.where(label >= 0, of_labels[rows, label], np.float32(0))
        if self._macro > 0:  # each of its members may be meant
            of_macro = np.zeros(len(langs), dtype=np.float32)
            for one in self._labels_of[self._macro].tolist():
                of_macro += of_labels[:, one] if one >= 0 else np.float32(0)
            by_lang += np.where(self._is_member[langs], of_macro[:, None], np.float32(0))
        return by_lang
