"""Which samples of a group make a batch together: by the length of texts, or by entries.

A group of the epoch's order in, the group in another order out, or a part of it. What comes out
depends on the group, on the places before it and on the size of a batch alone: so a run that goes
on finds the same batches, on any number of processes, and nothing has to be stored.

    by length    of all texts of a group those of like length make a batch; batches in an order of
                 their own
    by entries   of each super-batch, so many times as large as a batch, those samples whose rarest
                 entry was seen least in the group before; the others are left out for this epoch
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.errors import InputError, UsageError
from curate.training.data.online import SampleRows
from curate.training.data.sampler import Group, mix

__all__ = [
    "ByEntries",
    "check_batch_by",
    "chooser",
    "ByLength",
    "length_bucket",
    "rarest",
    "same_lengths",
]

_MAX_SUPER_BATCH = 1000
BATCH_BY = ("order", "length", "entries", "diverse")
# Longest text of each bucket, in tokens; longer ones are in the last bucket.
BUCKETS = (8, 12, 16, 20, 24, 32, 40, 56)
BATCHES_OF_GROUP = 16  # by length: fewer, and too many batches hold texts of several buckets


@dataclass(frozen=True, slots=True)
class ByLength:
    """Batches of texts of like length.

    Attributes:
        lengths: returns the tokens of the texts of a group's samples.
        seed: of the order of batches.
    """

    lengths: Callable[[Group], NDArray[np.int64]]
    seed: int
    needs_rows: bool = False
    batches: int = BATCHES_OF_GROUP

    def __call__(self, group: Group, _rows: Sequence[SampleRows | None], batch_size: int) -> Group:
        """Return all samples of the group in another order."""
        salt = xxhash.xxh3_64_intdigest(f"length\t{self.seed}\t{group.epoch}".encode())
        buckets = length_bucket(self.lengths(group))
        return _taken(group, same_lengths(buckets, group.first, batch_size, salt))


@dataclass(frozen=True, slots=True)
class ByEntries:
    """Batches of the samples whose entries are rare.

    Attributes:
        super_batch: samples looked at for each one that is trained on.
        diverse: look at the super-batch alone, and not at what came before it.

    Source: as in concept-aware batch sampling (arXiv:2511.20643), with the exact entries of
    matching in the place of detected concepts.
    """

    super_batch: float
    diverse: bool = False
    needs_rows: bool = True
    batches: int = 1

    def __call__(self, group: Group, rows: Sequence[SampleRows | None], batch_size: int) -> Group:
        """Return the chosen samples in their order; the others are counted as `other_entries`.

        Raises:
            InputError: no sample has entries.
        """
        starts, entries = _entries(group, rows)
        if len(group) and not len(entries):
            raise InputError(
                f"--batch-by entries: none of {len(group)} samples of the shards from "
                f"{group.shards[0].path} to {group.shards[-1].path} has entry_ids in its JSON. "
                "Shards of `curate balance` and `curate download` do; train on others without it."
            )
        chosen = rarest(
            starts, entries, first=group.first, batch_size=batch_size,
            super_batch=self.super_batch, diverse=self.diverse,
        )  # fmt: skip
        found = _taken(group, chosen)
        found.skipped["other_entries"] += len(group) - len(chosen)
        return found


def check_batch_by(batch_by: str, super_batch: float) -> None:
    """Check what makes samples a batch.

    Raises:
        UsageError: there is no such way, or the super-batch is out of range.
    """
    if batch_by not in BATCH_BY:
        raise UsageError(f"--batch-by is {batch_by!r}; expected {', '.join(BATCH_BY)}")
    if not 1 <= super_batch <= _MAX_SUPER_BATCH:
        raise UsageError(
            f"--super-batch is {super_batch}; expected 1 to {_MAX_SUPER_BATCH} pairs that are "
            "looked at for each one that is chosen"
        )


def chooser(batch_by: str, super_batch: float) -> ByEntries | None:
    """Return what leaves samples out; None where all of them are trained on."""
    if batch_by not in ("entries", "diverse"):
        return None
    return ByEntries(super_batch, diverse=batch_by == "diverse")


def _taken(group: Group, at: NDArray[np.int64]) -> Group:
    return replace(group, shard=group.shard[at], number=group.number[at], key=group.key[at])


def length_bucket(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the bucket that texts of so many tokens are in.

    >>> length_bucket(np.array([3, 8, 9, 77])).tolist()
    [0, 0, 1, 8]
    """
    return np.searchsorted(np.array(BUCKETS), lengths)


def same_lengths(
    buckets: NDArray[np.int64], first: int, batch_size: int, salt: int
) -> NDArray[np.int64]:
    """Return an order of samples in which batches hold those of one bucket.

    What completes the batch that the group before has begun, and what begins one for the next, is
    of the bucket that most samples are in: neighbours' is mostly the same. A batch at the border
    of two buckets holds both. Within a batch the order stays, and the order of batches is drawn
    by their number: lanes that are equally far have batches of like length at once.

    Args:
        buckets: of each sample; shape (num_samples,).
        first: place of the first sample in the epoch.
        batch_size: places of a batch.
        salt: of the order of batches.

    >>> same_lengths(np.array([1, 0, 1, 0, 1]), first=3, batch_size=2, salt=0).tolist()
    [0, 2, 4, 1, 3]
    """
    num = len(buckets)
    head = min(-first % batch_size, num)
    num_batches, tail = divmod(num - head, batch_size)
    if not num_batches:
        return np.arange(num)
    usual = int(np.bincount(buckets).argmax())
    near = np.argsort(np.abs(buckets - usual), kind="stable")
    ends, rest = near[: head + tail], np.sort(near[head + tail :])
    rest = rest[np.argsort(buckets[rest], kind="stable")]
    batches = np.sort(rest.reshape(num_batches, batch_size), axis=1)
    numbers = np.arange(num_batches, dtype=np.uint64) + np.uint64((first + head) // batch_size)
    draws = mix(np.uint64(salt) + numbers)
    rank = np.argsort(np.argsort(draws, kind="stable"), kind="stable")
    return np.concatenate([np.sort(ends[:head]), batches[rank].ravel(), np.sort(ends[head:])])


def _entries(
    group: Group, rows: Sequence[SampleRows | None]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the entries of each sample of a group begin, and them as numbers from 0.

    Entries of different languages are different ones.
    """
    known = sorted({lang for one in rows if one is not None
                    for lang in one.lang.unique().to_pylist() if lang is not None})  # fmt: skip
    code = {lang: number for number, lang in enumerate(known, start=1)}
    offsets, values, base = [np.zeros(1, np.int64)], [], [0]
    for one in rows:
        if one is None:  # a shard that is lost has no samples
            base.append(base[-1])
            continue
        ids = one.entry_ids.fill_null([]) if one.entry_ids.null_count else one.entry_ids
        num = ids.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        lang = np.array([code.get(lang, 0) for lang in one.lang.to_pylist()], np.int64)
        values.append((np.repeat(lang, num) << 32) | ids.flatten().to_numpy().astype(np.int64))
        offsets.append(offsets[-1][-1] + np.cumsum(num))
        base.append(base[-1] + len(num))
    starts = np.concatenate(offsets)
    at = np.array(base)[group.shard] + group.number
    num = starts[at + 1] - starts[at]
    ends = np.concatenate([[0], np.cumsum(num)])
    flat = np.arange(ends[-1]) - np.repeat(ends[:-1], num) + np.repeat(starts[at], num)
    together = np.concatenate(values) if values else np.empty(0, np.int64)
    _, numbers = np.unique(together[flat], return_inverse=True)
    return ends, numbers


def rarest(
    starts: NDArray[np.int64], entries: NDArray[np.int64], *, first: int, batch_size: int,
    super_batch: float, diverse: bool,
) -> NDArray[np.int64]:  # fmt: skip
    """Return which samples are chosen, ascending.

    A super-batch is `super_batch` times as many samples as it gives to a batch. A sample counts as
    often seen as its rarest entry: in what was chosen of earlier super-batches, and in the samples
    before it in its own; with `diverse` in the latter alone. The least seen are chosen, of equals
    those that come first; a sample without entries comes last.

    Args:
        starts: where the entries of each sample begin, and their end; shape (num_samples + 1,).
        entries: numbers from 0.
        first: place in the epoch of the first sample that is chosen.
        batch_size: places of a batch.
        super_batch: at least 1.
        diverse: forget what was chosen before.

    >>> starts, entries = np.array([0, 1, 2, 3, 4]), np.array([0, 0, 0, 1])
    >>> rarest(starts, entries, first=0, batch_size=2, super_batch=2, diverse=False).tolist()
    [0, 3]
    """
    num = len(starts) - 1
    seen = np.zeros(int(entries.max()) + 1 if len(entries) else 0, np.int64)
    chosen: list[NDArray[np.int64]] = []
    at, missing = 0, -first % batch_size or batch_size
    while at < num:
        size = round(super_batch * missing)
        if at + size > num:  # what is left fills a part of a batch
            size = num - at
            missing = int(size / super_batch)
        of_batch = slice(starts[at], starts[at + size])
        times = _times_before(entries[of_batch])
        if not diverse:
            times = times + seen[entries[of_batch]]
        score = _least(times, np.diff(starts[at : at + size + 1]))
        some = np.sort(np.argsort(score, kind="stable")[:missing])
        if not diverse:
            is_chosen = np.zeros(size, bool)
            is_chosen[some] = True
            of_chosen = np.repeat(is_chosen, np.diff(starts[at : at + size + 1]))
            np.add.at(seen, entries[of_batch][of_chosen], 1)
        chosen.append(at + some)
        at, missing = at + size, batch_size
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def _times_before(entries: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return of each number how often it stands before.

    >>> _times_before(np.array([7, 3, 7, 7])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(entries, kind="stable")
    found = entries[order]
    is_first = np.ones(len(found), bool)
    is_first[1:] = found[1:] != found[:-1]
    begins = np.maximum.accumulate(np.where(is_first, np.arange(len(found)), 0))
    times = np.empty(len(found), np.int64)
    times[order] = np.arange(len(found)) - begins
    return times


def _least(values: NDArray[np.int64], num: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the least value of each run of so many; a run of none has the largest number.

    >>> _least(np.array([4, 2, 9]), np.array([2, 0, 1])).tolist() == [2, 2**63 - 1, 9]
    True
    """
    found = np.full(len(num), np.iinfo(np.int64).max)
    has_some = num > 0
    begins = np.concatenate([[0], np.cumsum(num)[:-1]])[has_some]
    if len(begins):
        found[has_some] = np.minimum.reduceat(values, begins)
    return found
