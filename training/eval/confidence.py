"""How sure a share of hits is: intervals that go with every figure of an evaluation."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["bootstrap_interval", "mean_interval", "mean_of_shares_interval", "wilson_interval"]

_Z_95 = 1.959963984540054
_RESAMPLES = 1000
_SEED = 0


def wilson_interval(hits: int, num: int) -> tuple[float, float]:
    """95 % interval of a binomial share, for queries that do not depend on each other.

    Args:
        hits: successes.
        num: trials; 0 gives (0, 1).

    Returns:
        Lower and upper bound, in [0, 1].

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> [round(bound, 4) for bound in wilson_interval(50, 100)]
    [0.4038, 0.5962]
    """
    if not num:
        return 0.0, 1.0
    share, z2 = hits / num, _Z_95**2
    middle = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = _Z_95 * math.sqrt(share * (1 - share) / num + z2 / (4 * num * num)) / (1 + z2 / num)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_of_shares_interval(
    hits: Sequence[int] | NDArray[np.int64], nums: Sequence[int] | NDArray[np.int64]
) -> tuple[float, float]:
    """95 % interval of the plain mean of shares, such as the recalls of given classes.

    The variances of the shares add up; each is taken at (hits + 1) / (num + 2), so that a class of
    which all images were right is not certain.

    Args:
        hits: successes of each class; shape (C,).
        nums: trials of each class, >= 1; shape (C,).

    Returns:
        Around the mean, within [0, 1]; (0, 1) without classes.

    Source: Laplace's rule of succession in the normal approximation.

    >>> [round(bound, 3) for bound in mean_of_shares_interval([5, 8], [10, 10])]
    [0.445, 0.855]
    """
    hits_C, nums_C = np.asarray(hits, dtype=np.float64), np.asarray(nums, dtype=np.float64)
    if not len(nums_C):
        return 0.0, 1.0
    smoothed_C = (hits_C + 1) / (nums_C + 2)
    half = _Z_95 * math.sqrt((smoothed_C * (1 - smoothed_C) / nums_C).sum()) / len(nums_C)
    middle = float((hits_C / nums_C).mean())
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_interval(intervals: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Interval of the plain mean of figures: the mean of their lower and of their upper bounds.

    Languages of one set have the same images, so that their figures rise and fall together; this
    holds however much they do, since no mean is less sure than its parts are on average.

    >>> [round(bound, 3) for bound in mean_interval([(0.2, 0.4), (0.3, 0.7)])]
    [0.25, 0.55]
    """
    if not intervals:
        return 0.0, 1.0
    low, high = np.mean(np.asarray(intervals, dtype=np.float64), axis=0).tolist()
    return float(low), float(high)


def bootstrap_interval(
    hits: Sequence[int] | NDArray[np.int64], nums: Sequence[int] | NDArray[np.int64]
) -> tuple[float, float]:
    """95 % interval of Σ hits / Σ nums where the queries of a group stand and fall together.

    The groups (images, whose captions are several queries each) are drawn with replacement, 1,000
    times, with a fixed seed: the same figures give the same interval.

    Args:
        hits: successes of each group; shape (G,).
        nums: trials of each group; shape (G,).

    Returns:
        The percentiles 2.5 and 97.5; (0, 1) without trials.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife".

    >>> bootstrap_interval([2, 2], [2, 2])
    (1.0, 1.0)
    """
    hits_G, nums_G = np.asarray(hits, dtype=np.int64), np.asarray(nums, dtype=np.int64)
    hits_G, nums_G = hits_G[nums_G > 0], nums_G[nums_G > 0]
    if not len(nums_G):
        return 0.0, 1.0
    rng = np.random.default_rng(_SEED)
    equal = np.full(len(nums_G), 1 / len(nums_G))
    shares = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        times_G = rng.multinomial(len(nums_G), equal)
        shares[i] = (times_G @ hits_G) / (times_G @ nums_G)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)
