"""The image of a pair, wherever it is: downloaded, in a column of images, a file, or a tar."""

from typing import IO

import pyarrow as pa

from curate.errors import InputError
from curate.files import storage
from curate.pipelines.inputs.columns.images import encoded_images, image_column
from curate.pipelines.matched.image_sources import ImageSources
from curate.pipelines.shards.matched_images import MatchedImages

__all__ = ["ImageReader"]


class ImageReader:
    """Reads the images of pairs; the file that was read last stays open, until `close`.

    Args:
        sources: where images may be.
        column: of encoded images, as the user named it; None for the usual ones.
    """

    def __init__(self, sources: ImageSources, column: str | None = None) -> None:
        self._sources = sources
        self._column = column
        self._path: str | None = None
        self._file: IO[bytes] | None = None
        self._downloaded = None if sources.downloaded is None else MatchedImages(sources.downloaded)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._path = self._file = None
        if self._downloaded is not None:
            self._downloaded.close()

    def begin_part(self, part: int, path: str) -> None:
        """Find the images of a part before any of them is read, if they were downloaded.

        Args:
            part: of the matches.
            path: of its pairs.

        Raises:
            ArtifactError: a shard is damaged, or of other pairs.
        """
        if self._downloaded is not None:
            self._downloaded.begin_part(part, path)

    def read(self, batch: pa.RecordBatch, row: int, part: int, at: int) -> bytes | None:
        """Return a pair's encoded image.

        Args:
            batch: with a column of encoded images, or with ``image_file``, ``image_offset`` and
                ``image_size``.
            row: of the batch.
            part: of the matches that the batch is of.
            at: the pair's row in the part.

        Returns:
            None if the pair has none.

        Raises:
            InputError: the file is not there any more, shorter than it was, or not in the folder
                of its input.
        """
        if self._downloaded is not None:
            return self._downloaded.read(at)
        names = batch.schema.names
        name = image_column(batch.schema, self._column)
        if name is not None:
            image = encoded_images(batch.column(name).slice(row, 1))[0].as_py()
            if isinstance(image, bytes) and image:
                return image
        if "image_file" not in names or (path := batch.column("image_file")[row].as_py()) is None:
            return None
        offset, size = (batch.column(f"image_{name}")[row].as_py() for name in ("offset", "size"))
        address = self._sources.address(part, path)
        if address is None:
            raise InputError(
                f"{path}: an image that is not where its input is, {self._sources.parts[part][0]}. "
                "If it may be read, name its folder with --image-root; otherwise match the input "
                "again: a link or a folder was changed after `curate match`."
            )
        file = self._opened(address)
        file.seek(offset)
        content = file.read(size)
        if len(content) != size:
            raise InputError(
                f"{path}: ends at byte {offset + len(content)}, expected {offset + size}. It was "
                "changed after `curate match`; match it again."
            )
        return content

    def _opened(self, path: str) -> IO[bytes]:
        if self._file is None or path != self._path:
            self.close()
            self._file, self._path = storage.open_read(path), path
        return self._file
