"""What the driver notes of each part that is done, in a few files instead of one look at each part.

`journal/NNNNN.parquet` holds what was noted since the file before; a run that has come to its
end leaves one `parts.parquet`, in the order of the parts. A note counts if the part's file is there
with the size that is noted, which one listing of the folder tells; what is there without a note,
because a driver was killed, is read from its stamp. On an object store, which has no rename, a part
thus belongs to the result once it is uploaded, its size compared, and its note published.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from curate.files import storage
from curate.files.listing import file_sizes
from curate.files.remedies import carried
from curate.pipelines.executor.lease import require_lease
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["JOURNAL", "PARTS", "Journal"]

JOURNAL = "journal"
PARTS = "parts.parquet"

_SCHEMA = pa.schema({"part": pa.uint32(), "size_bytes": pa.uint64(), "summary": pa.large_string()})
_FLUSH_EVERY_S = 30.0
_NOTES_PER_FILE = 2000
_FILES_AT_MOST = 32
_READERS = 16  # threads that read stamps, which is waiting most of all
_NAME = re.compile(r"(\d+)\.parquet")

Summary = dict[str, Any]


class Journal:
    """The notes of a folder with `pairs/NNNNN.parquet`.

    Args:
        folder: of the notes.
        num_parts: parts, whether they have files or not.
        made_from: what the notes are stamped with.
        base: another folder, of which nothing is changed, with files and notes of some parts.
        of_base: the numbers of these parts.

    Attributes:
        found: size in bytes of each part's file, -1 where there is none; shape (num_parts,).
    """

    def __init__(
        self,
        folder: str,
        num_parts: int,
        made_from: dict[str, Any],
        base: str | None = None,
        of_base: Sequence[int] = (),
    ) -> None:
        self._folder, self._base = folder, base
        self._of_base = np.zeros(num_parts, np.bool_)
        self._of_base[list(of_base)] = True
        self._made_from = made_from
        self.found = np.full(num_parts, -1, np.int64)
        self._noted = np.full(num_parts, -1, np.int64)
        self._pending: list[tuple[int, int, str]] = []
        self._flushed = time.monotonic()
        self._list_parts()
        for table in self._tables():
            self._noted[table.column("part").to_numpy()] = table.column("size_bytes").to_numpy()

    def _list_parts(self) -> None:
        for folder in (self._folder, self._base):
            sizes = {} if folder is None else file_sizes(storage.join(folder, "pairs"))
            for name, size in sizes.items():
                match = _NAME.fullmatch(name)
                index = int(match[1]) if match else len(self.found)
                if index >= len(self.found) or name != part_name(index, "parquet"):
                    continue
                if self._of_base[index] == (folder is self._base):
                    self.found[index] = size

    def _files(self) -> list[str]:
        """Return the files of notes, the oldest first: later ones hold later notes."""
        folders = (self._folder,) if self._base is None else (self._base, self._folder)
        whole = (storage.join(folder, PARTS) for folder in folders)
        later = storage.list_files(storage.join(self._folder, JOURNAL), ".parquet")
        return [path for path in whole if storage.exists(path)] + later

    def _read(self, path: str) -> pa.Table:
        """Read notes; of `base` those of its parts alone."""
        table = artifacts.read_table(path)
        parts = table.column("part").to_numpy()
        taken = parts < len(self.found)
        if self._base is not None and path == storage.join(self._base, PARTS):
            taken[taken] = self._of_base[parts[taken]]
        return table if taken.all() else table.filter(pa.array(taken))

    def _tables(self) -> Iterator[pa.Table]:
        for path in self._files():
            stamp = artifacts.read_stamp(path)
            if stamp != self._made_from:
                artifacts.require_same(path, stamp, self._made_from)
            yield self._read(path)

    @property
    def is_closed(self) -> bool:
        """Whether all notes lie in the one file that a run to its end leaves."""
        return storage.exists(storage.join(self._folder, PARTS)) and not storage.exists(
            storage.join(self._folder, JOURNAL)
        )

    def missing(self) -> list[int]:
        """Return the parts that have no file."""
        return [int(index) for index in np.flatnonzero(self.found < 0)]

    def complete(self, read_summary: Callable[[int], Summary]) -> None:
        """Note what is there without a note, or with another size than the one noted.

        Args:
            read_summary: reads a part's stamp, checks it, and returns the summary in it.
        """
        unknown = np.flatnonzero((self.found >= 0) & (self._noted != self.found)).tolist()
        with ThreadPoolExecutor(_READERS) as pool:
            for index, summary in zip(
                unknown, pool.map(carried(read_summary), unknown), strict=True
            ):
                self.note(index, int(self.found[index]), summary)

    def note(self, index: int, size_bytes: int, summary: Summary) -> None:
        """Note a part whose file is there."""
        self.found[index] = self._noted[index] = size_bytes
        text = json.dumps(summary, sort_keys=True, ensure_ascii=False)
        self._pending.append((index, size_bytes, text))
        is_due = time.monotonic() - self._flushed > _FLUSH_EVERY_S
        if is_due or len(self._pending) >= _NOTES_PER_FILE:
            self.flush()

    def flush(self) -> None:
        """Publish the notes since the last time; many files become one.

        Raises:
            ArtifactError: another driver has taken over the output, and with it the notes.
        """
        self._flushed = time.monotonic()
        if not self._pending:
            return
        require_lease()
        columns = [list(values) for values in zip(*self._pending, strict=True)]
        table = pa.table(columns, schema=_SCHEMA)
        self._pending = []
        files = storage.list_files(storage.join(self._folder, JOURNAL), ".parquet")
        if len(files) >= _FILES_AT_MOST:
            table = pa.concat_tables([*map(artifacts.read_table, files), table])
        last = int(files[-1].rsplit("/", 1)[-1].split(".")[0]) if files else -1
        path = storage.join(self._folder, JOURNAL, part_name(last + 1, "parquet"))
        artifacts.write_table(path, table, self._made_from, "")
        for file in files if len(files) >= _FILES_AT_MOST else []:
            storage.remove(file)

    def summaries(self) -> Iterator[tuple[int, Summary]]:
        """Yield the last note of each part that has a file, a file of notes at a time."""
        self.flush()
        seen = np.zeros(len(self.found), dtype=bool)
        for path in reversed(self._files()):
            table = self._read(path)
            for batch in reversed(table.to_batches(max_chunksize=_NOTES_PER_FILE)):
                yield from self._unseen(batch, seen)

    def _unseen(self, batch: pa.RecordBatch, seen: Any) -> Iterator[tuple[int, Summary]]:
        parts, sizes = batch.column("part").to_numpy(), batch.column("size_bytes").to_numpy()
        for at in range(batch.num_rows - 1, -1, -1):
            index = int(parts[at])
            if index < len(seen) and not seen[index] and self.found[index] == int(sizes[at]):
                seen[index] = True
                yield index, json.loads(batch.column("summary")[at].as_py())

    def close(self) -> None:
        """Leave one file in the order of the parts: the same, whatever order they were done in."""
        require_lease()
        self.flush()
        tables = [self._read(path) for path in self._files()]
        if tables:
            whole = pa.concat_tables(tables)
            parts, sizes = (whole.column(n).to_numpy() for n in ("part", "size_bytes"))
            newest = np.full(len(self.found), -1, np.int64)
            there = np.flatnonzero(parts < len(self.found))
            there = there[self.found[parts[there]] == sizes[there].astype(np.int64)]
            newest[parts[there]] = there  # the last of equal indices stays
            whole = whole.take(pa.array(newest[newest >= 0]))
            artifacts.write_table(storage.join(self._folder, PARTS), whole, self._made_from, "")
        storage.remove(storage.join(self._folder, JOURNAL))

    def forget(self) -> None:
        """Remove all notes, because files are about to change under them."""
        require_lease()
        self._pending = []
        self._noted[:] = -1
        storage.remove(storage.join(self._folder, PARTS))
        storage.remove(storage.join(self._folder, JOURNAL))
