"""Parquet files of ours that need no stamp, written and read with their own checksums."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.files.parquet.one_thread import OneThreadFile
from curate.files.parquet.sealed_file import SealedReader, SealingWriter

__all__ = ["open_sealed", "sealed_writer"]


@contextmanager
def sealed_writer(
    sink: IO[bytes], schema: pa.Schema, notes: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[pq.ParquetWriter]:
    """Open a Parquet file for writing; it is whole once the block ends without an error.

    Args:
        sink: takes the bytes.
        schema: of the tables.
        notes: key-value metadata, as they are when the block ends.
        **options: of `pyarrow.parquet.ParquetWriter`.
    """
    file = SealingWriter(sink)
    with pq.ParquetWriter(file, schema, **options) as writer:
        yield writer
        said = {name: str(value) for name, value in (notes or {}).items()}
        writer.add_key_value_metadata({**said, **file.end_body()})
    file.finish()


def open_sealed(path: str, remedy: str) -> pq.ParquetFile:
    """Open what `sealed_writer` wrote; all that is read of it is compared with its checksums.

    Args:
        path: local path or URL.
        remedy: a sentence that says how it is made anew.

    Raises:
        InputError: it is missing, cut off or damaged; also later, where it is read.
    """

    def damaged(why: str) -> Any:
        raise InputError(f"{path} is damaged: {why}. {remedy}")

    source = SealedReader(path, damaged)
    try:
        return OneThreadFile(source)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is damaged: {error}. {remedy}") from error
