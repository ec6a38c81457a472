"""Texts of a batch, cut into pieces of like length; each is then computed to its own longest.

Shapes: B texts, T tokens of each.
"""

from collections.abc import Sequence

from torch import Tensor

__all__ = ["cut_to_longest", "length_pieces", "tokens_computed"]

# What a piece costs beside its tokens, in tokens: the operations of its attention, in each block.
PIECE_TOKENS = 4


def length_pieces(
    lengths: Sequence[int], piece_tokens: int = PIECE_TOKENS
) -> list[tuple[list[int], int]]:
    """Return the cheapest pieces: rows of neighbouring lengths, and the length of the longest.

    A piece costs its rows times its longest length, and `piece_tokens` more.

    Args:
        lengths: of each row, in tokens.
        piece_tokens: what a piece costs beside its tokens.

    >>> length_pieces([9, 70, 8, 10], piece_tokens=10)
    [([2, 0, 3], 10), ([1], 70)]
    >>> length_pieces([9, 70, 8, 10], piece_tokens=1000)
    [([2, 0, 3, 1], 70)]
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    # Only behind the last row of a length can a piece end.
    ends = [
        i + 1 for i, row in enumerate(order)
        if i + 1 == len(order) or lengths[order[i + 1]] > lengths[row]
    ]  # fmt: skip
    best: dict[int, tuple[int, int]] = {0: (0, 0)}  # of the first rows: their cost, the last cut
    for end in ends:
        longest = lengths[order[end - 1]]
        best[end] = min(
            (cost + (end - cut) * longest + piece_tokens, cut) for cut, (cost, _) in best.items()
        )
    pieces = []
    end = len(order)
    while end:
        cut = best[end][1]
        pieces.append((order[cut:end], lengths[order[end - 1]]))
        end = cut
    return pieces[::-1]


def cut_to_longest(token_BT: Tensor, eos_id: int, multiple: int = 1) -> tuple[Tensor, list[int]]:
    """Return texts without the padding that all of them have, and how long each is, in tokens.

    Causal attention never looks at what comes after the last end token of a batch.

    Args:
        token_BT: one end token in each; on the host, for its values decide a shape.
        eos_id: the end token.
        multiple: what the length kept is a multiple of, if there are as many tokens.
    """
    lengths = ((token_BT == eos_id).int().argmax(dim=1) + 1).tolist()
    kept = -(-max(lengths) // multiple) * multiple
    return token_BT[:, :kept], lengths


def tokens_computed(
    lengths: Sequence[int], width: int, *, by_length: bool, parts: int = 1
) -> float:
    """Return how many tokens of a text are computed, on average.

    Args:
        lengths: of the texts, in tokens.
        width: T.
        by_length: in pieces of like length, each to its longest; else all to T.
        parts: that a batch is computed in, as `Tensor.chunk` makes them.

    >>> tokens_computed([9, 10, 10, 70], 77, by_length=True)
    25.0
    >>> tokens_computed([9, 10, 10, 70], 77, by_length=False)
    77.0
    """
    if not by_length:
        return float(width)
    size = -(-len(lengths) // parts)
    chunks = (lengths[at : at + size] for at in range(0, len(lengths), size))
    pieces = (piece for chunk in chunks for piece in length_pieces(chunk))
    return sum(len(rows) * longest for rows, longest in pieces) / len(lengths)
