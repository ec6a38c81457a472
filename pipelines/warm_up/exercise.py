"""Every kernel called once on a few bytes, with arguments as its callers give them.

What a command needs is so compiled before it is run, and the machine code that this package ships
is made from the same calls. A kernel is compiled for the kinds of its arguments: where a caller
begins to give others, the call here has to follow.
"""

import bz2
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.curation.hashing.ids import quick_hashes, short_hashes
from curate.curation.lid.identify import CompiledIdentifier, default_lid_model
from curate.curation.lid.marks import marks_of
from curate.curation.matching.index import IndexMatcher, build_index
from curate.curation.matching.substring import as_lines, lines_with
from curate.curation.matching.unit_hashes import hash_fingerprint
from curate.curation.sampling.critical import critical_thresholds
from curate.curation.sampling.postings import Buckets, order_bucket, split_matches
from curate.curation.sampling.sampling import pair_probability
from curate.curation.sampling.tally import EntryRanges, add_kept, probabilities_of_pairs
from curate.curation.sampling.yields import pair_yields
from curate.curation.vectors.hamming import band_bits, near_hashes
from curate.curation.vectors.links import Components
from curate.curation.vectors.perceptual import HASH_BYTES, perceptual_hash
from curate.metadata.ngrams import kernels as ngrams
from curate.metadata.ngrams.counter import NgramCounter
from curate.metadata.ngrams.words import character_classes
from curate.metadata.views.titles import hash_titles
from curate.metadata.wikipedia.bz2_blocks import read_blocks
from curate.training.data.resize_kernels import random_box, resize_box
from curate.training.tars import kernels as tars

__all__ = ["EXERCISES"]

_TEXTS = ["a red dog, at 3.5", "東京 ¿é? e\u0301", ""]


def _match() -> None:
    texts, entries = pa.array(_TEXTS), ["red dog", "dog", "東京", "3.5", "é"]
    hash_fingerprint()
    IndexMatcher(build_index(entries, "standard")).match(texts)
    IndexMatcher(build_index(entries, "metaclip")).match(texts)


def _identify() -> None:
    model = default_lid_model()
    identifier = CompiledIdentifier(Path(model).read_bytes(), model)
    for _ in range(2):  # a text is remembered when it comes again
        identifier.identify(pa.array(_TEXTS))
    identifier.probabilities(pa.array(_TEXTS))
    marks_of(pa.array(_TEXTS))


def _hash() -> None:
    strings = pa.array(["0123456789abcdef01234567", "b", "c"])
    short_hashes(strings)
    short_hashes(strings, strings)
    quick_hashes(strings, 0)


def _sample() -> None:
    from curate.curation.sampling.kernels import add_counts

    ids = pa.array([[0], [0, 1]], pa.list_(pa.uint32()))
    langs, ranges = np.zeros(2, np.int32), EntryRanges(np.array([0]), np.array([2]))
    probability, count = np.array([0.5, 0.5]), np.array([2, 1])
    pair_probability(ids, probability)
    probabilities_of_pairs(ids, langs, ranges, probability)
    add_kept(ids, langs, ranges, np.array([True, False]), count)
    pair_yields(ids, langs, ranges, np.array([0.6, 0.9]), count, np.array([[1, 2]]))
    add_counts(
        ids.offsets.to_numpy().astype(np.int64), ids.values.to_numpy(zero_copy_only=False),
        np.arange(2), count,
    )  # fmt: skip


def _count_words() -> None:
    classes = character_classes("en")
    for is_segmented in (False, True):
        counter = NgramCounter(
            classes, segmented=is_segmented, memory_bytes=1 << 20, spill=lambda _words, _pairs: None
        )
        counter.add("a red\0dog\0" if is_segmented else "a red dog")
        counter.finish()
    slots, hashes = np.zeros(16, np.int32), np.zeros(4, np.uint64)
    ngrams.put_words(slots, hashes, 2)
    ngrams.put_pairs(np.zeros(4, np.uint64), np.zeros(16, np.uint64))


def _read_dumps() -> None:
    hash_titles(pa.chunked_array([["Dog", "Cat"]]))
    list(read_blocks(io.BytesIO(bz2.compress(b"a dog")), 0))


def _read_tars() -> None:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        header = tarfile.TarInfo("0001.txt")
        header.size = 5
        tar.addfile(header, io.BytesIO(b"a dog"))
    data, members = np.frombuffer(memory.getvalue(), np.uint8), np.zeros((8, tars.FIELDS), np.int64)
    tars.scan_plain(data, 0, members, 0)
    tars.describe_name(np.frombuffer(b"a.txt", np.uint8), 0, 5, members[0])
    tars.first_not_zero(data, 1024)
    out, offsets = np.empty(5, np.uint8), np.empty(2, np.int32)
    tars.gather(data, np.array([[512, 5]]), np.frombuffer(b"{}", np.uint8), out, offsets)


def _resize() -> None:
    pixels, out = np.zeros((8, 9, 3), np.uint8), np.empty((3, 4, 4), np.uint8)
    random_box(9, 8, np.uint64(1))
    resize_box(pixels, 0.0, 0.0, 9.0, 8.0, out)


def _browse() -> None:
    lines, _ = as_lines(np.frombuffer(b"red dogdog", np.uint8), np.array([0, 7, 10]), np.arange(2))
    lines_with(lines, b"dog", (0, 1))
    ids = pa.array([[0], [0, 1]], pa.list_(pa.uint32()))
    langs, ranges = np.zeros(2, np.int32), EntryRanges(np.array([0]), np.array([2]))
    for kind in (np.uint32, np.uint64):  # of counts, by the largest of them
        critical_thresholds(ids, langs, ranges, np.array([0.6, 0.6]), np.array([40, 8], kind))
    buckets = Buckets(np.array([0, 2]), np.zeros(1, np.int32), 4)
    entries, pairs, _ = split_matches(ids, langs, ranges, buckets, 0)
    order_bucket(entries, pairs, np.array([2, 1]), np.array([False, True]))


def _compare_vectors() -> None:
    hashes = np.zeros((3, HASH_BYTES), np.uint8)
    list(near_hashes(hashes, hashes, 8, band_bits(3)))
    Components(np.arange(3)).join(np.array([0]), np.array([1]))
    perceptual_hash(np.zeros((64, 48, 3), np.uint8))


# What is exercised, and by what.
EXERCISES: dict[str, Callable[[], None]] = {
    "matching": _match,
    "languages": _identify,
    "hashes": _hash,
    "sampling": _sample,
    "words": _count_words,
    "dumps": _read_dumps,
    "tars": _read_tars,
    "images": _resize,
    "browse": _browse,
    "vectors": _compare_vectors,
}
