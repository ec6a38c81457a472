"""WordNet: the names of English synsets, and the lemmas of Open Multilingual WordNet."""

import gzip
import io
import re
import string
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from metadata.errors import InputError
from metadata.languages import omw_code

__all__ = ["english_lemmas", "omw_lemmas"]

# The lexicographer files of WordNet 3.0 (lexnames(5WN)), in the order of their numbers. Debian's
# wordnet-base leaves the file out that says so, and nltk's reader cannot start without it.
_LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute "
    "noun.body noun.cognition noun.communication noun.event noun.feeling noun.food noun.group "
    "noun.location noun.motive noun.object noun.person noun.phenomenon noun.plant "
    "noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication "
    "verb.competition verb.consumption verb.contact verb.creation verb.emotion verb.motion "
    "verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl"
).split()
_PARTS_OF_SPEECH = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}

# Other relations than lemma (definitions, examples) are valid lines and no lemmas.
_TAB_LINE = re.compile(
    r"\d{8}-[a-z]\t(?:(?:\w+:)?lemma\t\s*(?P<lemma>[^\t\n]*[^\s])|(?!(?:\w+:)?lemma\t)[^\t]+\t)"
)
# The Chinese WordNet parts a lemma's particle from it with a sign that no text has.
_MARKS = {"cmn": "+"}
# Older releases name the file of Persian by the code of all Persian languages.
_OLD_CODES = {"pes": ("fas",)}


def english_lemmas(wordnet_dir: str | None) -> list[str]:
    """Return the distinct names of WordNet's synsets, sorted.

    A synset's name is its first lemma, lower-cased, up to its first point, with `_` as a space.
    Names of punctuation alone are left out, and so are the numbers 0–99, which are entries anyway.

    Args:
        wordnet_dir: folder of the database files (``data.noun``, …), such as Debian's
            ``/usr/share/wordnet``; None for nltk's data path, where it is downloaded to if needed.

    Raises:
        InputError: there is no WordNet there.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.1: 86,654 with the 100 numbers.
    """
    reader, opened = _reader(wordnet_dir)
    try:
        names = {s.name().split(".")[0].lower().replace("_", " ") for s in reader.all_synsets()}
    finally:
        for file in opened:
            file.close()
    numbers = {str(n) for n in range(100)}
    return sorted(n for n in names - numbers if not all(c in string.punctuation for c in n))


def _reader(wordnet_dir: str | None) -> tuple[Any, list[IO[str]]]:
    """Return nltk's reader and the files it opens, which it leaves to others to close."""
    if wordnet_dir is not None and not Path(wordnet_dir, "data.noun").is_file():
        raise InputError(
            f"{wordnet_dir}: no WordNet database here (there is no data.noun). "
            "Debian's package wordnet-base has one in /usr/share/wordnet."
        )
    folder = Path(wordnet_dir) if wordnet_dir is not None else _nltk_folder("wordnet")
    if folder is None:
        raise InputError(
            "the English WordNet is neither in nltk's data path nor could nltk download it. Name "
            "its folder with --wordnet-dir (Debian: apt install wordnet-base, /usr/share/wordnet), "
            "run `python -m nltk.downloader wordnet`, or leave it out of --sources."
        )
    return _folder_reader(folder)


def _folder_reader(folder: Path) -> tuple[Any, list[IO[str]]]:
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    opened: list[IO[str]] = []

    class FolderReader(WordNetCorpusReader):  # type: ignore[misc]
        """nltk's reader on a folder of the user's choice, which nltk itself refuses to open."""

        def open(self, file: str) -> IO[str]:
            path = folder / file
            if file == "lexnames" and not path.exists():
                lines = (
                    f"{i:02d}\t{name}\t{_PARTS_OF_SPEECH[name.split('.')[0]]}\n"
                    for i, name in enumerate(_LEXNAMES)
                )
                return io.StringIO("".join(lines))
            opened.append(path.open(encoding="utf-8"))
            return opened[-1]

        def map_wn(self, version: str = "wordnet") -> None:
            """Map no synset numbers to another version: only names are read."""

    # nltk (3.10 on) reads only below its data path; the user named this folder, so it joins it.
    nltk.data.path.append(str(folder))
    try:
        with warnings.catch_warnings():
            # It warns that this WordNet has no other languages; they are read from tab files.
            warnings.simplefilter("ignore")
            return FolderReader(str(folder), None), opened
    finally:
        nltk.data.path.remove(str(folder))


def _nltk_folder(name: str) -> Path | None:
    """Return the folder of a corpus in nltk's data path, downloading it if it is not there."""
    import nltk

    for attempt in ("find", "download"):
        if attempt == "download":
            with suppress(OSError, ValueError):
                nltk.download(name, quiet=True)
        for folder in nltk.data.path:
            corpus = Path(folder, "corpora", name)
            archive = corpus.with_suffix(".zip")
            if not corpus.is_dir() and archive.is_file():
                _unpack(archive)
            if corpus.is_dir():
                return corpus
    return None


def _unpack(archive: Path) -> None:
    import zipfile

    with suppress(PermissionError), zipfile.ZipFile(archive) as opened:
        opened.extractall(archive.parent)


def omw_lemmas(
    lang: str, wordnet_dir: str | None, bad_lines: Counter[str] | None = None
) -> list[str] | None:
    """Return the distinct lemmas of a language in Open Multilingual WordNet, sorted.

    Args:
        lang: metadata language.
        wordnet_dir: folder with ``wn-data-<iso3>.tab`` files, ``.gz`` or not, in it or in folders
            of it (``dan/``, ``mcr/`` for Catalan); None for nltk's ``omw-1.4``.
        bad_lines: if given, the number of lines that are no tab lines is added to it, by file.

    Returns:
        None if the language has no WordNet, or the folder no file of it; never an empty list for
        that reason. Chinese lemmas lose the ``+`` with which their WordNet marks a particle.

    Raises:
        InputError: the file cannot be read.
    """
    code = omw_code(lang)
    if code is None:
        return None
    folder = Path(wordnet_dir) if wordnet_dir is not None else _nltk_folder("omw-1.4")
    if folder is None:
        return None
    path = _tab_file(folder, code)
    if path is None:
        return None
    bad = Counter[str]() if bad_lines is None else bad_lines
    return sorted(set(_tab_lemmas(path, _MARKS.get(code, ""), bad)))


def _tab_file(folder: Path, code: str) -> Path | None:
    for name in (code, *_OLD_CODES.get(code, ())):
        for pattern in ("", "*/"):
            for suffix in ("", ".gz"):
                found = sorted(folder.glob(f"{pattern}wn-data-{name}.tab{suffix}"))
                if found:
                    return found[0]
    return None


def _tab_lemmas(path: Path, mark: str, bad_lines: Counter[str]) -> Iterator[str]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            for line in file:
                if line.startswith("#") or not line.strip():
                    continue
                match = _TAB_LINE.match(line)
                if match is None:
                    bad_lines[str(path)] += 1
                elif match["lemma"] is not None:
                    lemma = match["lemma"].replace("_", " ").strip()
                    yield lemma.replace(mark, "") if mark else lemma
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as a WordNet tab file ({error})") from error
