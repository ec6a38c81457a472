"""Texts of a batch, cut into pieces of like length; each is then computed to its own longest."""

from collections.abc import Sequence

__all__ = ["length_pieces"]

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
