"""The languages: 330 Wikipedias, and where each label of language identification goes.

Four tables stand beside this file; the first three are what is decided, the last what follows.

- `languages.tsv`, a row per Wikipedia: code, English and own name, scripts (ISO 15924, the most
  used first), whether words are written without spaces between them, what splits its text into
  words (`unicode`: Unicode's word rules; `icu`: ICU's dictionaries; `tsheg`: Tibetan syllables),
  the metadata language it is merged into (empty: it is one itself), and the codes of its Open
  Multilingual WordNets.
- `lid176_labels.tsv`, a row per label of fastText's lid.176.
- `iso639_codes.tsv`, a row per code that leads to a Wikipedia, and why. Labels with a script
  (`eng_Latn`) are read by it.
- `script_labels.tsv`, a row per label of NLLB-200, OpenLID and GlotLID: where it goes.

Merged is what no label of any model can tell from its parent and ISO 639-3 has no code for
(`simple`, `be_tarask`, `map_bms`, `roa_tara`), and Chinese in Chinese characters that the paper
merges (`zh_classical`, `zh_yue`). All others are languages of their own, `zh_min_nan` too, which is
in Latin letters.

A label goes to the Wikipedia of its code, else to that of its macrolanguage, and only if this
Wikipedia is written in the label's script, for its entries match no other; else to `other`.

A Wikipedia newer than these tables has a code that is not in them. It is a language by itself, no
label goes to it, and what the tables would say of it follows from the script that its text is in:
`written_in` makes one name of both, and names of this kind go wherever a language's code does.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast, get_args

__all__ = [
    "DEFAULT_LABELS",
    "LABEL_SETS",
    "OTHER",
    "WIKIPEDIA_CODES",
    "LabelSet",
    "Segmenter",
    "english_name",
    "is_known_label",
    "is_new_wikipedia",
    "is_spaceless",
    "labels_of",
    "metadata_language",
    "metadata_languages",
    "omw_code",
    "omw_codes",
    "own_name",
    "scripts_of",
    "segmenter_of",
    "unreached_languages",
    "wikis_of",
    "written_in",
]

OTHER = "other"

Segmenter = Literal["unicode", "icu", "tsheg"]

# fastText's lid.176; NLLB-200's languages; OpenLID v1 and v2; GlotLID v3.
LabelSet = Literal["lid176", "nllb", "openlid", "openlid2", "glotlid"]
LABEL_SETS: tuple[LabelSet, ...] = get_args(LabelSet)
DEFAULT_LABELS: LabelSet = "lid176"

# Scripts that are parts or styles of another: a text in one is a text in the other.
_SAME_SCRIPT = {
    "Hans": "Hani",
    "Hant": "Hani",
    "Hira": "Jpan",
    "Kana": "Jpan",
    "Hrkt": "Jpan",
    "Hang": "Kore",
    "Aran": "Arab",
    "Latf": "Latn",
    "Latg": "Latn",
    "Cyrs": "Cyrl",
    "Syre": "Syrc",
    "Syrj": "Syrc",
    "Syrn": "Syrc",
}


@dataclass(frozen=True, slots=True)
class _Language:
    name: str
    own_name: str
    scripts: tuple[str, ...]
    spaceless: bool
    segmenter: Segmenter
    parent: str
    omw: tuple[str, ...]


def _rows(name: str) -> list[list[str]]:
    lines = files("curate.metadata").joinpath(name).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


@cache
def _languages() -> dict[str, _Language]:
    return {
        code: _Language(
            name,
            own,
            tuple(scripts.split()),
            spaceless == "yes",
            cast(Segmenter, segmenter),
            parent or code,
            tuple(omw.split()),
        )
        for code, name, own, scripts, spaceless, segmenter, parent, omw in _rows("languages.tsv")
    }


@cache
def _lid176() -> dict[str, str]:
    return {label: lang for label, lang in _rows("lid176_labels.tsv")}


@cache
def _iso639() -> dict[str, str]:
    return {code: lang for code, lang, _ in _rows("iso639_codes.tsv")}


# What has the name of a language's wiki and is none: the tenth birthday's.
_NO_LANGUAGES = frozenset({"ten"})
# ISO 639 codes, and those with a variant behind them. Wikimedia's other wikis have longer names.
_NEW_CODE = re.compile(r"[a-z]{2,3}(?:_[a-z]+)*")


def is_new_wikipedia(code: str) -> bool:
    """Tell whether a code may be that of a Wikipedia which the tables do not have.

    >>> [is_new_wikipedia(code) for code in ("tok", "de", "commons", "ten")]
    [True, False, False, False]
    """
    is_code = _NEW_CODE.fullmatch(code) is not None and code not in _NO_LANGUAGES
    return is_code and code not in _languages()


def written_in(lang: str, script: str | None) -> str:
    """Return what a language is called where its script is needed and may not be known.

    Args:
        lang: metadata language.
        script: ISO 15924, of a language that is not in the tables; None of others.

    >>> written_in("tok", "Latn"), segmenter_of(written_in("tok", "Latn"))
    ('tok_Latn', 'unicode')
    >>> segmenter_of("xyz_Khmr"), is_spaceless("xyz_Khmr")
    ('icu', True)
    """
    return lang if script is None else f"{lang}_{script}"


@cache
def _row(lang: str) -> _Language:
    """Return the row of a language; of one that has none, by the script behind its code."""
    if lang in _languages():
        return _languages()[lang]
    code, _, script = lang.rpartition("_")
    if not _is_script(script):
        code, script = lang, ""
    same = {name for name in (script, *_SAME_SCRIPT) if _SAME_SCRIPT.get(name, name) == script}
    # What has this script alone says most of it.
    alike = [row for row in _languages().values() if same.intersection(row.scripts[:1])]
    like = min(alike, key=lambda row: len(row.scripts), default=_languages()["en"])
    scripts = (script,) if script else ()
    return _Language(code, code, scripts, like.spaceless, like.segmenter, code, ())


# All Wikipedias, as in database names (``zh_yue``).
WIKIPEDIA_CODES: tuple[str, ...] = tuple(_languages())


def english_name(lang: str) -> str:
    """Return what a language is called in English.

    >>> english_name("be_tarask"), english_name("other")
    ('Belarusian (Taraškievica)', 'Other languages')
    """
    return "Other languages" if lang == OTHER else _row(lang).name


def own_name(lang: str) -> str:
    """Return what a language calls itself, in the script its Wikipedia uses most.

    >>> own_name("de"), own_name("ka")
    ('Deutsch', 'ქართული')
    """
    return "Other languages" if lang == OTHER else _row(lang).own_name


def scripts_of(lang: str) -> tuple[str, ...]:
    """Return the ISO 15924 codes of the scripts of a Wikipedia, the most used first.

    >>> scripts_of("sr"), scripts_of("zh_min_nan")
    (('Cyrl', 'Latn'), ('Latn',))
    """
    return _row(lang).scripts


def segmenter_of(lang: str) -> Segmenter:
    """Return what splits the text of a language into words.

    >>> segmenter_of("en"), segmenter_of("ja"), segmenter_of("dz")
    ('unicode', 'icu', 'tsheg')
    """
    return _row(lang).segmenter


def metadata_languages() -> tuple[str, ...]:
    """Return the languages that have metadata of their own, sorted."""
    return tuple(code for code, row in sorted(_languages().items()) if row.parent == code)


def metadata_language(label: str) -> str:
    """Map a label of language identification to a metadata language; one of none to ``other``.

    A label with a script is an ISO 639 code, as of NLLB, OpenLID and GlotLID. One without is what
    lid.176 means by it, else the code of a Wikipedia, else an ISO 639 code: ``als`` is Alemannic,
    ``als_Latn`` Albanian. Total: any string has an answer.

    Args:
        label: without ``__label__``; parts are joined by ``_`` or ``-``.

    >>> metadata_language("de"), metadata_language("yue"), metadata_language("lrc")
    ('de', 'zh', 'other')
    >>> metadata_language("swh_Latn"), metadata_language("zho_Hant"), metadata_language("hin_Latn")
    ('sw', 'zh', 'other')
    """
    parts = label.replace("-", "_").split("_")
    script = parts[1] if len(parts) > 1 and _is_script(parts[1]) else None
    if script is None:
        return _without_script("_".join(parts), parts[0])
    return _with_script(parts[0], script)


def is_known_label(label: str) -> bool:
    """Tell whether a label begins with a code of some LID model, Wikipedia or ISO 639 table here.

    Args:
        label: as for `metadata_language`.

    >>> [is_known_label(label) for label in ("eng", "en-US", "swh_Latn", "Deutsch", "und", "")]
    [True, True, True, False, False, False]
    """
    return label.replace("-", "_").split("_")[0] in _known_codes()


@cache
def _known_codes() -> frozenset[str]:
    with_script = (label.split("_")[0] for label, *_ in _rows("script_labels.tsv"))
    return frozenset({*_lid176(), *_languages(), *_iso639(), *with_script, OTHER} - {"und", "zxx"})


def _is_script(part: str) -> bool:
    return len(part) == 4 and part.isascii() and part.isalpha() and part.istitle()


def _without_script(label: str, code: str) -> str:
    languages = _languages()
    for name in (label, code):
        if name in _lid176():
            return _lid176()[name]
        if name in languages:
            return languages[name].parent
    return _iso639().get(code, OTHER)


def _with_script(code: str, script: str) -> str:
    common = _SAME_SCRIPT.get(script, script)
    named = _iso639().get(f"{code}_{common}")
    if named is not None:
        return named
    # Two letters are ISO 639-1, whose codes Wikipedias use.
    lang = _iso639().get(code) or (_without_script(code, code) if len(code) == 2 else OTHER)
    if lang == OTHER:
        return OTHER
    fits = common in {_SAME_SCRIPT.get(s, s) for s in _languages()[lang].scripts}
    return lang if fits else OTHER


@cache
def labels_of(label_set: LabelSet) -> tuple[str, ...]:
    """Return all labels of a family of models, without ``__label__``, sorted.

    >>> [len(labels_of(name)) for name in LABEL_SETS]
    [176, 202, 201, 200, 2114]

    Sources: lid.176.ftz; NLLB Team 2022, arXiv:2207.04672; Burchell et al. 2023,
    arXiv:2305.13820, and OpenLID v2; Kargaran et al. 2023, arXiv:2310.16248, and GlotLID v3.
    """
    if label_set == "lid176":
        return tuple(sorted(_lid176()))
    rows = _rows("script_labels.tsv")
    return tuple(sorted(label for label, _, models in rows if label_set in models.split()))


def wikis_of(lang: str) -> tuple[str, ...]:
    """Return the Wikipedias whose text makes the metadata of a language; itself if it is new.

    >>> wikis_of("zh")
    ('zh', 'zh_classical', 'zh_yue')
    """
    merged = tuple(sorted(code for code, row in _languages().items() if row.parent == lang))
    return (lang,) if is_new_wikipedia(lang) else merged


def unreached_languages(labels: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the metadata languages that no label goes to: together they are ``other``.

    Args:
        labels: of the LID model, without ``__label__``; None for those of lid.176.
    """
    reached = {metadata_language(label) for label in (_lid176() if labels is None else labels)}
    return tuple(code for code in metadata_languages() if code not in reached)


def is_spaceless(lang: str) -> bool:
    """Tell whether a language is written without spaces between words."""
    return _row(lang).spaceless


def omw_codes(lang: str) -> tuple[str, ...]:
    """Return the ISO 639-3 codes under which Open Multilingual WordNet has a language.

    >>> omw_codes("zh"), omw_codes("sw")
    (('cmn', 'qcn'), ())
    """
    return _row(lang).omw


def omw_code(lang: str) -> str | None:
    """Return the first of `omw_codes`, if there is any.

    >>> omw_code("sq"), omw_code("sw")
    ('als', None)
    """
    codes = omw_codes(lang)
    return codes[0] if codes else None
