"""`curate diff A B`: two versions of metadata, or two sets of pairs → what differs.

The way through: kind of both folders → entries, or pairs and the counts of their entries → what
is only in one, what is in both, and how far the distributions over the entries are apart. For two
normalizations, match the same input with each and compare the two folders.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.sampling.sampling import check_threshold
from curate.curation.sampling.shift import (
    align_counts,
    divergence_bits,
    largest_changes,
    moved_share,
    shares,
)
from curate.errors import UsageError
from curate.pipelines.diff.metadata import compare_metadata, flat_differences
from curate.pipelines.diff.pairs import PairDiff, compare_pairs
from curate.pipelines.diff.sides import Side, folder_kind, open_side

__all__ = ["compare_folders"]

_DEFAULT_T = 20_000  # of the paper; balanced sets know their own

Counts = NDArray[np.int64]


def compare_folders(
    a: str, b: str, *, t: int | None = None, num_examples: int = 10, quiet: bool = True
) -> dict[str, Any]:
    """Compare two metadata folders, or two folders of pairs, each matched or balanced.

    Args:
        a: a folder.
        b: another one.
        t: pairs per entry that part head from tail; None for those that the sets were balanced
            with, 20,000 for matches.
        num_examples: entries and pairs to name.
        quiet: no progress.

    Returns:
        JSON-able: kind (metadata, pairs), a, b; of metadata what `compare_metadata` says; of
        pairs: those in both, only in one, and changed (another language or other entries); the
        same per language, with matches, tail share, KL(A‖B) and KL(B‖A) in bits and the share of
        matches that is elsewhere; entries that only one matches; the largest changes; differences
        of parameters.

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
    found: dict[str, Any] = {"kind": "metadata" if is_metadata[0] else "pairs", "a": a, "b": b}
    if is_metadata[0]:
        return found | compare_metadata(a, b, num_examples=num_examples)
    return found | _compare_sides(open_side(a), open_side(b), t, num_examples, quiet)


def _compare_sides(
    a: Side, b: Side, t: int | None, num_examples: int, quiet: bool
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
        }
    whole = [np.concatenate([np.zeros(0, np.int64), *(v[i] for v in aligned.values())])
             for i in (0, 1)]  # fmt: skip
    return {
        "pairs": {**_pairs(diff, None), "repeated_a": diff.repeated[0],
                  "repeated_b": diff.repeated[1]},
        **_shift(*whole),
        "languages": languages,
        "largest_changes": _changes(whole, aligned, a, b, comparable, num_examples),
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
    _, *aligned = align_counts(_entries(a, lang), count_a, _entries(b, lang), count_b)
    return aligned[0], aligned[1]


def _entries(side: Side, lang: str) -> pa.Array:
    return side.entries(lang) if lang in side.counted else pa.array([], pa.string())


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


def _changes(
    whole: list[Counts],
    aligned: dict[str, tuple[Counts, Counts]],
    a: Side,
    b: Side,
    comparable: set[str],
    num: int,
) -> list[dict[str, Any]]:
    """Return the entries whose share of all matches changes most, the largest first."""
    chosen = largest_changes(whole[0], whole[1], num)
    share_a, share_b = shares(whole[0]), shares(whole[1])
    langs = list(aligned)
    ends = np.cumsum([len(aligned[lang][0]) for lang in langs])
    names: dict[str, pa.Array] = {}
    rows = []
    for place in chosen.tolist():
        index = int(np.searchsorted(ends, place, side="right"))
        lang = langs[index]
        if lang not in names:
            names[lang] = _names(lang, a, b, lang in comparable)
        at = place - int(ends[index]) + len(names[lang])
        rows.append(
            {
                "lang": lang,
                "entry": names[lang][at].as_py(),
                "count_a": int(whole[0][place]),
                "count_b": int(whole[1][place]),
                "share_a": float(share_a[place]),
                "share_b": float(share_b[place]),
            }
        )
    return rows


def _names(lang: str, a: Side, b: Side, is_comparable: bool) -> pa.Array:
    entries_a, entries_b = _entries(a, lang), _entries(b, lang)
    if is_comparable:
        return entries_a
    nothing = np.zeros(0, np.int64)
    zeros = [np.zeros(len(e), np.int64) if len(e) else nothing for e in (entries_a, entries_b)]
    return align_counts(entries_a, zeros[0], entries_b, zeros[1])[0]
