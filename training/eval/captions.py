"""Crossmodal-3600 (captions in 36 languages) and CVQA (questions with four answers)."""

import ast
import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from string import Formatter
from typing import Any

from curate.errors import InputError
from curate.files.storage import exists, join, open_read, read_text
from curate.training.eval.data import (
    EvalDataset,
    EvalSample,
    image_key,
    table_rows,
)
from curate.training.eval.files import IMAGE_SUFFIXES, find
from curate.training.eval.table_files import table_schema

__all__ = ["open_cvqa", "open_xm3600"]

_Captions = Mapping[str, Sequence[tuple[str, str]]]  # key of an image → (language, caption)


def open_xm3600(root: str, languages: Sequence[str]) -> EvalDataset:
    """Open Crossmodal-3600: ``captions.jsonl`` as published, or ``captions.tsv``, and ``images/``.

    ``captions.tsv`` has the columns image_key, lang and caption.

    Args:
        root: the folder.
        languages: codes; () for all.

    Raises:
        InputError: captions, images or a language are missing.

    Source: Thapliyal et al. 2022, arXiv:2205.12522.
    """
    path = join(root, "captions.jsonl")
    captions = _from_jsonl(path) if exists(path) else _from_tsv(join(root, "captions.tsv"))
    known = {lang for found in captions.values() for lang, _ in found}
    if missing := sorted(set(languages) - known):
        raise InputError(
            f"{root}: no captions in {missing[0]!r}; it has {', '.join(sorted(known))}"
        )
    chosen = set(languages) or known
    captions = {key: [c for c in found if c[0] in chosen] for key, found in captions.items()}
    captions = {key: found for key, found in captions.items() if found}
    if not captions:
        raise InputError(f"{root}: there are no captions in it")
    images = {_stem(p): p for p in find(root, IMAGE_SUFFIXES)}
    if not images:
        raise InputError(f"{root}: there are no images; expected images/<image_key>.jpg")
    return EvalDataset(
        name="", path=root, task="retrieval", samples=partial(_xm3600_samples, captions, images)
    )


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def _xm3600_samples(
    captions: _Captions, images: Mapping[str, str], rank: int, world: int
) -> Iterator[EvalSample]:
    """Yield an image with its captions in all languages; a missing image has no bytes."""
    for key in sorted(captions)[rank::world]:
        content = None
        if key in images:
            with open_read(images[key]) as file:
                content = file.read()
        langs, texts = zip(*captions[key], strict=True)
        yield EvalSample(
            where=images.get(key, key), key=key, image=content, texts=texts, groups=langs
        )


def _from_tsv(path: str) -> _Captions:
    rows = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    wanted = {"image_key", "lang", "caption"}
    if not wanted <= set(rows.fieldnames or ()):
        got = ", ".join(rows.fieldnames or ()) or "nothing"
        raise InputError(
            f"{path}: expected the columns image_key, lang and caption, tab-separated; got {got}"
        )
    found = defaultdict(list)
    for row in rows:
        if row["caption"]:
            found[row["image_key"]].append((row["lang"], row["caption"]))
    return found


def _from_jsonl(path: str) -> _Captions:
    """Read a line per image: ``image/key``, and per language an object with ``caption``, a list."""
    found: dict[str, list[tuple[str, str]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            of_langs = {k: v["caption"] for k, v in row.items() if isinstance(v, dict)}
            found[row["image/key"]] = [(k, text) for k, texts in of_langs.items() for text in texts]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}, line {number}: not an image with captions ({error!r}); expected "
                '{"image/key": …, "en": {"caption": […]}, …}'
            ) from error
    return found


def open_cvqa(path: str, tables: Sequence[str], texts: str, prompt: str) -> EvalDataset:
    """Open CVQA: Parquet files with image, Question, Options, Label and Subset.

    Figures are given by ``Subset``, a language and a country. An answer's text is its prompt.

    Args:
        path: as the user gave it.
        tables: the files.
        texts: local, or english for Translated Question and Translated Options.
        prompt: with {question}, {option} or both.

    Raises:
        InputError: a column is missing, or the prompt has another place than these.

    Source: Romero et al. 2024, arXiv:2406.05967; columns as of its Hugging Face release.
    """
    places = {place for _, place, _, _ in Formatter().parse(prompt) if place is not None}
    if "option" not in places or not places <= {"question", "option"}:
        raise InputError(f"the prompt is {prompt!r}; expected {{option}} in it, and {{question}}")
    names = {name.lower(): name for name in table_schema(tables[0]).names}
    prefix = "" if texts == "local" else "translated "
    columns = {"image": "image", "label": "label", "subset": "subset",
               "question": f"{prefix}question", "options": f"{prefix}options"}  # fmt: skip
    missing = [c for key, c in columns.items() if c not in names and key != "subset"]
    if missing:
        raise InputError(
            f"{path}: there is no column {missing[0]!r}; it has {', '.join(names.values())}"
        )
    found = {key: names[c] for key, c in columns.items() if c in names}
    samples = partial(_cvqa_samples, tables, found, prompt)
    return EvalDataset(name="", path=path, task="choice", samples=samples)


def _cvqa_samples(
    tables: Sequence[str], columns: Mapping[str, str], prompt: str, rank: int, world: int
) -> Iterator[EvalSample]:
    for where, row in table_rows(tables, list(columns.values()), rank, world):
        image = row["image"]
        question = str(row[columns["question"]])
        options = _options(row[columns["options"]], where)
        subset = row.get(columns.get("subset", ""))
        yield EvalSample(
            where=where,
            key=image_key(image),
            image=image,
            label=row[columns["label"]],
            texts=tuple(prompt.format(question=question, option=option) for option in options),
            groups=() if subset is None else (_subset(str(subset)),),
        )


def _options(value: Any, where: str) -> list[str]:
    """Return the answers: a list, or a list written out as text."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            value = None
    if not isinstance(value, list) or not value:
        raise InputError(f"{where}: no answers to choose from; expected a list of texts")
    return [str(option) for option in value]


def _subset(text: str) -> str:
    """Return a subset's name without the brackets it is published with.

    >>> _subset("('Chinese', 'Singapore')")
    'Chinese, Singapore'
    """
    try:
        parts = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return ", ".join(map(str, parts)) if isinstance(parts, tuple) else text
