"""Vectors of unit length in; out the clusters that each is a member of, so that neighbours meet.

Vectors are turned to the axes along which a sample varies most, and cut there. What decides who
is a member of what is computed with whole numbers in single precision, whose sums are exact in any
order, so that neither threads nor the size of a batch show in it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.curation.vectors.nearest import fit_centres

__all__ = ["AXES", "Clusters", "fit_clusters", "principal_axes"]

AXES = 127
_VECTOR, _AXIS = 2048.0, 4096.0  # what is 1: no partial sum of a product exceeds 2 ** 23
_AXES_ROWS = 1 << 14  # of the sample, that axes are fitted on
_MOST = 4  # clusters of a vector
_REACH = 0.12  # half of what 1 in 10,000 of them exceed, if they are apart in any direction
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Clusters:
    """Where clusters are.

    Attributes:
        axes: orthonormal, shape (E, A).
        centres: of unit length along the axes, in whole numbers of 1 / 4096; shape (K, A).
    """

    axes: NDArray[np.float32]
    centres: NDArray[np.float32]

    def members(
        self, vectors: NDArray[np.float16], least: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the clusters of vectors: of the nearest centre, and of others that are near.

        Another one is near if the border to it is: two vectors with a cosine of `least` are
        sqrt(2 - 2 least) apart, and little of that goes into the one direction across a border. Of
        two that lie on both sides of it, one has to be nearer to it than 0.12 of their distance.

        Args:
            vectors: shape (N, E).
            least: cosine from which on two vectors have to meet.

        Returns:
            Rows and their clusters, at most four a row, by row; shape (num_members,).
        """
        reach = _REACH * np.sqrt(2.0 - 2.0 * least) * _VECTOR
        few = min(_MOST, len(self.centres))
        exact = self.centres.astype(np.float64)
        rows, clusters = [], []
        for first in range(0, len(vectors), _BLOCK):
            block = _along(vectors[first : first + _BLOCK], self.axes)
            products = block @ self.centres.T
            every = np.arange(len(block))
            near, values = np.empty((len(block), few), np.int32), np.empty((len(block), few))
            for place in range(few):
                near[:, place] = products.argmax(axis=1)
                values[:, place] = products[every, near[:, place]]
                products[every, near[:, place]] = -np.inf
            is_member = np.ones(near.shape, bool)
            for place in range(1, few):
                apart = exact[near[:, 0]] - exact[near[:, place]]
                apart = np.sqrt(np.einsum("na,na->n", apart, apart))
                is_member[:, place] = values[:, 0] - values[:, place] <= reach * apart
            rows.append(first + np.nonzero(is_member)[0])
            clusters.append(near[is_member])
        return np.concatenate([np.zeros(0, np.int64), *rows]), np.concatenate(
            [np.zeros(0, np.int32), *clusters]
        )


def principal_axes(sample: NDArray[np.float16], num: int = AXES) -> NDArray[np.float32]:
    """Return the directions that vectors have most of their squared length in.

    Args:
        sample: shape (S, E).
        num: of them.

    Returns:
        Orthonormal, shape (E, min(num, E)); all axes as they are if E is no more than `num`.
    """
    width = sample.shape[1]
    if width <= num:
        return np.eye(width, dtype=np.float32)
    whole = np.rint(sample[:_AXES_ROWS].astype(np.float64) * _VECTOR)
    axes = np.linalg.eigh(whole.T @ whole)[1][:, : -1 - num : -1]
    largest = np.abs(axes).argmax(axis=0)
    return np.ascontiguousarray(axes * np.sign(axes[largest, np.arange(num)]), dtype=np.float32)


def _along(vectors: NDArray[np.float16], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors along axes, in whole numbers of 1 / 2048."""
    whole = vectors.astype(np.float32)
    whole *= _VECTOR
    found: NDArray[np.float32] = np.rint(whole, out=whole) @ np.rint(axes * _AXIS)
    found /= _AXIS
    return np.rint(found, out=found)


def fit_clusters(
    sample: NDArray[np.float16], num: int, *, rows: int, most_rows: int, seed: int
) -> Clusters:
    """Fit clusters to a sample of vectors.

    Those that would have far more vectors than the mean are divided, until none has: what is
    compared in a cluster grows with the square of its size.

    Args:
        sample: shape (S, E).
        num: of clusters, before any is divided.
        rows: vectors that the sample stands for.
        most_rows: of a cluster; those with more are divided into some of half as many.
        seed: of the first centres.
    """
    axes = principal_axes(sample)
    points = np.concatenate(
        [_along(sample[first : first + 8192], axes) for first in range(0, len(sample), 8192)]
    )
    points /= _VECTOR
    centres = fit_centres(points, num, seed=seed)
    most = max(2, most_rows * len(points) // rows)
    open_centres, done = [(centres, points)], []
    while open_centres:
        some, of_some = open_centres.pop()
        given = np.concatenate(
            [(of_some[first : first + 4096] @ some.T).argmax(axis=1)
             for first in range(0, len(of_some), 4096)]
        )  # fmt: skip
        counts = np.bincount(given, minlength=len(some))
        is_large = (counts > most) & (counts < len(of_some))
        done.append(some[~is_large])
        for centre in np.flatnonzero(is_large).tolist():
            inside = of_some[given == centre]
            parts = -(-2 * len(inside) // most)
            open_centres.append((fit_centres(inside, parts, seed=seed), inside))
    return Clusters(axes, np.rint(np.concatenate(done) * _AXIS))
