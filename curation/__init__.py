"""The core of curation: texts and entries in; languages, matches, counts, probabilities out.

    texts -> lid -> normalize -> matching -> sampling -> datacard

Everything here takes and returns Arrow or numpy arrays: no paths, no clock, no environment and no
state between calls. Names are loaded when they are first used, so that counting needs no matcher
and matching no LID.
"""

from typing import TYPE_CHECKING

from curate.lazy import lazy_names

if TYPE_CHECKING:
    from curate.curation.lid.identify import (
        CompiledIdentifier,
        FastTextIdentifier,
        default_lid_model,
    )
    from curate.curation.matching.index import IndexMatcher, build_index
    from curate.curation.matching.normalize import normalize_entry, normalize_text
    from curate.curation.matching.reference import AhoCorasickMatcher, Matcher, match_by_language
    from curate.curation.sampling.sampling import (
        count_entries,
        hash_draws,
        pair_probability,
        sampling_probability,
        slots,
        tail_share,
        threshold_for_tail_share,
    )

_MODULES = {
    "matching.index": ("IndexMatcher", "build_index"),
    "lid.identify": ("CompiledIdentifier", "FastTextIdentifier", "default_lid_model"),
    "matching.reference": ("AhoCorasickMatcher", "Matcher", "match_by_language"),
    "matching.normalize": ("normalize_entry", "normalize_text"),
    "sampling.sampling": (
        "count_entries",
        "hash_draws",
        "pair_probability",
        "sampling_probability",
        "slots",
        "tail_share",
        "threshold_for_tail_share",
    ),
}

__all__ = [
    "AhoCorasickMatcher",
    "CompiledIdentifier",
    "FastTextIdentifier",
    "IndexMatcher",
    "Matcher",
    "build_index",
    "count_entries",
    "default_lid_model",
    "hash_draws",
    "match_by_language",
    "normalize_entry",
    "normalize_text",
    "pair_probability",
    "sampling_probability",
    "slots",
    "tail_share",
    "threshold_for_tail_share",
]


__getattr__, __dir__ = lazy_names(__name__, _MODULES)
