"""How `explain` finds the language of a text, and says what decided: a text in, sentences out."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from curate.curation.lid.identify import FastTextIdentifier
from curate.curation.lid.no_text import normalized
from curate.curation.lid.steps import NO_LANGUAGE, STEPS
from curate.pipelines.inputs.records import Records
from curate.pipelines.lid.languages import RecordLanguages
from curate.pipelines.lid.options import LidOptions, open_steps
from curate.pipelines.lid.priors import priors_of
from curate.pipelines.lid.step_names import STEP_NAMES

__all__ = ["FoundLanguage", "identified"]


class FoundLanguage(NamedTuple):
    """The language of a text.

    Attributes:
        lang: None for a text that is dropped because it is in none.
        score: of the model for it; None where it was not asked.
        is_identified: here, and neither told nor stored.
        steps: how it was found, in sentences.
    """

    lang: str | None
    score: float | None
    is_identified: bool
    steps: list[str]


def identified(
    text: str, url: str | None, model: str, options: LidOptions, with_metadata: Collection[str]
) -> FoundLanguage:
    """Identify the language of a text as `match` does, with the library's engine.

    Args:
        text: not blank.
        url: of its image, None if it is not known.
        model: fastText model.
        options: resolved.
        with_metadata: languages that there are entries of.

    Raises:
        InputError: a model is not there.
    """
    texts = pa.array([text], pa.string())
    if options.kind == "published":
        found = FastTextIdentifier(model).identify(texts)
        return FoundLanguage(str(found.lang[0].as_py()), round(float(found.score[0]), 6), True, [])
    record = _record(texts, url)
    languages = RecordLanguages(None, with_metadata, model, "fasttext", options)
    told = languages.of(record).langs
    lang, score = str(told.lang[0].as_py()), round(float(told.score[0]), 6)
    is_none = lang == NO_LANGUAGE
    steps = _sentences(record, model, options, lang)
    return FoundLanguage(None if is_none else lang, None if is_none else score, True, steps)


def _record(texts: pa.StringArray, url: str | None) -> Records:
    batch = pa.record_batch({"text": texts})
    urls = None if url is None else pa.array([url], pa.string())
    return Records(
        batch=batch, rows=np.zeros(1, np.int64), texts=texts, urls=urls, uids=None, langs=None,
        columns=frozenset({"text"}), image=None,
    )  # fmt: skip


def _sentences(record: Records, model: str, options: LidOptions, lang: str) -> list[str]:
    priors = priors_of(options, record)
    found = open_steps(options, model, "fasttext").identify(record.texts, priors)
    step = STEPS[int(found.step[0])]
    if step in ("no_letters", "file_name", "hash", "dimensions"):
        return [f"decided by: {STEP_NAMES[step]}"]
    text, sentences = record.texts[0].as_py(), []
    asked = normalized(record.texts)[0].as_py()
    if asked != text:
        sentences.append(f"asked is: {asked}")
    first, second = found.first[0].as_py(), found.second[0].as_py()
    knows = f"says {first}" if first != NO_LANGUAGE else "knows no word and no n-gram of it"
    sentences.append(f"the model {knows}")
    if step != "first" and options.second != "none":
        sentences.append(f"the second opinion ({options.second}) says {second or 'nothing'}")
    sentences += [
        f"the page or address says {prior.langs[0].as_py()}"
        for prior in priors
        if step != "first" and prior.langs[0].is_valid
    ]
    sentences.append(f"decided by: {STEP_NAMES[step]}")
    answer = found.lang[0].as_py()
    return sentences if answer == lang else [*sentences, f"{answer or 'none'}: matched as {lang}"]
