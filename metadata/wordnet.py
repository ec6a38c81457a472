"""WordNet: the names of English synsets, and the lemmas of Open Multilingual WordNet."""

import gzip
import io
import re
import string
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from metadata.errors import InputError
from metadata.languages import omw_code

__all__ = ["english_names", "omw_lemmas"]

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

_TAB_LINE = re.compile(r"\S+\t(?:\w+:)?lemma\t(?P<lemma>[^\t]+)")


def english_names(wordnet_dir: str | None) -> list[str]:
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
    names = {s.name().split(".")[0].lower().replace("_", " ") for s in reader.all_synsets()}
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


def omw_lemmas(lang: str, wordnet_dir: str | None) -> list[str] | None:
    """Return the distinct lemmas of a language in Open Multilingual WordNet, sorted.

    Args:
        lang: metadata language.
        wordnet_dir: folder with ``wn-data-<iso3>.tab`` files, ``.gz`` or not, in it or in folders
            named ``<iso3>``; None for nltk's ``omw-1.4``.

    Returns:
        None if the language has no WordNet, or the folder no file of it.

    Raises:
        InputError: the file cannot be read.
    """
    code = omw_code(lang)
    folder = Path(wordnet_dir) if wordnet_dir is not None else _nltk_folder("omw-1.4")
    if code is None or folder is None:
        return None
    name = f"wn-data-{code}.tab"
    candidates = [folder / name, folder / f"{name}.gz", folder / code / name]
    path = next((p for p in candidates if p.is_file()), None)
    return sorted(set(_tab_lemmas(path))) if path is not None else None


def _tab_lemmas(path: Path) -> Iterator[str]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            for line in file:
                match = _TAB_LINE.match(line)
                lemma = match["lemma"].strip().replace("_", " ") if match else ""
                if lemma:
                    yield lemma
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as a WordNet tab file ({error})") from error
