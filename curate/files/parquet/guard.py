"""Parquet files whose footer does not add up are read in a child process first.

pyarrow is compiled code, and a damaged file can end the process that reads it. A file whose own
figures contradict each other is damaged or made by nobody's writer: a child reads it whole, within
limits of memory and time, and if that ends badly the file is lost and the run goes on.
"""

import json
import resource
import subprocess
import sys
from importlib import import_module

import pyarrow as pa
import pyarrow.parquet as pq

from curate.files import storage
from curate.files.parquet.footer import Footer, read_footer
from curate.files.parquet.one_thread import open_unsealed

__all__ = ["PARQUET_ERRORS", "contradiction", "open_guarded", "read_whole", "why_it_dies"]

# What pyarrow is seen to raise over files that are damaged or strange: a name that is no UTF-8
# is a UnicodeDecodeError, a number that does not fit an OverflowError.
PARQUET_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, ValueError)

_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from curate.files.parquet.guard import _in_child; _in_child(*sys.argv[2:])"
)
_MOST_BYTES = 16 << 30  # of address space: pyarrow asks for more than it uses
_MOST_SECONDS = 600
_READER = "curate.files.parquet.guard:read_whole"


def open_guarded(path: str) -> pq.ParquetFile:
    """Open a Parquet file of anybody, read in a child first if its footer does not add up.

    Raises:
        InputError: there is no such file.
        PARQUET_ERRORS: it cannot be read, or reading it ended the child.
    """
    file = open_unsealed(path)
    try:
        file.schema_arrow.names  # noqa: B018  raises where one is no UTF-8
        try:
            size = storage.size_and_time(path)[0]
            wrong = contradiction(read_footer(path), file.metadata.num_columns, size)
        except ValueError as error:
            wrong = str(error)
        if wrong is not None and (death := why_it_dies(path)) is not None:
            raise ValueError(f"its footer contradicts itself ({wrong}), and {death}")
    except BaseException:
        file.close(force=True)
        raise
    return file


def contradiction(footer: Footer, num_columns: int, size: int) -> str | None:
    """Return what in a footer cannot be true, None if it adds up.

    Args:
        footer: as it was read without pyarrow, see `footer`.
        num_columns: leaves of the schema, as pyarrow counts them.
        size: of the file in bytes.
    """
    for number, group in enumerate(footer.row_groups):
        if group.num_rows < 0 or len(group.chunks) != num_columns:
            return f"row group {number} has {group.num_rows} rows in {len(group.chunks)} columns"
        for at, chunk in enumerate(group.chunks):
            if chunk is None:
                return f"column {at} of row group {number} is encrypted"
            end = chunk.start + chunk.length
            if chunk.start < 4 or chunk.length < 0 or end > size - 8:
                return f"column {at} of row group {number} lies at {chunk.start} to {end}"
            too_few = chunk.is_flat and chunk.num_values < group.num_rows
            if chunk.uncompressed < 0 or too_few:
                return f"column {at} of row group {number} has {chunk.num_values} values"
    rows = sum(group.num_rows for group in footer.row_groups)
    return None if rows == footer.num_rows else f"{footer.num_rows} rows, {rows} in its row groups"


def why_it_dies(path: str, *, reader: str = _READER, seconds: float = _MOST_SECONDS) -> str | None:
    """Read a file in a child process; return how that process ended if not by itself.

    Errors that the reader raises are no such end: they come again where the file is read.

    Args:
        path: of the file.
        reader: ``module:function`` that takes the path.
        seconds: after which the child is ended.
    """
    words = [sys.executable, "-c", _CHILD, json.dumps(sys.path), path, reader]
    try:
        done = subprocess.run(words, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"reading it took more than {seconds:g} seconds"
    if done.returncode < 0:
        return f"reading it ended the process with signal {-done.returncode}"
    return f"reading it needs more than {_MOST_BYTES >> 30} GiB" if done.returncode == 3 else None


def read_whole(path: str) -> None:
    """Read every value of a Parquet file and throw it away."""
    with open_unsealed(path) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(1024, row_groups=[group], use_threads=False):
                batch.validate(full=True)


def _in_child(path: str, reader: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    module, _, name = reader.partition(":")
    try:
        getattr(import_module(module), name)(path)
    except MemoryError:
        sys.exit(3)
    except Exception:  # the parent meets it again, and says so
        sys.exit(1)
