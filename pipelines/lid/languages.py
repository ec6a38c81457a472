"""The language of each record: as told, as the input's own column says, or identified.

A label that no table of codes knows, or none, is no statement: such a text is identified as if
the input had no column.
"""

import re
import threading
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.lid.identify import LanguageIdentifier, Languages
from curate.curation.lid.steps import NO_LANGUAGE, STEPS, StepwiseIdentifier
from curate.metadata.languages import (
    OTHER,
    is_known_label,
    metadata_language,
    unreached_languages,
)
from curate.pipelines.inputs.records import Records
from curate.pipelines.lid.options import (
    DROP,
    LidOptions,
    open_model,
    open_steps,
)
from curate.pipelines.lid.priors import priors_of
from curate.pipelines.views.progress import log

__all__ = ["TOLD", "Identified", "RecordLanguages", "language_of_label"]

TOLD = "told"  # the step of records whose language the input or the user says

_WITH_SCRIPT = re.compile("[a-z]{2,3}_[A-Z][a-z]{3}")
_SHOWN_CHARACTERS = 40  # of a label that is not known


class Identified(NamedTuple):
    """The languages of records.

    Attributes:
        langs: and scores, NaN where nothing was identified; language "" of what is to be dropped;
            shape (num_records,).
        unknown: rows of each label of the input's language column that no table knows.
        steps: records by what decided over their language; empty for what was published.
    """

    langs: Languages
    unknown: Counter[str]
    steps: Counter[str]


class RecordLanguages:
    """Tells the metadata language of records; the model is opened when it is first needed.

    Args:
        lang: language of all of them; None to look at each.
        with_metadata: the languages that there are entries of.
        lid_model: fastText model.
        engine: one of LID_ENGINES.
        lid: how languages are identified; resolved.
        threads: of the compiled engine.
    """

    def __init__(
        self,
        lang: str | None,
        with_metadata: Collection[str],
        lid_model: str,
        engine: str,
        lid: LidOptions,
        threads: int = 1,
    ) -> None:
        self._lang = lang
        self._with_metadata = with_metadata
        self._lid_model = lid_model
        self._engine = engine
        self._threads = threads
        self._lid = lid
        self._published: LanguageIdentifier | None = None
        self._steps: StepwiseIdentifier | None = None
        self._in_other: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._is_told = False

    def of(self, records: Records) -> Identified:
        """Return the languages of records, and what decided.

        Args:
            records: num_records usable rows.

        Raises:
            InputError: a model, or a column that was named, is not there.
        """
        num = len(records.texts)
        if self._lang is not None:
            langs = self._told(pa.array([self._lang] * num, pa.string()))
            return Identified(langs, Counter(), Counter())
        if records.langs is None:
            langs, steps = self._identify(records)
            return Identified(langs, Counter(), steps)
        labels = records.langs.dictionary_encode()
        names = labels.dictionary.to_pylist()
        known = [language_of_label(name, self._with_metadata) for name in names]
        codes = pc.fill_null(labels.indices, len(names))
        found = self._told(pa.array([*known, None], pa.string()).take(codes))
        rows = np.bincount(codes.to_numpy(), minlength=len(names)).tolist()
        unknown = Counter({
            name[:_SHOWN_CHARACTERS]: num
            for name, lang, num in zip(names, known, rows, strict=False)
            if lang is None and name.strip()
        })  # fmt: skip
        langs, steps = self._with_identified(found, records)
        return Identified(langs, unknown, steps)

    def _told(self, langs: pa.StringArray) -> Languages:
        return Languages(langs.dictionary_encode(), np.full(len(langs), np.nan, np.float32))

    def _with_identified(self, told: Languages, records: Records) -> tuple[Languages, Counter[str]]:
        """Identify the language of the texts that have none."""
        is_open = pc.is_null(told.lang).to_numpy(zero_copy_only=False)
        steps: Counter[str] = Counter()
        if self._lid.kind != "published":
            steps += Counter({TOLD: int((~is_open).sum())})
        if not is_open.any():
            return told, steps
        found, of_open = self._identify(records.select(is_open))
        told.score[is_open] = found.score
        langs = pc.replace_with_mask(
            told.lang.dictionary_decode(), pa.array(is_open), found.lang.dictionary_decode()
        )
        return Languages(langs.dictionary_encode(), told.score), steps + of_open

    def _identify(self, records: Records) -> tuple[Languages, Counter[str]]:
        self._open()
        if self._published is not None:
            return self._published.identify(records.texts), Counter()
        assert self._steps is not None
        self._tell_of_prior(records)
        found = self._steps.identify(records.texts, priors_of(self._lid, records))
        counts = np.bincount(found.step, minlength=len(STEPS)).tolist()
        names = [self._matched_as(lang) for lang in found.lang.dictionary.to_pylist()]
        unique = list(dict.fromkeys(names))
        place_of = np.array([unique.index(name) for name in names], dtype=np.int32)
        codes = pa.array(place_of[found.lang.indices.to_numpy()])
        lang = pa.DictionaryArray.from_arrays(codes, pa.array(unique, pa.string()))
        return Languages(lang, found.score), +Counter(dict(zip(STEPS, counts, strict=True)))

    def _tell_of_prior(self, records: Records) -> None:
        """Say once if a column that the user named is not in inputs without a schema."""
        name = self._lid.prior_column
        if name and name not in records.batch.schema.names and not self._is_told:
            self._is_told = True
            log(
                f"some records have no {name!r} (--prior-column); their languages are found without"
            )

    def _open(self) -> None:
        with self._lock:
            if self._published or self._steps:
                return
            if self._lid.kind == "published":
                self._published = open_model(self._lid_model, self._engine, self._threads)
                return
            self._steps = open_steps(self._lid, self._lid_model, self._engine, self._threads)
            self._in_other = frozenset(unreached_languages(self._steps.first_labels))

    def _matched_as(self, lang: str) -> str:
        """Return the language whose entries the texts of a language are matched against.

        Languages that the first model has no label for are those that `other` was built for: there
        they are, unless they have entries of their own.
        """
        if lang == NO_LANGUAGE:
            chosen = self._lid.no_language
            known = language_of_label(chosen, self._with_metadata)
            return NO_LANGUAGE if chosen == DROP else known or metadata_language(chosen)
        return OTHER if lang in self._in_other - set(self._with_metadata) else lang


def language_of_label(label: str, with_metadata: Collection[str]) -> str | None:
    """Return the metadata language of a label in an input, None if no table knows its code.

    A label with a script says which of a code's languages is meant: ``als_Latn`` is Albanian,
    where the Wikipedia of ``als`` is Alemannic.

    >>> [language_of_label(name, {"en"}) for name in ("en-US", "EN", "eng", "zh-TW", "Deutsch")]
    ['en', 'en', 'en', 'zh', None]
    """
    code = label.strip().replace("-", "_")
    if not _WITH_SCRIPT.fullmatch(code):
        for candidate in (code, code.lower(), code.split("_")[0].lower()):
            if candidate in with_metadata:
                return candidate
        code = code if is_known_label(code) else code.lower()
    return metadata_language(code) if is_known_label(code) else None
