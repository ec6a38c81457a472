"""Captions of a captioner of ours, in batches of prompts of like length."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curate.pipelines.caption.ask import Answer, Ask, as_answer
from curate.pipelines.caption.hub_model import pick_device, pick_precision
from curate.pipelines.caption.sampling import Decoding
from curate.pipelines.train_captioner import open_own, own_identity

__all__ = ["OwnModel", "describe_own_model"]


def describe_own_model(
    folder: str, *, batch_size: int, precision: str, device: str | None
) -> dict[str, Any] | None:
    """Return what decides the captions of a captioner; None of a folder that is none of ours.

    Raises:
        ArtifactError: it is not finished.
    """
    identity = own_identity(folder)
    if identity is None:
        return None
    dtype = pick_precision(precision, pick_device(device))
    return {
        "kind": "captioner", "model": folder.rstrip("/").rpartition("/")[2], "weights": identity,
        "precision": str(dtype).removeprefix("torch."), "batch_size": batch_size,
    }  # fmt: skip


class OwnModel:
    """A captioner that `train-captioner` trained. Its prompt is the alt-text itself.

    Args:
        folder: of its run.
        decoding: how words are chosen.
        batch_size: images at once.
        precision: of its weights.
        device: None for a GPU if there is one.

    Raises:
        ArtifactError: it is damaged or not finished.
    """

    def __init__(
        self, folder: str, decoding: Decoding, *, batch_size: int, precision: str = "auto",
        device: str | None = None,
    ) -> None:  # fmt: skip
        place = pick_device(device)
        self._captioner = open_own(folder, device=place, dtype=pick_precision(precision, place))
        self._decoding, self._batch_size = decoding, batch_size

    def answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """Return an answer for each, in order."""
        order = sorted(range(len(asks)), key=lambda i: (len(asks[i].alt), i))
        found: dict[int, Answer] = {}
        for at in range(0, len(order), self._batch_size):
            batch = [asks[i] for i in order[at : at + self._batch_size]]
            said = self._captioner.write(
                [ask.seen for ask in batch], [ask.alt for ask in batch],
                max_tokens=self._decoding.max_tokens,
                processors=self._decoding.processors([ask.pair_id for ask in batch]),
            )  # fmt: skip
            for i, (text, num, is_whole) in zip(order[at:], said, strict=False):
                found[i] = as_answer(text, Counter(completion_tokens=num, cut_off=not is_whole))
        return [found[i] for i in range(len(asks))]
