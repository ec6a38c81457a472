"""What there is beside the texts of pairs: images and URLs, counted."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.pipelines.inputs.columns.images import num_images
from curate.pipelines.inputs.records import ColumnNames, find_column

__all__ = ["FACTS", "pair_facts"]

FACTS = ("more_images", "with_image", "without_url")


def pair_facts(batch: pa.RecordBatch, columns: ColumnNames) -> Counter[str]:
    """Count the pairs of a batch that have an image with them and those without a URL.

    Args:
        batch: matched pairs.
        columns: names that the user chose.

    Returns:
        with_image; more_images: images beyond the first of a pair, which are not taken;
        without_url.
    """
    images = num_images(batch, columns.image)
    name = find_column(batch.schema, "url", columns, "")
    with_url = 0
    if name is not None:
        lengths = pc.binary_length(pc.cast(batch.column(name), pa.string()))
        with_url = int(np.count_nonzero(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)))
    return Counter(
        with_image=int(np.count_nonzero(images)),
        more_images=int(np.maximum(images - 1, 0).sum()),
        without_url=batch.num_rows - with_url,
    )
