"""Which pairs an expert is trained on: those of its cluster, and a share of all others.

A pair from outside is drawn anew in each epoch, by a hash of its id: neither shards, ranks nor
other experts have a part in it.

Source: Ma et al. 2024, arXiv:2404.16030, section 3.2; the share is that of the published code.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.curation.sampling.sampling import hash_draws
from curate.training.experts.index import UNKNOWN, ClusterIndex

__all__ = ["Expert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """Decides which pairs an expert is trained on.

    Attributes:
        cluster: that it is of.
        outside: chance of a pair of another cluster, in each epoch; 0 to 1.
        seed: of the draws.
        index: the clusters of all pairs.
    """

    cluster: int
    outside: float
    seed: int
    index: ClusterIndex

    def decide(
        self, pair_ids: pa.StringArray, epoch: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Decide over pairs.

        Args:
            pair_ids: without nulls, shape (n,).
            epoch: from 0.

        Returns:
            Whether a pair is in any cluster, and whether it is trained on; each of shape (n,).
        """
        cluster = self.index.clusters_of(pair_ids)
        is_known = cluster != UNKNOWN
        salt = f"expert\t{self.seed}\t{epoch}\t{self.cluster}".encode()
        is_drawn = hash_draws(pair_ids, xxhash.xxh3_64_intdigest(salt)) < self.outside
        return is_known, is_known & ((cluster == self.cluster) | is_drawn)
