"""One sample at a time: its bytes read, its image cropped, one of its texts chosen.

What threads do while a batch is made; each call is independent of all others.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InputError
from curate.training.captions.mix import ALT, PairTexts
from curate.training.data.batch import KnownCrops
from curate.training.data.images import UnusableImageError, crop_into
from curate.training.data.sampler import Group, Sample, mix
from curate.training.data.shards import OpenFile, OpenShards, ShardIndex, index_shard, open_local
from curate.training.tars.captions import caption_of, json_object

__all__ = ["Pair", "Reader", "captions", "first_text"]

_DRAWS_INSTEAD = 64
_BETWEEN = 4096  # bytes of headers and padding between the parts of a sample


class Pair(NamedTuple):
    """What a sample says beside its image."""

    pair_id: str
    text: str
    lang: str | None
    entry_ids: Sequence[int]
    source: str = ALT
    crop: int = 0


class _Parts(NamedTuple):
    image: bytes
    text: bytes
    json: bytes


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads samples.

    Attributes:
        files: of the shards.
        decoder: of JPEGs: simplejpeg or pillow.
        texts: draws one of the texts of a pair; None: its alt-text.
        needs_text: what has no text cannot be used; else its text is empty.
        takes_first: of several alt-texts the first, and not any: that is the one with a vector.
        crops: cuts that there are of each image; None: each is drawn anew.
    """

    files: OpenShards
    decoder: str
    texts: PairTexts | None = None
    needs_text: bool = True
    takes_first: bool = False
    crops: KnownCrops | None = None

    def read(
        self, group: Group, place: int, image: NDArray[np.uint8], skipped: Counter[str]
    ) -> Pair:
        """Read the sample at a place of a group, or if it cannot be used another one instead.

        Args:
            group: of the epoch.
            place: in the group.
            image: written: uint8, (3, S, S).
            skipped: a sample that cannot be used is counted here.

        Raises:
            InputError: no sample of the group can be used.
        """
        sample = group.sample(place)
        found = self._try(sample, sample.key, image)
        if isinstance(found, Pair):
            return found
        skipped[found] += 1
        for other in _others(sample.key, len(group)):
            instead = self._try(group.sample(other), sample.key, image)
            if isinstance(instead, Pair):
                return instead
        raise InputError(
            f"none of {len(group)} samples can be used of the shards from {group.shards[0].path} "
            f"to {group.shards[-1].path}; the last reason is {found}. Check how they were made."
        )

    def fetch(self, sample: Sample) -> tuple[Pair, bytes] | str:
        """Read what a sample says and its encoded image; return the reason if that fails."""
        try:
            parts = self._parts(sample)
            pair = self._pair(sample, parts)
        except OSError:
            return "unreadable"
        return (pair, parts.image) if pair is not None else "no_caption"

    def text(self, sample: Sample) -> str:
        """Return the text of a sample without reading its image; "" where it cannot be had."""
        places = [*sample.places[:2], -1, 0, *sample.places[4:]]
        parts = _Parts(b"", b"", b"")
        try:
            if places[5] or places[7]:
                parts = self._parts(sample._replace(places=places))
            pair = self._pair(sample, parts)
        except OSError:
            return ""
        return pair.text if pair is not None else ""

    def _try(self, sample: Sample, key: int, image: NDArray[np.uint8]) -> Pair | str:
        """Read and crop a sample; return the reason if it cannot be used."""
        found = self.fetch(sample)
        if isinstance(found, str):
            return found
        pair, encoded = found
        pair, cut = self.cut(pair, key)
        try:
            crop_into(image, encoded, cut, self.decoder)
        except UnusableImageError as error:
            return error.reason
        return pair

    def cut(self, pair: Pair, key: int) -> tuple[Pair, int]:
        """Return a pair with the number of the cut that it gets, and what decides its rectangle.

        Args:
            pair: as it was read.
            key: of the sample at whose place it stands.
        """
        if self.crops is None:
            return pair, key
        crop = self.crops.draw(key)
        return pair._replace(crop=crop), self.crops.key(pair.pair_id, crop)

    def _parts(self, sample: Sample) -> "_Parts":
        """Read image, text and JSON: at once where they are neighbours, as they mostly are."""
        path = sample.shard.path
        image_at, image, text_at, text, json_at, json_ = sample.places[2:]
        first = min(at for at in (image_at, text_at, json_at) if at >= 0)
        end = max(image_at + image, text_at + text, json_at + json_)
        if end - first > image + text + json_ + _BETWEEN:
            whole, first = None, 0
        else:
            whole = self.files.read(path, first, end - first)

        def part(at: int, size: int) -> bytes:
            if not size:
                return b""
            if whole is None:
                return self.files.read(path, at, size)
            return whole[at - first : at - first + size]

        return _Parts(part(image_at, image), part(text_at, text), part(json_at, json_))

    def _pair(self, sample: Sample, parts: "_Parts") -> Pair | None:
        """Return a sample's text and what its JSON says; None if there is no text."""
        about = json_object(parts.json) if parts.json else {}
        several = about.get("texts")
        chosen = first_text(several) if self.takes_first else _chosen_text(several, sample.key)
        if chosen is not None:
            about = {**about, **chosen}
            text = about["text"]
        else:
            text = _plain_text(parts.text, about)
        if text is None and self.texts is None:
            if self.needs_text:
                return None
            text = ""
        pair_id, lang, entry_ids = about.get("pair_id"), about.get("lang"), about.get("entry_ids")
        if not isinstance(pair_id, str):
            pair_id = self.files.key(sample.shard, sample.number)
        source = ALT
        if self.texts is not None:
            drawn = self.texts.choose(pair_id, sample.epoch, text, about)
            if drawn is None:
                return None
            text, source = drawn
        assert text is not None
        lang = lang if isinstance(lang, str) else None
        return Pair(pair_id, text, lang, _as_ids(entry_ids), source)


def captions(
    shards: Sequence[str],
    open_file: OpenFile = open_local,
    sums: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield the captions of all samples that have one; of several, all.

    Args:
        shards: paths of tars.
        open_file: opens them.
        sums: xxh3_128 of shards by path, which are compared.
    """
    files = OpenShards(open_file)
    for path in shards:
        index = index_shard(path, files.open_file, (sums or {}).get(path))
        for number in range(len(index.places)):
            yield from _all_texts(index, number, files)


def _all_texts(index: ShardIndex, number: int, files: OpenShards) -> list[str]:
    def part(place: NDArray[np.int64]) -> bytes:
        offset, size = place[number].tolist()
        return files.read(index.path, offset, size) if size else b""

    about = json_object(part(index.json))
    several = [found["text"] for found in _usable_texts(about.get("texts"))]
    one = _plain_text(part(index.text), about)
    return several or ([] if one is None else [one])


def _plain_text(text: bytes, about: dict[str, Any]) -> str | None:
    """Return a sample's caption; None without one that is not blank."""
    found = caption_of({"txt": text}, about)
    return found.decode("utf-8", "replace") if found and found.strip() else None


def _others(key: int, num: int) -> Iterator[int]:
    """Yield places to try instead: some by hash, then all of them in order."""
    tries = np.arange(1, 1 + _DRAWS_INSTEAD, dtype=np.uint64) + np.uint64(key)
    yield from (mix(tries) % np.uint64(num)).tolist()
    yield from range(num)


def _chosen_text(texts: Any, key: int) -> dict[str, Any] | None:
    """Return one of several texts, drawn by hash, with what is said of it; None without any.

    >>> _chosen_text(["a dog"], 5)
    {'text': 'a dog'}
    """
    usable = _usable_texts(texts)
    if not usable:
        return None
    draw = int(mix(np.array([~np.uint64(key)]))[0])
    return usable[draw % len(usable)]


def first_text(texts: Any) -> dict[str, Any] | None:
    """Return the first of several texts that is not blank, with what is said of it.

    >>> first_text([" ", {"text": "a dog", "lang": "en"}, "a cat"])
    {'text': 'a dog', 'lang': 'en'}
    """
    usable = (one for one in _usable_texts(texts) if one["text"].strip())
    return next(usable, None)


def _usable_texts(texts: Any) -> list[dict[str, Any]]:
    known = [t if isinstance(t, dict) else {"text": t} for t in _as_list(texts)]
    return [text for text in known if isinstance(text.get("text"), str) and text["text"]]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_ids(value: Any) -> Sequence[int]:
    is_list = isinstance(value, list) and all(type(i) is int and i >= 0 for i in value)
    return value if is_list else ()
