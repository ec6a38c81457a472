"""`curate diff A B`: two versions of metadata, or two sets of pairs → what differs.

The way through: kind of both folders → entries, or pairs and the counts of their entries → what
is only in one, what is in both, and how far the distributions over the entries are apart. For two
normalizations, match the same input with each and compare the two folders.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.curation.sampling.sampling import check_threshold
from curate.curation.sampling.shift import align_counts, divergence_bits, moved_share
from curate.errors import UsageError
from curate.pipelines.diff.entries import Counts, EntryChanges, entries_of, gains_and_losses
from curate.pipelines.diff.metadata import compare_metadata, flat_differences
from curate.pipelines.diff.pairs import PairDiff, compare_pairs
from curate.pipelines.diff.sides import Side, folder_kind, open_side

__all__ = ["compare_folders"]

_DEFAULT_T = 20_000  # of the paper; balanced sets know their own


def compare_folders(
    a: str, b: str, *, t: int | None = None, num_examples: int = 10, entries: str | None = None,
    quiet: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Compare two metadata folders, or two folders of pairs, each matched or balanced.

    Args:
        a: a folder.
        b: another one.
        t: pairs per entry that part head from tail; None for those that the sets were balanced
            with, 20,000 for matches.
        num_examples: entries and pairs to name.
        entries: Parquet file to write, of the entries whose counts differ.
        quiet: no progress.

    Returns:
        JSON-able: kind (metadata, pairs), a, b; of metadata what `compare_metadata` says; of
        pairs: those in both, only in one, and changed (another language or other entries); the
        same per language, with matches, tail share, KL(A‖B) and KL(B‖A) in bits and the share of
        matches that is elsewhere; entries that only one matches, that gain matches from A to B and
        that lose some, in all and among those of A's tail; the largest changes; the entries of A's
        tail that gain most; differences of parameters.

    Raises:
        UsageError: entries and pairs cannot be compared, or a folder is neither.
        ArtifactError: what wrote them has not come to its end.
    """
    is_metadata = [folder_kind(folder) == "metadata" for folder in (a, b)]
    if is_metadata[0] != is_metadata[1]:
        raise UsageError(
            f"{a} is {folder_kind(a)} and {b} is {folder_kind(b)}; expected metadata of both, or "
            "pairs of both"
        )
    if num_examples < 0:
        raise UsageError(f"--examples is {num_examples}; expected at least 0")
    if t is not None:
        check_threshold(t)
    if entries is not None and is_metadata[0]:
        raise UsageError("--entries is of the counts of pairs; two metadata folders have none")
    found: dict[str, Any] = {"kind": "metadata" if is_metadata[0] else "pairs", "a": a, "b": b}
    if is_metadata[0]:
        return found | compare_metadata(a, b, num_examples=num_examples)
    return found | _compare_sides(open_side(a), open_side(b), t, num_examples, entries, quiet)


def _compare_sides(
    a: Side, b: Side, t: int | None, num_examples: int, entries: str | None, quiet: bool
) -> dict[str, Any]:
    both = a.counted.keys() & b.counted.keys()
    comparable = {lang for lang in both if a.entry_hash(lang) == b.entry_hash(lang)}
    diff = compare_pairs(a, b, comparable, num_examples=num_examples, quiet=quiet)
    languages, aligned = {}, {}
    for lang in sorted({*diff.counts_a, *diff.counts_b}):
        aligned[lang] = _aligned(lang, a, b, diff, lang in comparable)
        languages[lang] = {
            "pairs": _pairs(diff, lang),
            **_shift(*aligned[lang]),
            "a": _tail(a, lang, diff.counts_a.get(lang), t),
            "b": _tail(b, lang, diff.counts_b.get(lang), t),
            **gains_and_losses(*aligned[lang], _is_tail(a, lang, t, len(aligned[lang][0]))),
        }
    changes = EntryChanges(a, b, aligned, comparable, lambda lang, num: _is_tail(a, lang, t, num))
    if entries is not None:
        changes.write(entries)
    whole = [np.concatenate([np.zeros(0, np.int64), *(v[i] for v in aligned.values())])
             for i in (0, 1)]  # fmt: skip
    return {
        "pairs": {**_pairs(diff, None), "repeated_a": diff.repeated[0],
                  "repeated_b": diff.repeated[1]},
        **_shift(*whole),
        "languages": languages,
        "largest_changes": changes.largest(whole, num_examples),
        "tail_gained": changes.gained_in_tail(num_examples),
        "examples_only_a": diff.examples_a,
        "examples_only_b": diff.examples_b,
        "differences": flat_differences(a.parameters, b.parameters),
    }  # fmt: skip


def _pairs(diff: PairDiff, lang: str | None) -> dict[str, int]:
    """Return numbers of pairs of a language, or of all; an id counts once."""
    counters = {"both": diff.both, "only_a": diff.only_a, "only_b": diff.only_b,
                "changed": diff.changed}  # fmt: skip
    return {n: c.total() if lang is None else c[lang] for n, c in counters.items()}


def _aligned(
    lang: str, a: Side, b: Side, diff: PairDiff, is_comparable: bool
) -> tuple[Counts, Counts]:
    """Return the counts of a language on both sides, of the same entries in the same order."""
    count_a, count_b = (
        counts.get(lang, np.zeros(side.num_entries(lang) if lang in side.counted else 0, np.int64))
        for side, counts in ((a, diff.counts_a), (b, diff.counts_b))
    )
    if is_comparable:
        return count_a, count_b
    _, *aligned = align_counts(entries_of(a, lang), count_a, entries_of(b, lang), count_b)
    return aligned[0], aligned[1]


def _shift(count_a: Counts, count_b: Counts) -> dict[str, Any]:
    return {
        "matches_a": int(count_a.sum()),
        "matches_b": int(count_b.sum()),
        "entries_only_a": int(np.count_nonzero((count_a > 0) & (count_b == 0))),
        "entries_only_b": int(np.count_nonzero((count_a == 0) & (count_b > 0))),
        "kl_a_b_bits": divergence_bits(count_a, count_b),
        "kl_b_a_bits": divergence_bits(count_b, count_a),
        "moved_share": moved_share(count_a, count_b),
    }


def _tail(side: Side, lang: str, count: Counts | None, t: int | None) -> dict[str, Any]:
    """Return t and the share of a side's matches that belong to entries counted less often.

    Head and tail are those of the matched pairs, also where the set is balanced.
    """
    t = t or (side.t_of.get(lang) if side.kind == "balanced" else _DEFAULT_T)
    if count is None or t is None or not count.any():
        return {"t": t, "tail_share": None}
    is_tail = side.matched_counts(lang) < t
    return {"t": t, "tail_share": float(count[is_tail].sum() / count.sum())}


def _is_tail(side: Side, lang: str, t: int | None, num: int) -> NDArray[np.bool_]:
    """Tell which of aligned entries are of a side's tail: those that it lacks are too."""
    found = np.ones(num, bool)
    t = t or (side.t_of.get(lang) if side.kind == "balanced" else _DEFAULT_T)
    if t is not None and lang in side.counted:
        count = side.matched_counts(lang)
        found[: len(count)] = count < t
    return found
