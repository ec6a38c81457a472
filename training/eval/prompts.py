"""Class names and templates in, prompts out: what a class is called, in every language asked for.

A classes file has a class per line, several names of it separated by tabs. A templates file has a
template per line, with one place for the name.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from curate.errors import InputError
from curate.files.storage import read_text

__all__ = ["TEMPLATES", "Vocabulary", "own_vocabulary", "parse_classes", "parse_templates",
           "read_babel", "read_vocabularies"]  # fmt: skip

# Ours, for files that come without templates; {a} is the English article.
TEMPLATES = ("a picture of {a} {name}", "{a} {name}", "a photo of {a} {name}")

_NAME_PLACES = {"", "c", "name"}
_LANG_PLACE = "{lang}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What the classes of a dataset are called in one language.

    Attributes:
        lang: code of the language; "" where nobody said.
        class_ids: which of the dataset's classes have a name; shape (C,), ascending.
        names: of each class, at least one; shape (C, …).
        templates: each has one place for the name.
    """

    lang: str
    class_ids: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]
    templates: tuple[str, ...]

    def prompts(self, index: int) -> list[str]:
        """Return every name of a class in every template.

        >>> names = (("owl",),)
        >>> Vocabulary(lang="", class_ids=(0,), names=names, templates=("{a} {c}",)).prompts(0)
        ['an owl']
        """
        return [_fill(t, name) for name in self.names[index] for t in self.templates]


def _fill(template: str, name: str) -> str:
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return template.format(name, c=name, name=name, a=article)


def parse_templates(text: str, path: str) -> tuple[str, ...]:
    """Return the templates of a file: a line each, with ``{}``, ``{c}`` or ``{name}``.

    Raises:
        InputError: a line has no place for the name or one that we do not know, or there is none.
    """
    templates = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            _check_template(line.strip(), f"{path}, line {number}")
            templates.append(line.strip())
    if not templates:
        raise InputError(
            f"{path}: there is no template in it; expected lines like: a photo of {{}}"
        )
    return tuple(templates)


def _check_template(template: str, where: str) -> None:
    try:
        places = [place for _, place, _, _ in Formatter().parse(template) if place is not None]
    except ValueError as error:
        raise InputError(f"{where}: not a template ({error}): {template!r}") from error
    num_names = sum(place in _NAME_PLACES for place in places)
    unknown = set(places) - _NAME_PLACES - {"a"}
    if num_names != 1 or unknown:
        raise InputError(
            f"{where}: got {template!r}; expected one place for the class name, written {{}}, "
            "{c} or {name}, and at most {a} (its English article) beside it"
        )


def parse_classes(text: str, path: str) -> tuple[tuple[str, ...], ...]:
    r"""Return the names of each class: a line each, several names separated by tabs.

    Raises:
        InputError: there is no class, or a line without a name among the others.

    >>> parse_classes("crane\ncrane bird\theron\n", "classes.txt")
    (('crane',), ('crane bird', 'heron'))
    """
    lines = text.rstrip().splitlines()
    classes = [tuple(n.strip() for n in line.split("\t") if n.strip()) for line in lines]
    if not classes:
        raise InputError(f"{path}: there is no class in it; expected a class name per line")
    if () in classes:
        raise InputError(
            f"{path}, line {classes.index(()) + 1}: an empty line; the line's number is the "
            "class's, so every class needs a name"
        )
    return tuple(classes)


def read_vocabularies(
    classes: str, templates: str | None, languages: Sequence[str] = ()
) -> tuple[Vocabulary, ...]:
    """Read class names and templates, of one language or of several.

    Args:
        classes: path of a classes file; with ``{lang}`` in it, of one per language.
        templates: path of a templates file, likewise; None for three English ones of ours.
        languages: codes that ``{lang}`` stands for.

    Raises:
        InputError: a file is missing or not what it should be.
    """
    if _LANG_PLACE in (templates or "") and _LANG_PLACE not in classes:
        raise InputError(f"{templates}: {{lang}} stands in the templates' path only; "
                         f"name the classes of each language too, not only {classes}")  # fmt: skip
    if _LANG_PLACE in classes and not languages:
        raise InputError(f"{classes}: {{lang}} stands for languages, but none is given. "
                         "Name them, such as: --languages en,de")  # fmt: skip
    found = []
    for lang in languages if _LANG_PLACE in classes else ("",):
        path = classes.replace(_LANG_PLACE, lang)
        names = parse_classes(read_text(path), path)
        found.append(
            Vocabulary(
                lang=lang,
                class_ids=tuple(range(len(names))),
                names=names,
                templates=read_templates(templates, lang),
            )
        )
    return tuple(found)


def own_vocabulary(names: tuple[tuple[str, ...], ...], templates: str | None) -> Vocabulary:
    """Return the class names that a set brings along, with a file's templates or ours."""
    return Vocabulary(
        lang="",
        class_ids=tuple(range(len(names))),
        names=names,
        templates=read_templates(templates, ""),
    )


def read_templates(path: str | None, lang: str) -> tuple[str, ...]:
    """Read the templates of a language: a file of lines, or a JSON object of lists by language."""
    if path is None:
        return TEMPLATES
    path = path.replace(_LANG_PLACE, lang)
    if path.endswith(".json"):
        found = _of_lang(_json_object(path), lang, path)
        return parse_templates("\n".join(map(str, found)), f"{path}: {lang}")
    return parse_templates(read_text(path), path)


def read_babel(
    path: str, templates: str | None, languages: Sequence[str] = ()
) -> tuple[Vocabulary, ...]:
    """Read Babel-ImageNet's labels: per language the ids of classes of ImageNet, and their names.

    Args:
        path: JSON object: code → [ids of classes, a name of each].
        templates: a file of lines, ``{lang}`` in its path for one per language, or a JSON object
            of lists by code; None for the bare names.
        languages: codes; () for all.

    Raises:
        InputError: the file is not of this form, or lacks a language.

    Source: Geigle et al. 2023, arXiv:2306.08658; the layout of its data/babel_imagenet.json.
    """
    values = _json_object(path)
    found = []
    for lang in languages or values:
        pair = _of_lang(values, lang, path)
        if not (isinstance(pair, list) and len(pair) == 2 and len(pair[0]) == len(pair[1])):
            raise InputError(
                f"{path}: {lang} is not [ids of classes, their names] with as many names as ids"
            )
        by_id = sorted(zip(map(int, pair[0]), map(str, pair[1]), strict=True))
        found.append(
            Vocabulary(
                lang=lang,
                class_ids=tuple(i for i, _ in by_id),
                names=tuple((name,) for _, name in by_id),
                templates=("{}",) if templates is None else read_templates(templates, lang),
            )
        )
    return tuple(found)


def _json_object(path: str) -> Mapping[str, Any]:
    try:
        values = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if not isinstance(values, dict) or not values:
        raise InputError(f"{path}: expected a JSON object with language codes as keys")
    return values


def _of_lang(values: Mapping[str, Any], lang: str, path: str) -> Any:
    """Return the value of a language; its code may be in capitals, as Babel-ImageNet's are."""
    for code in (lang, lang.upper(), lang.lower()):
        if code in values:
            return values[code]
    raise InputError(f"{path}: there is no language {lang!r}; it has {', '.join(sorted(values))}")
