"""Class names' places among clusters in, weights of the clusters' experts out.

Source: Ma et al. 2024, arXiv:2404.16030, section 3.3, with the constants of the published code. An
expert that no class is near has no weight, where the published code gives it that of a sum of 0.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["expert_weights", "single_weights"]

_SHARPNESS = 5.0
_MANY_CLASSES = 200
_FEW_CLASSES = 10
_TEMPERATURE = 8.0


def expert_weights(
    cluster: NDArray[np.int64], distance: NDArray[np.float64], experts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the weights of experts for a task, by where its C classes are.

    s_e = Σ exp((α - d)·β) over the classes nearest to a centre of e's cluster; the weight is the
    softmax of s_e / 8 over the experts that have a class. β = 5·log10(max(10, C - 200)); α =
    exp(0.5 - √C) where C < 10, else 0. What two experts' weights are to each other does not depend
    on which others there are.

    Args:
        cluster: that the centre nearest to each class is of; shape (C,).
        distance: of that centre, Euclidean; shape (C,).
        experts: the cluster of each expert, unique; shape (X,).

    Returns:
        Shape (X,), of sum 1; equal weights where no expert has a class.

    >>> near = np.array([0, 0, 2]), np.array([0.5, 0.5, 0.5])
    >>> expert_weights(*near, np.array([0, 1, 2])).round(3).tolist()
    [0.511, 0.0, 0.489]
    >>> expert_weights(*near, np.array([1, 3])).tolist()
    [0.5, 0.5]
    """
    num = len(cluster)
    beta = _SHARPNESS * np.log10(max(10, num - _MANY_CLASSES))
    alpha = np.exp(0.5 - np.sqrt(num)) if num < _FEW_CLASSES else 0.0
    likeness = np.exp((alpha - distance) * beta)
    sums = np.array([likeness[cluster == expert].sum() for expert in experts.tolist()])
    has_class = np.isin(experts, cluster)
    if not has_class.any():
        return np.full(len(experts), 1.0 / len(experts))
    scores = np.where(has_class, sums / _TEMPERATURE, -np.inf)
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def single_weights(cluster: NDArray[np.int64], experts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights of experts for each text by itself, as for a task of one class.

    With one class one expert has it, however far it is: the text is that expert's alone, and
    everybody's where there is no expert of its cluster.

    Args:
        cluster: as for `expert_weights`; shape (M,).
        experts: likewise; shape (X,).

    Returns:
        Shape (M, X).
    """
    has_it = cluster[:, None] == experts[None, :]
    nobody = ~has_it.any(axis=1, keepdims=True)
    return np.where(nobody, 1.0 / len(experts), has_it.astype(np.float64))
