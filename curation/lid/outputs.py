"""Compiled output layers of a fastText classifier: a text's mean row in, its label out."""

import math
from typing import Any

import numpy as np

from curate.compiled.kernel import compiled, inlined
from curate.curation.compiled.intrinsics import LANES, weigh_rows

__all__ = ["all_leaves", "all_outputs", "best_output", "exact_leaf", "likeliest_leaf"]

_LEAST = np.float32(math.log(1e-5))
_LEAST_PRODUCT = 1.1e-5
_MARGIN = 1.002
_NEGLIGIBLE = np.float32(1e-3)  # probability of a whole branch


@inlined
def _std_log(x: np.float32) -> np.float32:
    return np.float32(math.log(np.float64(x) + 1e-5))


@inlined
def _product(outputs: Any, row: int, hidden: Any) -> np.float32:
    dot = np.float32(0)
    for i in range(len(hidden)):
        dot += outputs[row, i] * hidden[i]
    return dot


@inlined
def _sigmoid(dot: np.float32) -> np.float32:
    return np.float32(1.0 / (1.0 + np.float64(np.float32(math.exp(-dot)))))


@inlined
def _to_the_right(outputs: Any, row: int, hidden: Any) -> np.float32:
    """Return the probability of a node's right child: a sigmoid."""
    return _sigmoid(_product(outputs, row, hidden))


@compiled
def exact_leaf(
    tree: Any, outputs: Any, hidden: Any, nodes: Any, scores: Any
) -> tuple[int, np.float32]:
    """Return the label of the highest probability and its logarithm, searched as fastText does.

    Args:
        tree: as in `FastTextModel`.
        outputs: see there.
        hidden: mean of the rows of a text.
        nodes: scratch: int64, at least two for each label.
        scores: scratch: float32, as many.

    Returns:
        −1 if no label has a probability of 1e-5.
    """
    num_labels = len(outputs)
    best, best_score = -1, np.float32(-np.inf)
    depth = 1
    nodes[0] = 2 * num_labels - 2
    scores[0] = np.float32(0)
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < _LEAST or (best >= 0 and score < best_score):
            continue
        if tree[node, 0] < 0:
            best, best_score = node, score
            continue
        right = _to_the_right(outputs, node - num_labels, hidden)
        left = np.float32(1.0 - np.float64(right))
        nodes[depth] = tree[node, 1]
        scores[depth] = score + _std_log(right)
        nodes[depth + 1] = tree[node, 0]
        scores[depth + 1] = score + _std_log(left)
        depth += 2
    return best, best_score


@compiled
def likeliest_leaf(
    tree: Any,
    outputs: Any,
    top: Any,
    hidden: Any,
    dots: Any,
    nodes: Any,
    scores: Any,
    products: Any,
) -> tuple[int, np.float32]:
    """Return what `exact_leaf` does, or −1 where it is a close call.

    The likelier child comes first, so that most others are behind the best label from the start,
    and logarithms are taken only where a node is opened. The library's logarithm, of p + 1e-5, may
    rise along a path by 1e-5 a step, so its answer depends on its order where two are that close:
    everything within two per mille of the best is left to `exact_leaf`.

    Args:
        tree: as in `FastTextModel`.
        outputs: see there.
        top: see there.
        hidden: mean of the rows of a text.
        dots: scratch: float32, one for each column of top.
        nodes: scratch: int64, at least two for each label.
        scores: scratch: score of each node's parent, and the node's own probability; float32,
            shape (2, as many).
        products: scratch: exp(score) of each node; float64, as many.
    """
    num_labels, num_top = len(outputs), top.shape[1]
    for column in range(0, num_top, LANES):
        weigh_rows(top, hidden, len(hidden), column, dots)
    first_top = num_labels - 1 - num_top
    best, best_score, best_product = -1, np.float32(0), 0.0
    depth = 1
    nodes[0], scores[0, 0], scores[1, 0], products[0] = 2 * num_labels - 2, 0, 1, 1
    while depth:
        depth -= 1
        node, product = nodes[depth], products[depth]
        if _MARGIN * product < best_product:
            continue
        if product < _LEAST_PRODUCT or product < _MARGIN * best_product:
            return -1, best_score
        score = scores[0, depth]
        if node != 2 * num_labels - 2:
            score += _std_log(scores[1, depth])
        if tree[node, 0] < 0:
            best, best_score, best_product = node, score, product
            continue
        row = node - num_labels
        if row >= first_top:
            right = _sigmoid(dots[np.uint64(row - first_top)])
        else:
            right = _sigmoid(_product(outputs, row, hidden))
        left = np.float32(1.0 - np.float64(right))
        for is_last in range(2):
            goes_right = (right > left) == (is_last == 1)
            child = right if goes_right else left
            nodes[depth] = tree[node, 1 if goes_right else 0]
            scores[0, depth] = score
            scores[1, depth] = child
            products[depth] = product * (np.float64(child) + 1e-5)
            depth += 1
    return best, best_score


@compiled
def _table_sigmoid(x: np.float32) -> np.float32:
    """Return σ(x) as one-vs-all has it: in steps of 1/32, 0 or 1 beyond ±8."""
    if x < -8:
        return np.float32(0)
    if x > 8:
        return np.float32(1)
    step = np.int64((x + np.float32(8)) * np.float32(512) / np.float32(8) / np.float32(2))
    return np.float32(1.0 / (1.0 + math.exp(-np.float32(step * 2 * 8 / 512.0 - 8))))


@compiled
def best_output(outputs: Any, hidden: Any, logits: Any, is_softmax: bool) -> tuple[int, np.float32]:
    """Return the label of the highest probability, the last of equal ones, and its logarithm.

    Args:
        outputs: as in `FastTextModel`.
        hidden: mean of the rows of a text.
        logits: scratch: float32, at least one for each label.
        is_softmax: else each label has a sigmoid of its own.
    """
    highest = np.float32(-np.inf)
    for label in range(len(outputs)):
        dot = np.float32(0)
        for i in range(len(hidden)):
            dot += outputs[label, i] * hidden[i]
        logits[label] = dot
        highest = max(highest, dot)
    total = np.float32(0)
    for label in range(len(outputs)):
        if is_softmax:
            logits[label] = np.float32(math.exp(logits[label] - highest))
            total += logits[label]
        else:
            logits[label] = _table_sigmoid(logits[label])
            total = np.float32(1)
    best = 0
    for label in range(1, len(outputs)):
        if logits[label] >= logits[best]:
            best = label
    return best, _std_log(logits[best] / total)


@compiled
def all_leaves(
    tree: Any, columns: Any, hidden: Any, dots: Any, nodes: Any, products: Any, probabilities: Any
) -> None:
    """Write the probabilities of the labels of a tree; those in branches below 1e-3 stay as is.

    Args:
        tree: as in `FastTextModel`.
        columns: its outputs, each a column here, and zeros up to a multiple of LANES.
        hidden: mean of the rows of a text.
        dots: scratch: float32, one for each column.
        nodes: scratch: int64, at least two for each label.
        products: scratch: float32, as many.
        probabilities: written: float32, one for each label.
    """
    num_labels = len(probabilities)
    for column in range(0, columns.shape[1], LANES):
        weigh_rows(columns, hidden, len(hidden), column, dots)
    depth = 1
    nodes[0], products[0] = 2 * num_labels - 2, 1
    while depth:
        depth -= 1
        node, product = nodes[depth], products[depth]
        if product < _NEGLIGIBLE:
            continue
        if tree[node, 0] < 0:
            probabilities[node] = product
            continue
        right = _sigmoid(dots[np.uint64(node - num_labels)])
        for is_right in range(2):
            nodes[depth] = tree[node, is_right]
            child = right if is_right == 1 else np.float32(1.0 - np.float64(right))
            products[depth] = product * child
            depth += 1


@compiled
def all_outputs(outputs: Any, hidden: Any, is_softmax: bool, probabilities: Any) -> None:
    """Write the probability of every label.

    Args:
        outputs: as in `FastTextModel`.
        hidden: mean of the rows of a text.
        is_softmax: else each label has a sigmoid of its own.
        probabilities: written: float32, one for each label.
    """
    best_output(outputs, hidden, probabilities, is_softmax)
    if is_softmax:
        total = np.float32(0)
        for label in range(len(outputs)):
            total += probabilities[label]
        for label in range(len(outputs)):
            probabilities[label] /= total
