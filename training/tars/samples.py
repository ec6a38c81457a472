"""Members of a tar in, its samples out: which files belong together, and what each of them is.

Members of one key are a sample. They mostly are neighbours, as WebDataset writes them; where they
are not, they are put together if that can be meant in one way only:

- a suffix that comes again among neighbours begins another sample of that key;
- members of a key that are no neighbours are one sample if no suffix is there twice;
- or they are samples of their own if each group of neighbours has the same suffixes (tars that were
  written one behind the other);
- anything else is one sample that is *unclear*: what belongs together, nobody can tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.training.tars import kernels as k
from curate.training.tars.members import Members, TarBytes

__all__ = ["TarSamples", "find_samples"]

_SHOWN = 6
_EMPTY = 10  # more than a rank, less than COMPOUND


@dataclass(frozen=True, slots=True)
class TarSamples:
    """The samples of a tar, in the order of their first members.

    Attributes:
        members: of the tar.
        order: numbers of the members, those of a sample one after the other.
        starts: where each sample begins in `order`, and its end; shape (num_samples + 1,).
        image, text, json: the member that plays this part in each sample, -1 without one.
        is_unclear: what belongs to the sample, or what its text is, cannot be told.
    """

    members: Members
    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    image: NDArray[np.int64]
    text: NDArray[np.int64]
    json: NDArray[np.int64]
    is_unclear: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def members_of(self, sample: int) -> list[int]:
        """Return the numbers of a sample's members."""
        numbers: list[int] = self.order[self.starts[sample] : self.starts[sample + 1]].tolist()
        return numbers

    def key(self, source: TarBytes, sample: int) -> str:
        r"""Return a sample's key with its folders; bytes that are no UTF-8 are spelled out."""
        key, _ = self.members.key_and_suffix(source, int(self.order[self.starts[sample]]))
        return key.decode("utf-8", "backslashreplace")

    def suffixes(self, source: TarBytes, sample: int) -> Iterator[tuple[str, int]]:
        """Yield the suffix of each member of a sample, in lower case, and the member's number."""
        for number in self.members_of(sample):
            yield self.members.key_and_suffix(source, number)[1], number

    def place(self, member: int) -> tuple[int, int]:
        """Return where a member's content begins and how many bytes it has."""
        at, size = self.members.table[member, [k.CONTENT, k.SIZE]].tolist()
        return at, size

    def problem(self, source: TarBytes, sample: int) -> str:
        """Return what to say of a sample that is unclear, or has no text."""
        found = sorted({suffix for suffix, _ in self.suffixes(source, sample)})
        shown = ", ".join(f".{s.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')}"
                          for s in found[:_SHOWN])  # fmt: skip
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        key = self.key(source, sample)
        return (
            f"key {key!r} has the suffixes {shown}{more}; expected one of .txt, .text, .caption, "
            "or a .json with a text. A key ends at the first point of a file's name, and the files "
            "of a key belong together, each suffix once"
        )


def find_samples(members: Members) -> TarSamples:
    """Put the members of a tar together to samples; those that are no data are left out."""
    table = members.table
    data = np.flatnonzero(table[:, k.KIND] != k.PASSED_OVER)
    run = _runs(table[data])
    sample, unclear = _joined(table[data], run)
    in_order = np.argsort(sample, kind="stable")
    sample_of, order = sample[in_order], data[in_order]
    num = int(sample_of[-1]) + 1 if len(sample_of) else 0
    starts = np.searchsorted(sample_of, np.arange(num + 1))
    parts = [_part(table[order], sample_of, order, kind, num) for kind in (k.IMAGE, k.TEXT, k.JSON)]
    is_unclear = np.zeros(num, bool)
    is_unclear[unclear] = True
    (image, _), (text, open_text), (json, open_json) = parts
    # Of several texts by the last part of their suffixes alone, none can be chosen.
    is_unclear |= (text < 0) & (json < 0) & (open_text | open_json)
    for part in (image, text, json):
        part[is_unclear] = -1
    return TarSamples(members, order, starts, image, text, json, is_unclear)


def _runs(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the run of neighbours each member is in; a suffix that comes again begins another."""
    keys, suffixes = table[:, k.KEY_HASH], table[:, k.SUFFIX_HASH]
    begins = np.ones(len(table), bool)
    begins[1:] = keys[1:] != keys[:-1]
    run = np.cumsum(begins) - 1
    by_suffix = np.lexsort((suffixes, run))
    run_of, suffix_of = run[by_suffix], suffixes[by_suffix]
    twice = (run_of[1:] == run_of[:-1]) & (suffix_of[1:] == suffix_of[:-1])
    if twice.any():
        for number in np.unique(run_of[1:][twice]).tolist():
            seen: set[int] = set()
            for at in range(*np.searchsorted(run, [number, number + 1]).tolist()):
                if int(suffixes[at]) in seen:
                    begins[at], seen = True, set()
                seen.add(int(suffixes[at]))
        run = np.cumsum(begins) - 1
    return run.astype(np.int64)


def _joined(
    table: NDArray[np.int64], run: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[int]]:
    """Return the sample of each member, and the samples that are unclear."""
    if not len(run):
        return run, []
    first = np.flatnonzero(np.r_[True, run[1:] != run[:-1]])
    keys, inverse, num_runs = np.unique(
        table[first, k.KEY_HASH], return_inverse=True, return_counts=True
    )
    if len(keys) == len(first):
        return run, []
    target = np.arange(len(first))
    unclear: set[int] = set()
    stop = np.r_[first[1:], len(run)]
    by_key = np.argsort(inverse, kind="stable")
    ends = np.cumsum(num_runs)
    for key in np.flatnonzero(num_runs > 1).tolist():
        runs = by_key[ends[key] - num_runs[key] : ends[key]].tolist()
        suffixes = [frozenset(table[first[r] : stop[r], k.SUFFIX_HASH].tolist()) for r in runs]
        if len(set(suffixes)) == 1:
            continue  # samples of their own
        target[runs] = runs[0]
        if sum(map(len, suffixes)) != len(frozenset().union(*suffixes)):
            unclear.add(runs[0])
    kept, numbered = np.unique(target, return_inverse=True)
    return numbered[run], [int(np.searchsorted(kept, r)) for r in sorted(unclear)]


def _part(
    table: NDArray[np.int64],
    sample: NDArray[np.int64],
    order: NDArray[np.int64],
    kind: int,
    num: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the member that is each sample's image, text or JSON; and where none can be chosen.

    The suffix itself goes before one whose last part says so, of which there has to be only one.
    """
    chosen, is_open = np.full(num, -1, np.int64), np.zeros(num, bool)
    of_kind = np.flatnonzero(table[:, k.KIND] == kind)
    if not len(of_kind):
        return chosen, is_open
    # What is empty says nothing, where there is another.
    ranks = table[of_kind, k.RANK] + _EMPTY * (table[of_kind, k.SIZE] == 0)
    samples = sample[of_kind]
    by_rank = np.lexsort((ranks, samples))
    of_kind, ranks, samples = of_kind[by_rank], ranks[by_rank], samples[by_rank]
    is_first = np.r_[True, samples[1:] != samples[:-1]]
    num_of = np.diff(np.r_[np.flatnonzero(is_first), len(samples)])
    best = ranks[is_first]
    usable = (best < k.COMPOUND) | (num_of == 1)
    chosen[samples[is_first][usable]] = order[of_kind[is_first][usable]]
    is_open[samples[is_first][~usable]] = True
    return chosen, is_open
