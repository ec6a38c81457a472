"""`build-metadata --entries FILE`: which list a language gets, and putting it to what was built.

A language's file that differs from what a run would write in nothing but the list is not built
anew: only the own entries in it are replaced.
"""

from collections.abc import Sequence
from typing import Any

from curate.errors import InputError
from curate.files import storage
from curate.metadata.build import BuiltMetadata, LanguageSources
from curate.metadata.own_entries import add_own_entries, read_own_entries, without_own_entries
from curate.pipelines.build_metadata.find_sources import SourceFile
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import OWN_ENTRIES, OWN_FILES

__all__ = [
    "STAMPED",
    "built_before",
    "differs_in_own",
    "languages_with_own",
    "note_own_files",
    "own_files",
    "put_own",
]

STAMPED = OWN_ENTRIES
_LANG = "{lang}"


def note_own_files(built: BuiltMetadata, sources: LanguageSources) -> BuiltMetadata:
    """Note in the report which files somebody put there, where what they are does not tell."""
    if "wordnet" not in sources.kinds or sources.wordnet_dir is None:
        return built
    return BuiltMetadata(built.table, {**built.report, OWN_FILES: ["wordnet"]}, built.measured)


def own_files(pattern: str | None, langs: Sequence[str], *, strict: bool) -> dict[str, SourceFile]:
    """Return the lists of languages.

    Args:
        pattern: of --entries: one list for all, or with ``{lang}`` one for each; None for none.
        langs: metadata languages.
        strict: whether every language has to have its list.

    Raises:
        InputError: there is no such file.
    """
    if pattern is None:
        return {}
    strict = strict or _LANG not in pattern
    found = {lang: SourceFile(path=pattern.replace(_LANG, lang)) for lang in langs}
    here = {path: storage.exists(path) for path in {file.path for file in found.values()}}
    missing = sorted(path for path, is_here in here.items() if not is_here)
    if missing and strict:
        raise InputError(
            f"{missing[0]}: there is no such file. --entries takes a file of one entry a line, or "
            "Parquet with a column entry; {lang} in its name stands for the language."
        )
    return {lang: file for lang, file in found.items() if here[file.path]}


def languages_with_own(pattern: str | None, langs: Sequence[str]) -> frozenset[str]:
    """Return the languages of which there is a list of their own, for ``--lang all``."""
    if pattern is None or _LANG not in pattern:
        return frozenset()
    return frozenset(own_files(pattern, langs, strict=False))


def differs_in_own(made_from: dict[str, Any], stamp: dict[str, Any]) -> bool:
    """Tell whether the list is all that differs in what two files of a language are made from."""
    before, now = ({k: v for k, v in s.items() if k != STAMPED} for s in (made_from, stamp))
    same_list = not artifacts.describe_difference(made_from.get(STAMPED), stamp.get(STAMPED))
    return not same_list and not artifacts.describe_difference(before, now)


def built_before(path: str, stamp: dict[str, Any]) -> BuiltMetadata | None:
    """Return what the sources gave, out of a language's file that differs in the list alone.

    Args:
        path: of the language's file.
        stamp: what it is to be made from.

    Returns:
        None if there is no such file.
    """
    if not storage.exists(path):
        return None
    found = artifacts.read_stamp(path)
    if not differs_in_own(found["made_from"], stamp):
        return None
    report = {key: value for key, value in found["report"].items() if key != STAMPED}
    return BuiltMetadata(without_own_entries(artifacts.read_table(path)), report)


def put_own(built: BuiltMetadata, own: SourceFile | None, max_characters: int) -> BuiltMetadata:
    """Put a list to what the sources of a language gave.

    Raises:
        InputError: the list cannot be read, or has no usable entry.
    """
    if own is None:
        return built
    entries = read_own_entries(own.path)
    try:
        table, report = add_own_entries(built.table, entries, max_characters)
    except InputError as error:
        raise InputError(f"{own.path}: {error}") from error
    return BuiltMetadata(table, {**built.report, STAMPED: report}, built.measured)
