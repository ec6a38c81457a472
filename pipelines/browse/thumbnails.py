"""The image of a stored pair as a small JPEG: decoded scaled, and kept for the next who asks."""

import threading
from collections import OrderedDict

import pyarrow as pa

from curate.errors import InputError
from curate.pipelines.browse.pair_sets import PairSet
from curate.pipelines.browse.pairs import Place
from curate.pipelines.inputs.image_files import names_files, with_image_files
from curate.pipelines.inputs.rows import Part, Rows
from curate.pipelines.shards.images import UnusableImageError, prepare_image, require_pillow
from curate.pipelines.shards.options import Resize
from curate.pipelines.shards.sources import ImageReader

__all__ = ["SIZES", "Thumbnails"]

SIZES = (224, 720)  # pixels of the longer side: in a grid, and of one pair
_CACHED_BYTES = 32 << 20
_PLACES = ("image_file", "image_offset", "image_size")
_LONGEST = 64 << 20  # bytes of an encoded image


class Thumbnails:
    """Images of pairs; those that were asked for last are kept."""

    def __init__(self) -> None:
        require_pillow("Showing images")
        self._kept: OrderedDict[tuple[str, str, Place, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def image(self, state: str, pairs: PairSet, place: Place, size: int) -> bytes:
        """Return a pair's image as a JPEG.

        Args:
            state: name of the state that the pairs are of: after a change others have their places.
            pairs: that it is one of.
            place: of it.
            size: one of SIZES.

        Raises:
            InputError: it has none, or one that may not be read or cannot be decoded.
            ArtifactError: its file is gone, or damaged.
        """
        key = (state, pairs.name, place, size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        content = _encoded(pairs, place)
        if not content:
            raise InputError("this pair has no image")
        if len(content) > _LONGEST:
            raise InputError(f"its image has {len(content):,} bytes, too many to be shown")
        resize = Resize(mode="keep_ratio_largest", size=size, only_if_bigger=True, quality=82)
        try:
            shown = prepare_image(content, resize, "jpg").content
        except UnusableImageError as error:
            raise InputError(f"its image cannot be shown: {error.detail}") from error
        with self._lock:
            if key not in self._kept:  # another thread may have made it meanwhile
                self._bytes += len(shown)
            self._kept[key] = shown
            while self._bytes > _CACHED_BYTES:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone)
        return shown


def _encoded(pairs: PairSet, place: Place) -> bytes | None:
    group = pairs.group(place.group)
    if pairs.downloaded is not None and (found := _fetched(pairs, place)) is not None:
        return found
    if pairs.images is None:
        raise InputError("images of these pairs are not read; the page says why")
    schema = pairs.schema_in(place.group)
    if schema is None or set(_PLACES) <= set(schema.names):
        wanted = [*_PLACES]
    elif names_files(schema):
        wanted = list(schema.names)
    else:
        wanted = [n for n in (pairs.roles((), schema).image,) if n]
    table = pairs.table(place.group, wanted)
    if place.row >= table.num_rows or not table.num_columns:
        return None
    row = table.slice(place.row, 1).combine_chunks()
    batch = row.to_batches()[0] if row.num_rows else None
    if batch is None:
        return None
    if "image_file" not in batch.schema.names and names_files(batch.schema):
        batch = _with_file(batch, group.path)
    reader = ImageReader(pairs.images)
    try:
        return reader.read(batch, 0, group.part, place.row)
    finally:
        reader.close()


def _fetched(pairs: PairSet, place: Place) -> bytes | None:
    """Return what `download` fetched for a pair; None if it did not."""
    assert pairs.downloaded is not None
    table = pairs.table(place.group, ["pair_id"])
    if place.row >= table.num_rows or not table.num_columns:
        return None
    return pairs.downloaded.read(str(table["pair_id"][place.row].as_py()))


def _with_file(batch: pa.RecordBatch, path: str) -> pa.RecordBatch:
    """Add where the image file of a row is, if it lies in the folder of its table."""
    part = Part(path=path, sha256="", kind="parquet")
    for item in with_image_files(iter([Rows(0, batch)]), part):
        if isinstance(item, Rows):
            return item.batch
        raise InputError(f"its image cannot be read: {item.detail}")
    return batch
