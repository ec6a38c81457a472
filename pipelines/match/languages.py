"""The language of each record: as told, as the input's own column says, or identified.

A label that no table of codes knows, or none, is no statement: such a text is identified as if
the input had no column.
"""

import re
import threading
from collections import Counter
from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.lid.identify import (
    CompiledIdentifier,
    FastTextIdentifier,
    LanguageIdentifier,
    Languages,
)
from curate.files import storage
from curate.metadata.languages import is_known_label, metadata_language
from curate.pipelines.inputs.records import Records

__all__ = ["LID_ENGINES", "RecordLanguages", "language_of_label"]

LID_ENGINES = ("compiled", "fasttext")

_WITH_SCRIPT = re.compile("[a-z]{2,3}_[A-Z][a-z]{3}")
_SHOWN_CHARACTERS = 40  # of a label that is not known


class RecordLanguages:
    """Tells the metadata language of records; the model is opened when it is first needed.

    Args:
        lang: language of all of them; None to look at each.
        with_metadata: the languages that there are entries of.
        lid_model: fastText model.
        engine: one of LID_ENGINES.
        threads: of the compiled engine.
    """

    def __init__(
        self,
        lang: str | None,
        with_metadata: Collection[str],
        lid_model: str,
        engine: str,
        threads: int = 1,
    ) -> None:
        self._lang = lang
        self._with_metadata = with_metadata
        self._lid_model = lid_model
        self._engine = engine
        self._threads = threads
        self._identifier: LanguageIdentifier | None = None
        self._lock = threading.Lock()

    def of(self, records: Records) -> tuple[Languages, Counter[str]]:
        """Return languages and scores, and how often which unknown label stands in the input.

        Args:
            records: num_records usable rows.

        Returns:
            Languages of shape (num_records,), scores NaN where nothing was identified; and the
            rows of each unknown label. Nulls and empty labels are not among these.
        """
        if self._lang is not None:
            return self._told(pa.array([self._lang] * len(records.texts), pa.string())), Counter()
        if records.langs is None:
            return self._identify(records.texts), Counter()
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
        return self._with_identified(found, records.texts), unknown

    def _told(self, langs: pa.StringArray) -> Languages:
        return Languages(langs.dictionary_encode(), np.full(len(langs), np.nan, np.float32))

    def _with_identified(self, told: Languages, texts: pa.StringArray) -> Languages:
        """Identify the language of the texts that have none."""
        is_open = pc.is_null(told.lang)
        if not pc.any(is_open).as_py():
            return told
        found = self._identify(texts.filter(is_open))
        told.score[is_open.to_numpy(zero_copy_only=False)] = found.score
        langs = pc.replace_with_mask(
            told.lang.dictionary_decode(), is_open, found.lang.dictionary_decode()
        )
        return Languages(langs.dictionary_encode(), told.score)

    def _identify(self, texts: pa.StringArray) -> Languages:
        with self._lock:
            if self._identifier is None:
                self._identifier = _open_identifier(self._lid_model, self._engine, self._threads)
        return self._identifier.identify(texts)


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


def _open_identifier(model: str, engine: str, threads: int) -> LanguageIdentifier:
    """Open a LID model with one of LID_ENGINES; the compiled one works in several threads.

    Raises:
        InputError: it is not a fastText classifier.
    """
    if engine == "fasttext":
        return FastTextIdentifier(model)
    return CompiledIdentifier(storage.map_file(model), model, threads=threads)
