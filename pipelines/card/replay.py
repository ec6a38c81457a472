"""The commands that make a balanced set again: its plan and the metadata's manifest in."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from curate.curation.lid.opinions import SECOND_OPINIONS
from curate.files import storage
from curate.metadata.entries import Thresholds
from curate.metadata.languages import OTHER
from curate.pipelines.matched.notes import noted_metadata
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import KINDS, OWN_ENTRIES, OWN_FILES

__all__ = ["replay_command"]

_NOTE = "# In a new workspace: data/, or add -w FOLDER to each."
_FOREIGN = "# In capitals: files of your own; manifest.json names them, with checksums."
_OWN = {"dumps": "--dumps", "pageviews": "--pageviews", "wordnet": "--wordnet-dir"}
_UNKNOWN = "# The options of the metadata stand in its manifest.json, which is not here."


def replay_command(plan: MatchedPlan, parameters: Mapping[str, Any]) -> str:
    """Return the commands that give the same pairs from the same inputs and metadata.

    Where the workspace is they do not say: the same set has the same card wherever it is made.

    Args:
        plan: of `matched/`.
        parameters: that the set was balanced with.
    """
    match = ["curate", "match", *(i["path"] for i in plan.inputs)]
    match += ["--normalization", plan.parameters["normalization"]]
    if plan.parameters["lang"]:
        match += ["--lang", plan.parameters["lang"]]
    match += _lid_words(plan.parameters)
    for role, name in plan.parameters["columns"].items():
        match += [f"--{role}-column", name] if name is not None else []
    for one in plan.parameters.get("filters", []):
        match += ["--filter", one["filter"]]
    balance = ["curate", "balance", "--t", str(parameters["t"])]
    if parameters.get("exact"):
        balance[2:] = ["--target-pairs", str(parameters["target_pairs"]), "--exact"]
    if parameters["reference_lang"]:
        balance += ["--reference-lang", parameters["reference_lang"]]
    for one in parameters.get("filters", []):
        balance += ["--filter", one["filter"]]
    balance += ["--seed", str(parameters["seed"]), "--format", parameters["format"]]
    if parameters["pairs_per_shard"]:
        balance += ["--pairs-per-shard", str(parameters["pairs_per_shard"])]
        balance += ShardOptions.from_dict(parameters["shards"]).as_arguments()
    return "\n".join([_NOTE, *_build_lines(plan), *map(shlex.join, (match, balance))])


def _lid_words(parameters: Mapping[str, Any]) -> list[str]:
    """Return the options of language identification; a model of the user's own has no name here."""
    if parameters["lang"]:
        return []
    if "lid" not in parameters:
        return ["--lid", "published"]
    lid = parameters["lid"]
    names = {package: name for name, (package, _) in SECOND_OPINIONS.items()}
    second = names.get(lid["second"].partition(" ")[0], lid["second"])
    words = ["--second-opinion", second if second in ("none", *names.values()) else "MODEL"]
    if lid["no_language"] != "drop":
        words += ["--no-language", lid["no_language"]]
    if lid["prior_column"] is not None:
        words += ["--prior-column", lid["prior_column"]]
    return words + (["--address-prior"] if lid["address_prior"] else [])


def _build_lines(plan: MatchedPlan) -> list[str]:
    """Return the commands that build the metadata, one for languages that were built alike."""
    hashes = {lang: sha for lang, sha in plan.parameters["metadata"].items() if lang != OTHER}
    alike: dict[tuple[str, ...], list[str]] = {}
    for lang, made_from in _made_from(plan, hashes):
        alike.setdefault(tuple(_options(lang, made_from)), []).append(lang)
    if not alike:
        langs = ",".join(sorted(hashes))
        return [_UNKNOWN, shlex.join(["curate", "build-metadata", "--lang", langs])]
    return [_FOREIGN] + [
        shlex.join(["curate", "build-metadata", "--lang", ",".join(langs), *options])
        for options, langs in alike.items()
    ]


def _made_from(
    plan: MatchedPlan, hashes: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what each language was made from, if the metadata beside the matches is theirs."""
    folder = noted_metadata(plan.folder)
    if folder is None:
        return
    languages = artifacts.read_json(storage.join(folder, "manifest.json"))["languages"]
    found = {lang: languages.get(lang, {}) for lang in sorted(hashes)}
    if all(found[lang].get("sha256") == hashes[lang] and "made_from" in found[lang]
           for lang in found):  # fmt: skip
        for lang, values in found.items():
            yield lang, {**values["made_from"], OWN_FILES: values["report"].get(OWN_FILES, ())}


def _options(lang: str, made_from: Mapping[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in KINDS if kind in made_from.get("kinds", ())]
    if kinds != list(KINDS):
        yield from ("--sources", ",".join(kinds) or "none")
    usual, used = Thresholds.for_language(lang), made_from.get("thresholds", {})
    for field in fields(Thresholds):
        value = used.get(field.name)
        if value is not None and value != getattr(usual, field.name):
            yield from (f"--{field.name.replace('_', '-')}", str(value))
    yield from _own_files(made_from)


def _own_files(made_from: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options for what somebody put there, in whose place a word in capitals stands.

    What was fetched has an address. Where nothing was, nothing is to be.
    """
    fetched = [one for what in ("dumps", "pageviews") for one in made_from.get(what) or ()
               if one.get("url")]  # fmt: skip
    own = [what for what in _OWN
           if what in made_from[OWN_FILES] or any(not one.get("url")
           for one in (made_from.get(what) or () if what != "wordnet" else ()))]  # fmt: skip
    for what in own:
        yield from (_OWN[what], what.upper())
    if made_from.get(OWN_ENTRIES):
        yield from ("--entries", "ENTRIES")
    has_nltk = bool(made_from.get("wordnet")) and "wordnet" not in own
    if (own or made_from.get(OWN_ENTRIES)) and not fetched and not has_nltk:
        yield "--offline"
