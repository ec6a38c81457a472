"""The languages: 330 Wikipedias, and where each label of language identification goes.

`languages.tsv` has a row per Wikipedia: its code, its English name, the metadata language it is
merged into (empty: it is one itself), whether it is written without spaces between words, and the
ISO 639-3 code of its Open Multilingual WordNet. `lid176_labels.tsv` has a row per label of
fastText's lid.176.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = [
    "OTHER",
    "WIKIPEDIA_CODES",
    "english_name",
    "is_spaceless",
    "metadata_language",
    "metadata_languages",
    "omw_code",
    "unreached_languages",
    "wikis_of",
]

OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Language:
    name: str
    parent: str
    spaceless: bool
    omw: str


def _rows(name: str) -> list[list[str]]:
    lines = files("metadata").joinpath(name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


@cache
def _languages() -> dict[str, _Language]:
    return {
        code: _Language(name, parent or code, spaceless == "yes", omw)
        for code, name, parent, spaceless, omw in _rows("languages.tsv")
    }


@cache
def _labels() -> dict[str, str]:
    return {label: language for label, language in _rows("lid176_labels.tsv")}


# All Wikipedias, as in database names (``zh_yue``).
WIKIPEDIA_CODES: tuple[str, ...] = tuple(_languages())


def english_name(lang: str) -> str:
    """Return what a language is called in English.

    >>> english_name("be_tarask"), english_name("other")
    ('Belarusian (Taraškievica)', 'Other languages')
    """
    return "Other languages" if lang == OTHER else _languages()[lang].name


def metadata_languages() -> tuple[str, ...]:
    """Return the languages that have metadata of their own, sorted."""
    return tuple(code for code, row in sorted(_languages().items()) if row.parent == code)


def metadata_language(label: str) -> str:
    """Map a lid.176 label to a metadata language; one that has none goes to ``other``.

    >>> metadata_language("de"), metadata_language("yue"), metadata_language("lrc")
    ('de', 'zh', 'other')
    """
    return _labels().get(label, OTHER)


def wikis_of(lang: str) -> tuple[str, ...]:
    """Return the Wikipedias whose text makes the metadata of a language.

    >>> wikis_of("zh")
    ('zh', 'zh_classical', 'zh_yue')
    """
    return tuple(sorted(code for code, row in _languages().items() if row.parent == lang))


def unreached_languages() -> tuple[str, ...]:
    """Return the metadata languages that no lid.176 label goes to: together they are ``other``."""
    reached = set(_labels().values())
    return tuple(code for code in metadata_languages() if code not in reached)


def is_spaceless(lang: str) -> bool:
    """Tell whether a language is written without spaces between words."""
    return _languages()[lang].spaceless


def omw_code(lang: str) -> str | None:
    """Return the ISO 639-3 code of a language's Open Multilingual WordNet, if it has one.

    >>> omw_code("sq"), omw_code("sw")
    ('als', None)
    """
    return _languages()[lang].omw or None
