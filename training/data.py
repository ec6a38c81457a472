"""Shards in, batches out: every pair once per epoch, in an order that (seed, epoch) decides.

A batch says how many samples of the epoch have been drawn up to its end, so that a resumed run
draws (without decoding) exactly those and goes on with the next.
"""

import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metadata.errors import InputError
from training.images import decode, random_crop
from training.tokenizer import Tokenizer

__all__ = ["Batch", "Position", "batches", "captions", "list_shards", "prefetch", "raw_samples"]

IMAGE_KEYS = ("jpg", "jpeg", "png", "webp")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run is: the epoch, and the samples drawn of it."""

    epoch: int = 0
    drawn: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs to train on.

    Attributes:
        images: uint8, (B, 3, H, W).
        tokens: int64, (B, T).
        pair_ids: shape (B,).
        end: the position after this batch.
        skipped: samples left out since the last batch, by reason.
    """

    images: NDArray[np.uint8]
    tokens: NDArray[np.int64]
    pair_ids: list[str]
    end: Position
    skipped: dict[str, int]


def list_shards(path: str) -> list[str]:
    """Return the tars of a folder in order, or the one tar that the path names.

    Raises:
        InputError: there is none, or one that holds nothing.
    """
    folder = Path(path)
    shards = sorted(folder.glob("*.tar")) if folder.is_dir() else [folder]
    if not shards or not all(s.is_file() for s in shards):
        raise InputError(
            f"{path}: there are no shards (*.tar) here. Make them with `curate balance --format "
            "shards` from pairs that have images."
        )
    return [str(s) for s in shards]


def raw_samples(
    shards: Sequence[str], on_error: Callable[[Exception], bool]
) -> Iterator[dict[str, Any]]:
    """Yield WebDataset samples undecoded, in the order of the shards.

    Args:
        shards: paths of tars.
        on_error: told of a corrupt shard; returns whether to go on with the next.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    for shard in shards:
        # Opened here, not by webdataset, which leaves closing to the garbage collector.
        with Path(shard).open("rb") as file:
            source = [{"url": shard, "stream": file}]
            yield from group_by_keys(tar_file_expander(source, handler=on_error), handler=on_error)


def captions(shards: Sequence[str]) -> Iterator[str]:
    """Yield the captions of all samples that have one."""
    for sample in raw_samples(shards, lambda _: True):
        if "txt" in sample:
            yield sample["txt"].decode("utf-8", "replace")


def _epoch_samples(
    shards: Sequence[str], seed: int, epoch: int, buffer: int, skipped: Counter[str]
) -> Iterator[dict[str, Any]]:
    """Yield an epoch's samples, shuffled: the shards, then within a buffer of pairs."""
    rng = random.Random(f"{seed}-{epoch}")
    order = rng.sample(list(shards), len(shards))

    def count(_: Exception) -> bool:
        skipped["corrupt_shard"] += 1
        return True

    held: list[dict[str, Any]] = []
    for sample in raw_samples(order, count):
        if len(held) < buffer:
            held.append(sample)
            continue
        at = rng.randrange(buffer)
        held[at], sample = sample, held[at]
        yield sample
    rng.shuffle(held)
    yield from held


def batches(
    shards: Sequence[str],
    tokenizer: Tokenizer,
    *,
    image_size: int,
    batch_size: int,
    seed: int,
    shuffle_pairs: int,
    start: Position,
) -> Iterator[Batch]:
    """Yield batches for ever, epoch after epoch; what is left of an epoch is not trained on.

    Args:
        shards: paths of tars.
        tokenizer: for the captions.
        image_size: pixels of both sides.
        batch_size: pairs.
        seed: of the order and the crops.
        shuffle_pairs: pairs held in memory to draw from.
        start: where to go on.

    Raises:
        InputError: an epoch does not fill one batch.
    """
    epoch, drawn = start.epoch, start.drawn
    while True:
        skipped: Counter[str] = Counter()
        samples = _epoch_samples(shards, seed, epoch, shuffle_pairs, skipped)
        num_batches = 0
        pairs: list[tuple[str, NDArray[np.uint8], str]] = []
        for number, sample in enumerate(samples, start=1):
            if number <= drawn:
                continue
            pair = _decode_pair(sample, image_size, f"{seed}-{epoch}", skipped)
            if pair is not None:
                pairs.append(pair)
            if len(pairs) == batch_size:
                yield _batch(pairs, tokenizer, Position(epoch, number), dict(skipped))
                num_batches += 1
                pairs = []
                skipped.clear()
        if not num_batches and not drawn:
            raise InputError(
                f"{len(shards)} shards hold only {len(pairs)} usable pairs "
                f"(skipped: {dict(skipped) or 'none'}), fewer than a batch of {batch_size}. "
                "Use a smaller --batch-size or more data."
            )
        epoch, drawn = epoch + 1, 0


def _decode_pair(
    sample: dict[str, Any], image_size: int, salt: str, skipped: Counter[str]
) -> tuple[str, NDArray[np.uint8], str] | None:
    """Decode a sample; one that cannot be used is counted and gives None."""
    key = str(sample["__key__"])
    encoded = next((sample[k] for k in IMAGE_KEYS if k in sample), None)
    if "txt" not in sample or encoded is None:
        skipped["no_caption" if "txt" not in sample else "no_image"] += 1
        return None
    try:
        image = decode(encoded)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        skipped["corrupt_image"] += 1
        return None
    pixels = random_crop(image, image_size, random.Random(f"{salt}-{key}"))
    return key, pixels, sample["txt"].decode("utf-8", "replace")


def _batch(
    pairs: list[tuple[str, NDArray[np.uint8], str]],
    tokenizer: Tokenizer,
    end: Position,
    skipped: dict[str, int],
) -> Batch:
    keys, images, texts = zip(*pairs, strict=True)
    return Batch(np.stack(images), tokenizer.encode(texts), list(keys), end, skipped)


def prefetch(items: Iterator[Item], ahead: int = 4) -> Generator[Item, None, None]:
    """Yield the same items in the same order, made by a thread while the caller computes."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(item: tuple[bool, Any]) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((True, item))
                if stopped.is_set():
                    return
            put((False, None))
        except BaseException as error:  # handed to the caller, who raises it
            put((False, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = ready.get()
            if not is_item:
                if value is not None:
                    raise value
                return
            yield value
    finally:
        stopped.set()
        thread.join()
