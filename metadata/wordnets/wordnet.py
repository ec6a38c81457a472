"""WordNet: the names of English synsets, and the lemmas of Open Multilingual WordNet."""

import io
import re
import string
import warnings
from pathlib import Path
from typing import IO, Any

from curate.errors import InputError
from curate.metadata.languages import omw_codes
from curate.metadata.wordnets.omw import (
    existing_folder,
    files_below,
    nltk_folder,
    not_had,
    omw_files,
    omw_folder,
    omw_languages,
    omw_lemmas,
)

__all__ = ["english_lemmas", "omw_lemmas", "wordnet_files", "wordnet_languages"]

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

_OFFSET = re.compile(rb"(?<= )\d{8}(?= )")
_FILES = tuple(f"{kind}.{part}" for part in _PARTS_OF_SPEECH for kind in ("data", "index")) + tuple(
    f"{part}.exc" for part in _PARTS_OF_SPEECH
)


def english_lemmas(wordnet_dir: str | None, *, fetch: bool = True) -> list[str]:
    """Return the distinct names of WordNet's synsets, sorted.

    A synset's name is its first lemma, lower-cased, up to its first point, with `_` as a space.
    Names of punctuation alone are left out, and so are the numbers 0–99, which are entries anyway.

    Args:
        wordnet_dir: folder of the database files (``data.noun``, …), such as Debian's
            ``/usr/share/wordnet``, or one that has such a folder below it; of several, WordNet 3.0.
            None for nltk's data path.
        fetch: whether nltk's data are downloaded if they are missing.

    Raises:
        InputError: there is no WordNet there, or a broken one.

    Source: Xu et al. 2023, arXiv:2309.16671, section 3.1: 86,654 with the 100 numbers.
    """
    folder = _database_folder(wordnet_dir, fetch=fetch)
    opened: list[IO[str]] = []
    try:
        reader = _folder_reader(folder, opened)
        names = {s.name().split(".")[0].lower().replace("_", " ") for s in reader.all_synsets()}
    except Exception as error:  # nltk's parser ends in a StopIteration, too, or an AttributeError
        raise InputError(
            f"{folder}: not readable as a WordNet database ({type(error).__name__}: {error}). "
            "Install it anew "
            "(Debian: apt install --reinstall wordnet-base)."
        ) from error
    finally:
        for file in opened:
            file.close()
    numbers = {str(n) for n in range(100)}
    return sorted(n for n in names - numbers if not all(c in string.punctuation for c in n))


def wordnet_languages(wordnet_dir: str | None, *, fetch: bool = True) -> frozenset[str]:
    """Return the metadata languages that have a WordNet at hand, English among them.

    Args:
        wordnet_dir: as for `english_lemmas` and `omw_lemmas`. With None, call it before starting
            workers: it downloads what is missing.
        fetch: as for both.

    Raises:
        InputError: there is no such folder, or nltk's data could not be had.
    """
    if wordnet_dir is None:
        english = nltk_folder("wordnet", fetch=fetch)
    else:
        english = _below(existing_folder(wordnet_dir))
    return omw_languages(wordnet_dir, fetch=fetch) | (frozenset({"en"}) if english else frozenset())


def wordnet_files(lang: str, wordnet_dir: str | None, *, fetch: bool = True) -> list[Path]:
    """Return the files that the WordNet entries of a language are read from; [] if it has none.

    Args:
        lang: metadata language.
        wordnet_dir: as for `english_lemmas` and `omw_lemmas`.
        fetch: as for both.

    Raises:
        InputError: there is no such folder, no English database in it, or nltk's data could not be
            had.
    """
    if lang == "en":
        folder = _database_folder(wordnet_dir, fetch=fetch)
        return [folder / name for name in (*_FILES, "lexnames") if (folder / name).is_file()]
    return omw_files(lang, omw_folder(wordnet_dir, fetch=fetch)) if omw_codes(lang) else []


def _database_folder(wordnet_dir: str | None, *, fetch: bool) -> Path:
    if wordnet_dir is not None:
        folder = _below(existing_folder(wordnet_dir))
        problem = f"{wordnet_dir}: no WordNet database here (there is no data.noun)"
    else:
        folder = nltk_folder("wordnet", fetch=fetch)
        problem = f"the English WordNet {not_had(fetch=fetch)}"
    if folder is None:
        raise InputError(
            f"{problem}. Name its folder with --wordnet-dir (Debian: apt install wordnet-base, "
            "/usr/share/wordnet), run `python -m nltk.downloader wordnet`, or leave wordnet out "
            "of --sources."
        )
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder}: an incomplete WordNet database without {', '.join(missing)}. "
            "Debian's package wordnet-base has a complete one in /usr/share/wordnet."
        )
    for part in _PARTS_OF_SPEECH:
        if not _is_whole(folder, part):
            raise InputError(
                f"{folder / f'data.{part}'}: cut off: index.{part} has synsets beyond its end. "
                "Install it anew (Debian: apt install --reinstall wordnet-base)."
            )
    return folder


def _below(folder: Path) -> Path | None:
    """Return the WordNet database in a folder or below it: 3.0 if there is, else the nearest."""
    found = sorted(
        (path.parent for path in files_below(folder) if path.name == "data.noun"),
        key=lambda path: (not _is_version_3_0(path), len(path.parts), str(path)),
    )
    return found[0] if found else None


def _is_version_3_0(folder: Path) -> bool:
    """Tell it by the licence at the beginning of the file."""
    with (folder / "data.noun").open("rb") as file:
        return b"WordNet 3.0 Copyright" in file.read(2048)


def _is_whole(folder: Path, part: str) -> bool:
    """Tell whether the last synset of the index, told by its place in bytes, begins in the data."""
    offsets = _OFFSET.findall((folder / f"index.{part}").read_bytes())
    size_bytes = (folder / f"data.{part}").stat().st_size
    return bool(offsets) and int(max(offsets)) < size_bytes


def _folder_reader(folder: Path, opened: list[IO[str]]) -> Any:
    """Return nltk's reader; the files it opens, which it leaves to others to close, are added."""
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

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
            return FolderReader(str(folder), None)
    finally:
        nltk.data.path.remove(str(folder))
