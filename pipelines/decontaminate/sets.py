"""Evaluation sets in, in any layout that `eval` reads; fingerprints of images and texts out."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from curate.curation.vectors.perceptual import HASH_BYTES
from curate.errors import InputError
from curate.training.embedding.images import see_image
from curate.training.eval.data import EvalDataset

__all__ = ["SetImages", "comparable_text", "read_sets", "text_key"]

_BATCH = 64


@dataclass
class SetImages:
    """The images and texts of all sets.

    Attributes:
        names: of the sets.
        set_of: the set of each image.
        where: file and row of each.
        text: the first text of each, "" without one.
        exact: checksums of the images' bytes, first and last half; uint64, shape (num, 2).
        hashes: perceptual hashes; uint8, shape (num, HASH_BYTES).
        has_hash: shape (num,).
        vectors: float32, shape (num, E); None without a model.
        texts: by `text_key`, the images that each comparable text is of, the first of each set.
        counts: of each set: images, and what could not be used, by reason.
    """

    names: list[str]
    set_of: NDArray[np.int64]
    where: list[str]
    text: list[str]
    exact: NDArray[np.uint64]
    hashes: NDArray[np.uint8]
    has_hash: NDArray[np.bool_]
    vectors: NDArray[np.float32] | None
    texts: dict[int, list[int]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    @cached_property
    def of_bytes(self) -> dict[bytes, list[int]]:
        """The images of some bytes, by the checksum of these, the first of each set."""
        found: dict[bytes, list[int]] = {}
        for image, words in enumerate(self.exact):
            _first_of_set(found.setdefault(words.tobytes(), []), image, self.set_of)
        return found

    def digest(self) -> list[Any]:
        """Return what decides which pairs are found, for the plan."""
        found = xxhash.xxh3_128()
        for part in (self.set_of, self.exact, self.hashes):
            found.update(np.ascontiguousarray(part).tobytes())
        texts = xxhash.xxh3_128(repr(sorted(self.texts.items())).encode()).hexdigest()
        return [self.names, found.hexdigest(), texts]


def _first_of_set(images: list[int], image: int, set_of: Sequence[int] | NDArray[np.int64]) -> None:
    """Add an image, unless there is one of its set; sets come one behind the other."""
    if not images or set_of[images[-1]] != set_of[image]:
        images.append(image)


def comparable_text(text: str) -> str:
    r"""Return a text as it is compared: one width, one case, single spaces, no marks around.

    >>> comparable_text("  A photo\nof a Dog. ")
    'a photo of a dog'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(".,;:!?\"'() ")


def text_key(text: str) -> int:
    """Return a hash of a comparable text."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"))


def read_sets(
    datasets: Sequence[EvalDataset], *, decoder: str, encoder: Any, min_characters: int
) -> SetImages:
    """Read all images and texts of evaluation sets.

    Args:
        datasets: as `open_dataset` gives them.
        decoder: of JPEGs, that of the vectors.
        encoder: of images; None for no vectors.
        min_characters: of a text that is looked for.

    Raises:
        InputError: a set has no image that can be used, or two have one name.
    """
    names = [one.name for one in datasets]
    if len(set(names)) < len(names):
        raise InputError(f"two sets are named alike: {', '.join(sorted(names))}; rename a folder, "
                         "or name them in an eval.json")  # fmt: skip
    set_of: list[int] = []
    where: list[str] = []
    text: list[str] = []
    exact: list[bytes] = []
    hashes: list[bytes | None] = []
    vectors: list[NDArray[np.float32]] = []
    texts: dict[int, list[int]] = {}
    counts = {name: Counter[str](images=0) for name in names}
    for number, dataset in enumerate(datasets):
        samples, count = iter(dataset.samples(0, 1)), counts[dataset.name]
        while batch := list(islice(samples, _BATCH)):
            side = 1 if encoder is None else encoder.image_size
            pixels = np.zeros((len(batch), 3, side, side), np.uint8)
            seen = [see_image(sample.image, decoder, None if encoder is None else out)
                    for sample, out in zip(batch, pixels, strict=True)]  # fmt: skip
            usable = [not one.reason for one in seen]
            for sample, one in zip(batch, seen, strict=True):
                if one.reason:
                    count[one.reason] += 1
                    continue
                count["images"] += 1
                set_of.append(number)
                said = [comparable_text(t) for t in sample.texts]
                for comparable in said if dataset.task == "retrieval" else ():
                    if len(comparable) >= min_characters:
                        known = texts.setdefault(text_key(comparable), [])
                        _first_of_set(known, len(where), set_of)
                where.append(sample.where)
                text.append(sample.texts[0] if sample.texts else "")
                exact.append(one.exact or bytes(16))
                hashes.append(one.perceptual)
            if encoder is not None and any(usable):
                vectors.append(_unit(encoder.encode(pixels[usable])))
        if not count["images"]:
            lost = ", ".join(f"{reason} {num}" for reason, num in count.items() if num)
            raise InputError(
                f"{dataset.path}: the set {dataset.name} has no image that can be used"
                f"{f' ({lost})' if lost else ''}; there is nothing to look for"
            )
    return SetImages(
        names, np.array(set_of, np.int64), where, text,
        np.frombuffer(b"".join(exact), np.uint64).reshape(-1, 2),
        np.frombuffer(b"".join(h or bytes(HASH_BYTES) for h in hashes), np.uint8).reshape(
            -1, HASH_BYTES
        ),
        np.array([h is not None for h in hashes], bool),
        np.concatenate(vectors) if vectors else None, texts, counts,
    )  # fmt: skip


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    from curate.training.embedding.encoders import unit_vectors

    # Rounded as those that they are compared with.
    return unit_vectors(vectors, "evaluation images").astype(np.float32)
