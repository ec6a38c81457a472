"""The best and the worst of captions: of a part in, with their images; of all parts out, in order.

Each part keeps its own beside it until the page is made.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
from PIL import Image

from curate.files import storage
from curate.pipelines.judge_captions.page import Example, thumbnail
from curate.pipelines.store import artifacts
from curate.training.data.images import decode

__all__ = ["Extremes", "read_examples"]

_KEPT = 24  # of the best, and of the worst
_SCHEMA = pa.schema(
    {
        "is_best": pa.bool_(), "score": pa.float64(), "place": pa.int64(), "pair_id": pa.string(),
        "image": pa.binary(), "alt": pa.string(), "caption": pa.string(), "figures": pa.string(),
    }
)  # fmt: skip


class _Candidate(NamedTuple):
    """A caption that may be shown; those of a higher key are, of equal keys the earlier ones."""

    key: float
    late: int
    encoded: bytes
    example: Example


class Extremes:
    """Keeps the best and the worst captions of a part."""

    def __init__(self) -> None:
        self._heaps: dict[bool, list[_Candidate]] = {True: [], False: []}
        self._seen = 0

    def add(self, example: Example, encoded: bytes) -> None:
        """Take a caption into account.

        Args:
            example: without its image.
            encoded: its image.
        """
        self._seen += 1
        for is_best, heap in self._heaps.items():
            key = example.score if is_best else -example.score
            if len(heap) == _KEPT and key <= heap[0].key:
                continue
            heapq.heappush(heap, _Candidate(key, -self._seen, encoded, example))
            if len(heap) > _KEPT:
                heapq.heappop(heap)

    def write(self, path: str, stamp: dict[str, object]) -> None:
        """Write them with small images; nothing where there are none."""
        rows = [
            {"is_best": is_best, "score": one.example.score, "place": -one.late,
             **one.example._asdict(), "image": _small(one.encoded)}
            for is_best, heap in self._heaps.items() for one in sorted(heap, reverse=True)
        ]  # fmt: skip
        if rows:
            artifacts.write_table(path, pa.Table.from_pylist(rows, _SCHEMA), stamp, "")
        else:
            storage.remove(path)  # of an earlier try


def _small(encoded: bytes) -> bytes:
    """Return an image's thumbnail; nothing of one that Pillow cannot decode."""
    try:
        return thumbnail(decode(encoded))
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError,
            Image.DecompressionBombError, Image.DecompressionBombWarning):  # fmt: skip
        return b""


def read_examples(paths: Iterable[str]) -> tuple[list[Example], list[Example]]:
    """Return the best and the worst of all parts.

    Args:
        paths: of the files of parts, in their order; those that are not there had none.
    """
    found: dict[bool, list[tuple[float, int, int, Example]]] = {True: [], False: []}
    for number, path in enumerate(paths):
        if not storage.exists(path):
            continue
        for row in artifacts.read_table(path).to_pylist():
            is_best, place = row.pop("is_best"), row.pop("place")
            key = -row["score"] if is_best else row["score"]
            found[is_best].append((key, number, place, Example(**row)))
        found = {side: sorted(rows)[:_KEPT] for side, rows in found.items()}
    best, worst = ([one for *_, one in found[side]] for side in (True, False))
    return best, worst
