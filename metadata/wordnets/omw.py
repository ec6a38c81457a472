"""Open Multilingual WordNet: tab files in, the lemmas of a language out.

A tab file (`wn-data-dan.tab`, `.gz` or not) has a line per fact: the synset's number in WordNet
3.0, the kind of the fact (`lemma` or `dan:lemma`; `dan:def`, `dan:exe` and others are no lemmas),
and the fact. In nltk's `omw-1.4` and in OMW's own releases each stands in a folder of its project
(`dan/`, `mcr/` for Spanish, Basque, Catalan and Galician), and a language may have several.
"""

import gzip
import io
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unicodedata import combining

from curate.errors import InputError
from curate.metadata.languages import metadata_languages, omw_codes

__all__ = [
    "existing_folder",
    "files_below",
    "nltk_folder",
    "nltk_omw_folder",
    "not_had",
    "omw_files",
    "omw_folder",
    "omw_languages",
    "omw_lemmas",
]

_FILE_NAME = re.compile(r"wn-data-(?P<code>\w+)\.tab(?:\.gz)?")
_FACT = re.compile(r"\d{8}-[a-z]\t(?P<kind>[^\t]+)\t(?P<text>[^\t]*)")
_LEMMA_KIND = re.compile(r"(?:\w+:)?lemma")
# nltk (3.10 on) looks for omw-2.0 alone, and reads the same files there. The older name comes
# first: of who has both, the entries stay what they were.
OMW_CORPORA = ("omw-1.4", "omw-2.0")
# Signs of dictionaries that running text does not have: the Chinese WordNets part a lemma's
# particle from it by a +; the Hebrew one points its vowels (Hebrew points and accents of Unicode);
# those in Arabic letters have vowel signs, and draw letters out (tatweel). Marks that make another
# letter (madda, hamza above and below) stay.
_ARABIC = "\u0640\u0670" + "".join(
    chr(code)
    for first, last in ((0x610, 0x61A), (0x64B, 0x652), (0x656, 0x65F), (0x6D6, 0x6ED))
    for code in range(first, last + 1)
    if combining(chr(code))
)
_SIGNS = {
    "ar": _ARABIC,
    "fa": _ARABIC,
    "he": "".join(c for c in map(chr, range(0x591, 0x5C8)) if combining(c)),
    "zh": "+",
}


def omw_lemmas(
    lang: str,
    wordnet_dir: str | None,
    bad_lines: Counter[str] | None = None,
    *,
    fetch: bool = True,
) -> list[str] | None:
    """Return the distinct lemmas of a language in Open Multilingual WordNet, sorted.

    Args:
        lang: metadata language.
        wordnet_dir: folder with ``wn-data-<iso3>.tab`` files, ``.gz`` or not, at any depth; those
            of one language are read together. None for nltk's ``omw-1.4`` or ``omw-2.0``.
        bad_lines: if given, the number of lines that are no tab lines is added to it, by file.
        fetch: whether nltk's data are downloaded if they are missing.

    Returns:
        None if the language has no WordNet, or the folder no file of it; never an empty list.
        Words of a lemma are parted by spaces, for which the files may have ``_``; Chinese lemmas
        lose the ``+`` with which their WordNets mark a particle, Hebrew, Arabic and Persian ones
        their vowel signs, the latter two also the sign that draws a letter out (tatweel).

    Raises:
        InputError: there is no such folder, or a file that cannot be read or has no lemma.

    Source: Bond and Foster 2013, "Linking and extending an open multilingual wordnet".
    """
    if not omw_codes(lang):
        return None
    files = omw_files(lang, omw_folder(wordnet_dir, fetch=fetch))
    bad = Counter[str]() if bad_lines is None else bad_lines
    lemmas = {lemma for path in files for lemma in _file_lemmas(path, lang, bad)}
    return sorted(lemmas) if files else None


def omw_languages(wordnet_dir: str | None, *, fetch: bool = True) -> frozenset[str]:
    """Return the metadata languages whose Open Multilingual WordNet is at hand.

    Args:
        wordnet_dir: as for `omw_lemmas`. With None, call it before starting workers: it downloads.
        fetch: as for `omw_lemmas`.

    Raises:
        InputError: there is no such folder, or nltk's data could not be had.
    """
    there = _codes(omw_folder(wordnet_dir, fetch=fetch)).keys()
    return frozenset(lang for lang in metadata_languages() if there & set(omw_codes(lang)))


def omw_files(lang: str, folder: Path) -> list[Path]:
    """Return the tab files of a language below a folder, sorted; unpacked ones before packed."""
    there = _codes(folder)
    return sorted(path for code in omw_codes(lang) for path in there.get(code, ()))


def _codes(folder: Path) -> dict[str, list[Path]]:
    """Return the tab files below a folder by language code; of a file and its .gz, the file."""
    found: dict[str, list[Path]] = {}
    for path in files_below(folder):
        match = _FILE_NAME.fullmatch(path.name)
        doubled = path.suffix == ".gz" and path.with_suffix("").is_file()
        if match and path.is_file() and not doubled:
            found.setdefault(match["code"], []).append(path)
    return found


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, behind links too, each folder once."""
    known: set[str] = set()
    for top, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        if real in known:  # by another link, or one that leads back
            folders.clear()
            continue
        known.add(real)
        folders.sort()
        yield from (Path(top, name) for name in sorted(names))


def omw_folder(wordnet_dir: str | None, *, fetch: bool = True) -> Path:
    """Return the folder of tab files: the given one, else nltk's, downloaded if that is meant.

    Raises:
        InputError: there is no such folder, or nltk's data could not be had.
    """
    if wordnet_dir is not None:
        return existing_folder(wordnet_dir)
    folder = nltk_omw_folder(fetch=fetch)
    if folder is None:
        raise InputError(
            f"Open Multilingual WordNet ({' or '.join(OMW_CORPORA)}) {not_had(fetch=fetch)}. Name "
            "a folder of its wn-data-*.tab files with --wordnet-dir, run `python -m "
            f"nltk.downloader {OMW_CORPORA[0]}`, or leave wordnet out of --sources."
        )
    return folder


def nltk_omw_folder(*, fetch: bool = True) -> Path | None:
    """Return the folder of nltk's Open Multilingual WordNet, of either name, as `nltk_folder`."""
    for may_fetch in (False, True) if fetch else (False,):
        for name in OMW_CORPORA:
            if folder := nltk_folder(name, fetch=may_fetch):
                return folder
    return None


def _file_lemmas(path: Path, lang: str, bad_lines: Counter[str]) -> set[str]:
    """Return the lemmas of a file, which has at least one."""
    lemmas = set(_tab_lemmas(path, _SIGNS.get(lang, ""), bad_lines))
    if not lemmas:
        raise InputError(
            f"{path}: no lemma in it ({bad_lines[str(path)]} lines are of another format). "
            "Expected lines of an Open Multilingual WordNet tab file, such as "
            "02084071-n<TAB>lemma<TAB>hund. Take the file away, or get it anew."
        )
    return lemmas


def _tab_lemmas(path: Path, signs: str, bad_lines: Counter[str]) -> Iterator[str]:
    left_out = dict.fromkeys(map(ord, signs))
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for line in file:
                if line.startswith("#") or not line.strip():
                    continue
                fact = _FACT.match(line)
                lemma = _words(fact["text"], left_out) if fact else ""
                if fact is None or (not lemma and _LEMMA_KIND.fullmatch(fact["kind"])):
                    bad_lines[str(path)] += 1
                elif _LEMMA_KIND.fullmatch(fact["kind"]):
                    yield lemma
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"{path}: not readable as a WordNet tab file ({error})") from error


def _words(text: str, left_out: dict[int, None]) -> str:
    return text.translate(left_out).replace("_", " ").strip()


def existing_folder(wordnet_dir: str) -> Path:
    """Return a folder of WordNets as a path.

    Raises:
        InputError: it is no folder.
    """
    folder = Path(wordnet_dir)
    if not folder.is_dir():
        raise InputError(
            f"{wordnet_dir}: there is no such folder. --wordnet-dir takes a folder with the "
            "English WordNet (Debian: /usr/share/wordnet), with wn-data-*.tab files, or both."
        )
    return folder


def not_had(*, fetch: bool) -> str:
    """Say why a corpus of nltk could not be had."""
    if fetch:
        return "is neither in nltk's data path nor could nltk download it"
    return "is not in nltk's data path, and nothing is fetched"


def nltk_folder(name: str, *, fetch: bool = True) -> Path | None:
    """Return the folder of a corpus in nltk's data path.

    Args:
        name: of the corpus.
        fetch: whether it is downloaded if it is not there.

    Returns:
        None if it could not be had.

    Raises:
        InputError: what is there is an archive that is broken.
    """
    folder = _in_data_path(name)
    if folder is None and fetch:
        import nltk

        with suppress(OSError, ValueError):  # no network: the caller says what is missing
            # nltk would print what is wrong, which the caller says as well, and better.
            nltk.download(name, quiet=True, raise_on_error=True, print_error_to=io.StringIO())
        folder = _in_data_path(name)
    return folder


def _in_data_path(name: str) -> Path | None:
    import nltk

    for folder in nltk.data.path:
        corpus = Path(folder, "corpora", name)
        if not corpus.is_dir():
            _unpack(Path(folder, "corpora", f"{name}.zip"))
        if corpus.is_dir():
            return corpus
    return None


def _unpack(archive: Path) -> None:
    if not archive.is_file():
        return
    try:
        # A read-only data path is like one without the corpus: nltk downloads to another.
        with suppress(PermissionError), zipfile.ZipFile(archive) as opened:
            opened.extractall(archive.parent)
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(
            f"{archive}: broken archive ({error}). Delete it and run "
            f"`python -m nltk.downloader {archive.stem}`."
        ) from error
