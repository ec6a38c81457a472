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

from typing import TYPE_CHECKING

from curate.errors import CurateError
from curate.lazy import lazy_names

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
    from curate.metadata.views.pageviews import count_views

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
    "views.pageviews": ("count_views",),
}


__getattr__, __dir__ = lazy_names(__name__, _MODULES)
