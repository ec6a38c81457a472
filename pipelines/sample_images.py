"""The image of a pair, wherever it is: in an `image` column, or in the tar it came from."""

import pyarrow as pa

from pipelines import storage

__all__ = ["image_bytes"]


def image_bytes(batch: pa.RecordBatch, row: int) -> bytes | None:
    """Return a pair's encoded image.

    Args:
        batch: with a column ``image`` (bytes, or Hugging Face's struct of bytes and path), or with
            ``image_file``, ``image_offset`` and ``image_size``.
        row: of the batch.

    Returns:
        None if the pair has none.
    """
    names = batch.schema.names
    image = batch.column("image")[row].as_py() if "image" in names else None
    if isinstance(image, dict):
        image = image.get("bytes")
    if isinstance(image, bytes):
        return image
    if "image_file" not in names or (path := batch.column("image_file")[row].as_py()) is None:
        return None
    with storage.open_read(path) as file:
        file.seek(batch.column("image_offset")[row].as_py())
        return file.read(batch.column("image_size")[row].as_py())
