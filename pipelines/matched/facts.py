"""What there is beside the texts of pairs: images, URLs, captions, counted."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.pipelines.caption_tables.instead import TEXT_SOURCE
from curate.pipelines.inputs.columns.images import num_images
from curate.pipelines.inputs.records import ColumnNames, find_column
from curate.training.captions.mix import ALT

__all__ = ["FACTS", "pair_facts"]

FACTS = ("by_caption", "more_images", "with_image", "without_url")


def pair_facts(batch: pa.RecordBatch, columns: ColumnNames) -> Counter[str]:
    """Count the pairs of a batch that have an image with them and those without a URL.

    Args:
        batch: matched pairs.
        columns: names that the user chose.

    Returns:
        with_image; more_images: images beyond the first of a pair, which are not taken;
        without_url; by_caption: entries are those of a caption, and not of the alt-text.
    """
    images = num_images(batch, columns.image)
    name = find_column(batch.schema, "url", columns, "")
    with_url = 0
    if name is not None:
        lengths = pc.binary_length(pc.cast(batch.column(name), pa.string()))
        with_url = int(np.count_nonzero(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)))
    by_caption = 0
    if TEXT_SOURCE in batch.schema.names:
        source = batch.column(TEXT_SOURCE).cast(pa.string())
        by_caption = pc.sum(pc.not_equal(source, ALT)).as_py() or 0
    return Counter(
        by_caption=by_caption,
        with_image=int(np.count_nonzero(images)),
        more_images=int(np.maximum(images - 1, 0).sum()),
        without_url=batch.num_rows - with_url,
    )
