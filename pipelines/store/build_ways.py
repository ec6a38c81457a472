"""How languages that lack are added to metadata: by the options that those there were built with.

What a folder was built with is noted in `.curate` beside it, and sealed, for it is suggested to be
typed. Without a note the sources of the manifest and the defaults are suggested.
"""

from collections.abc import Sequence
from typing import Any

from curate.errors import InputError
from curate.files import storage
from curate.files.paths import beside, join
from curate.files.remedies import called, suggest
from curate.files.seal import is_sealed, seal
from curate.metadata.languages import metadata_languages, omw_codes
from curate.metadata.wordnets.wordnet import wordnet_languages

__all__ = ["note_in_memory", "note_way", "ways_to_build"]

_FILE = "built_with.json"
# What of a build is the same for another language.
_KEPT = (
    "wordnet_dir", "offline", "contact", "mirror", "dumps", "pageviews", "corpus", "dumps_layout",
)  # fmt: skip
_ONLY_WORDNET = ("wordnet",)


def note_way(folder: str) -> None:
    """Note what a folder of metadata was built with, if a command or its function did."""
    if called().command == "build-metadata":
        options = {name: value for name, value in called().options.items() if name in _KEPT}
        _write(folder, {"options": {name: str(value) for name, value in options.items()}})


def note_in_memory(folder: str) -> None:
    """Note that a folder holds the entries of a dictionary, which alone can be added to."""
    _write(folder, {"in_memory": True})


def _write(folder: str, note: dict[str, Any]) -> None:
    try:
        storage.write_json(join(beside(folder), _FILE), {**note, "seal": seal(["built", note])})
    except OSError:
        return  # a note is a convenience: metadata may be in a place that is written once


def _read(folder: str) -> dict[str, Any]:
    path = join(beside(folder), _FILE)
    found = storage.read_json(path) if storage.exists(path) else None
    if not isinstance(found, dict):
        return {}
    note = {name: value for name, value in found.items() if name != "seal"}
    return note if is_sealed(["built", note], found.get("seal")) else {}


def ways_to_build(folder: str, kinds: Sequence[str], langs: Sequence[str]) -> list[str]:
    """Say how to add languages to a folder of metadata, in sentences without their full stops.

    Args:
        folder: of metadata.
        kinds: of sources that its languages were built from; none for all of them.
        langs: that lack.
    """
    note = _read(folder)
    known = metadata_languages()
    langs = [lang for lang in langs if lang in known]
    if note.get("in_memory"):
        return [f"add {', '.join(map(repr, langs))} to metadata="] if langs else []
    options = {name: value for name, value in dict(note.get("options", {})).items()
               if name in _KEPT and isinstance(value, str)}  # fmt: skip
    here, elsewhere, beyond = langs, [], []
    online = {name: value for name, value in options.items() if name in ("contact", "mirror")}
    if tuple(kinds) == _ONLY_WORDNET:
        with_one = [lang for lang in langs if lang == "en" or omw_codes(lang)]
        here = _in_folder(with_one, options.get("wordnet_dir"))
        elsewhere = [lang for lang in with_one if lang not in here]
        beyond = [lang for lang in langs if lang not in with_one]
    them = "it" if len(langs) == 1 else "them"
    ways = []
    if here:
        sources = ("--sources", ",".join(kinds)) if kinds else ()
        ways.append(f"build {them} with: {_command(here, options, *sources)}")
    if elsewhere:
        command = _command(elsewhere, online, "--sources", "wordnet")
        where = options["wordnet_dir"]
        ways.append(f"{', '.join(elsewhere)}: not in {where}, but nltk fetches them: {command}")
    if beyond:
        command = _command(beyond, online, "--sources", "unigram,bigram,title")
        ways.append(f"WordNet has no {', '.join(beyond)}; from Wikipedia: {command}")
    return ways


def _in_folder(langs: list[str], wordnet_dir: str | None) -> list[str]:
    """Return the languages whose WordNet a folder holds; all without one, for nltk fetches them."""
    if wordnet_dir in (None, "None"):
        return langs
    try:
        there = wordnet_languages(wordnet_dir)
    except InputError:  # it is gone
        return []
    return [lang for lang in langs if lang in there]


def _command(langs: Sequence[str], options: dict[str, str], *more: str) -> str:
    words = ["--lang", ",".join(langs), *more]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value == "True" else [option, value] if value != "False" else []
    return suggest("build-metadata", *words)
