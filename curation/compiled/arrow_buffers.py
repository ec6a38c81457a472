"""The buffers behind Arrow string arrays, for compiled code."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.curation.compiled.unit_keys import SLACK

__all__ = ["string_buffers", "with_slack"]


def string_buffers(texts: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes and the offsets of a string array without nulls; nulls become empty.

    Raises:
        TypeError: it is neither string nor large_string.
    """
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise TypeError(f"texts are {texts.type}; expected string or large_string: cast them")
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    wide = pa.types.is_large_string(texts.type)
    _, offsets, data = texts.buffers()
    kind = np.int64 if wide else np.int32
    if offsets is None or not len(texts):
        return np.zeros(1, np.uint8), np.zeros(len(texts) + 1, np.int64)
    at = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return raw, at.astype(np.int64, copy=False)


def with_slack(texts: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes and the offsets as `string_buffers` does, and SLACK behind the last text.

    Raises:
        TypeError: it is neither string nor large_string.
    """
    data, offsets = string_buffers(texts)
    first, stop = offsets[0], offsets[-1]
    if len(data) >= stop + SLACK:
        return data, offsets
    own = np.zeros(stop - first + SLACK, dtype=np.uint8)
    own[: stop - first] = data[first:stop]
    return own, offsets - first
