"""Metadata: WordNet, Wikipedia and its page views in, the entries of each language out.

What comes in are files (`dump`, `pageviews`, `wordnet`); what goes out is an Arrow table per
language (entry, source, score), whose row numbers are the entry ids. Nothing here knows of
workspaces or of texts to match.

    dump -> wikitext -> words -> ngrams --+
    pageviews ----------------------------+-> build -> entries
    wordnet ------------------------------+

The names below are loaded when they are first used: languages and errors are needed where Arrow
and the readers of the sources are not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError

if TYPE_CHECKING:
    from curate.metadata.build import BuiltMetadata, LanguageSources, build_language
    from curate.metadata.entries import Thresholds, metadata_hash, union_entries
    from curate.metadata.languages import (
        WIKIPEDIA_CODES,
        metadata_language,
        metadata_languages,
        unreached_languages,
        wikis_of,
    )
    from curate.metadata.wikipedia.pageviews import count_views

__all__ = [
    "WIKIPEDIA_CODES",
    "BuiltMetadata",
    "CurateError",
    "LanguageSources",
    "Thresholds",
    "build_language",
    "count_views",
    "metadata_hash",
    "metadata_language",
    "metadata_languages",
    "union_entries",
    "unreached_languages",
    "wikis_of",
]

_MODULES = {
    "build": ("BuiltMetadata", "LanguageSources", "build_language"),
    "entries": ("Thresholds", "metadata_hash", "union_entries"),
    "languages": (
        "WIKIPEDIA_CODES",
        "metadata_language",
        "metadata_languages",
        "unreached_languages",
        "wikis_of",
    ),
    "wikipedia.pageviews": ("count_views",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"curate.metadata.{module}"), name)
    raise AttributeError(f"module 'curate.metadata' has no attribute {name!r}")
