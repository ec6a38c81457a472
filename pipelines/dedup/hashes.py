"""Things in; out which of them have the same bytes as others, or all but the same hash."""

import numpy as np
from numpy.typing import NDArray

from curate.curation.vectors.hamming import band_bits, near_hashes
from curate.curation.vectors.links import NO_LINK, Components, link_groups
from curate.curation.vectors.perceptual import HASH_BYTES, ORIENTATIONS, turned_hashes
from curate.pipelines.dedup.things import Things
from curate.pipelines.views.progress import progress

__all__ = ["exact_links", "hash_distances", "perceptual_links"]

_AT_ONCE = 1 << 16


def exact_links(things: Things) -> NDArray[np.int64]:
    """Link things to the best one whose image has the same bytes; shape (num_things,)."""
    words = things.exact.view(np.uint64).reshape(-1, 2)
    has_bytes = words.any(axis=1)
    group = np.full(len(things), -1, np.int64)
    if has_bytes.any():
        group[has_bytes] = np.unique(words[has_bytes], axis=0, return_inverse=True)[1].reshape(-1)
    return link_groups(np.argsort(things.rank), group)


def perceptual_links(
    things: Things, left: NDArray[np.bool_], *, distance: int, turned: bool, quiet: bool
) -> NDArray[np.int64]:
    """Link things to the best one of the component that their hash is in.

    Args:
        things: all of them.
        left: which of them have not fallen yet.
        distance: bits that the hashes of two may differ in.
        turned: also of one and the other mirrored or turned by quarters.
        quiet: no progress.

    Returns:
        Shape (num_things,).
    """
    links = np.full(len(things), NO_LINK, np.int64)
    there = np.flatnonzero(left & things.has_hash)
    if not len(there):
        return links
    # Those of one hash first: their pairs would be too many.
    rank = things.rank[there]
    _, group = np.unique(things.hashes[there], axis=0, return_inverse=True)
    same = link_groups(np.argsort(rank), group.reshape(-1))
    links[there[same >= 0]] = there[same[same >= 0]]
    there = there[same < 0]
    components = Components(things.rank[there])
    hashes, bits = np.ascontiguousarray(things.hashes[there]), band_bits(len(there))
    ways = range(len(ORIENTATIONS) if turned else 1)
    for way in progress(ways, total=len(ways), label="compare", unit="turn", quiet=quiet):
        probes = hashes if way == 0 else turned_hashes(hashes, way)
        for one, other, _ in near_hashes(hashes, probes, distance, bits):
            components.join(one, other)
    found = components.links()
    links[there[found >= 0]] = there[found[found >= 0]]
    return links


def hash_distances(
    things: Things, left: NDArray[np.int64], right: NDArray[np.int64], *, turned: bool
) -> NDArray[np.int64]:
    """Return in how many bits the hashes of things differ, the best way turned; shape (N,)."""
    distances = np.full(len(left), 8 * HASH_BYTES, np.int64)
    for first in range(0, len(left), _AT_ONCE):
        piece = slice(first, first + _AT_ONCE)
        a, b = things.hashes[left[piece]], things.hashes[right[piece]]
        for way in range(len(ORIENTATIONS) if turned else 1):
            differ = np.unpackbits(turned_hashes(a, way) ^ b, axis=1).sum(axis=1)
            distances[piece] = np.minimum(distances[piece], differ)
    return distances
