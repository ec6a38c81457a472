"""How evenly a sample down a tree of clusters covers regions of very different density.

    python -m examples.bench.vectors.tree_of_clusters

Prints, for each number of levels and refits, how many regions of equal share the sample is worth
(exp of the entropy), and the share of the small ones: mean, least and most of six pools.
"""

import sys

import numpy as np
from numpy.typing import NDArray

from curate.curation.vectors.tree import fit_tree, leaf_budgets

REGIONS, LARGE, TARGET, WIDTH = 50, 5, 2500.0, 64
TREES = ((200,), (200, 12), (400, 100, 25))


def pool(seed: int, noise: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return vectors of unit length around centres, and the region of each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(REGIONS, WIDTH))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    region = np.repeat(np.arange(REGIONS), [4000] * LARGE + [100] * (REGIONS - LARGE))
    rows = centres[region] + noise * rng.normal(size=(len(region), WIDTH))
    order = rng.permutation(len(region))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[order].astype(np.float32), region[order]


def covered(
    vectors: NDArray[np.float32], region: NDArray[np.int64], nums: tuple[int, ...], resample: int
) -> tuple[float, float]:
    """Return regions of equal share that a sample is worth, and the share of the small ones."""
    levels = fit_tree(vectors[:12_800], nums, seed=0, resample=resample)
    leaf = (vectors @ levels[0].centres.T).argmax(axis=1)
    sizes = np.bincount(leaf, minlength=nums[0])
    budgets = leaf_budgets(levels, sizes, TARGET)
    probability = np.divide(budgets, sizes, out=np.zeros(nums[0]), where=sizes > 0)[leaf]
    share = np.bincount(region, weights=probability, minlength=REGIONS) / TARGET
    there = share[share > 0]
    return float(np.exp(-(there * np.log(there)).sum())), float(share[LARGE:].sum())


def main() -> None:
    """Print a line for each tree."""
    pools = [pool(seed, noise) for noise in (0.05, 0.1) for seed in range(3)]
    for nums in TREES:
        for resample in (0, 2, 10):
            found = np.array([covered(*one, nums, resample) for one in pools])
            low, high = found[:, 0].min(), found[:, 0].max()
            regions, small = found.mean(axis=0)
            sys.stdout.write(f"{nums} refits {resample}: regions {regions:.1f} ({low:.1f} to "
                             f"{high:.1f}), share of the small ones {small:.2f}\n")  # fmt: skip


if __name__ == "__main__":
    main()
