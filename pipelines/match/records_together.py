"""Records of several small files as one batch."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from curate.pipelines.inputs.records import Records
from curate.pipelines.inputs.rows import BATCH_BYTES, BATCH_ROWS

__all__ = ["RecordsTogether"]

_ROLES = ("urls", "uids", "langs")


class RecordsTogether:
    """Gathers records of files that are alike, up to the size of a batch."""

    def __init__(self) -> None:
        self.records: list[Records] = []
        self._rows = self._bytes = 0

    def takes(self, records: Records) -> bool:
        """Tell whether records can stand behind the others in one batch: as to columns and size."""
        first = self.records[0]
        is_alike = first.batch.schema.equals(records.batch.schema) and all(
            (getattr(first, role) is None) == (getattr(records, role) is None) for role in _ROLES
        )
        rows, size = self._rows + len(records.rows), self._bytes + records.batch.nbytes
        return is_alike and rows <= BATCH_ROWS and size <= BATCH_BYTES

    def add(self, records: Records) -> None:
        """Put records behind the others."""
        self.records.append(records)
        self._rows += len(records.rows)
        self._bytes += records.batch.nbytes

    def take_all(self) -> Records:
        """Return all that were gathered, and begin anew."""
        several, self.records, self._rows, self._bytes = self.records, [], 0, 0
        return _joined(several)


def _joined(several: Sequence[Records]) -> Records:
    """Return records one behind the other, of files that are alike."""
    if len(several) == 1:
        return several[0]
    batches = pa.Table.from_batches([one.batch for one in several]).combine_chunks().to_batches()

    def joined(role: str) -> pa.StringArray | None:
        columns = [getattr(one, role) for one in several]
        return None if columns[0] is None else pa.concat_arrays(columns)

    return replace(
        several[0],
        batch=batches[0] if batches else several[0].batch,
        rows=np.concatenate([one.rows for one in several]),
        texts=pa.concat_arrays([one.texts for one in several]),
        urls=joined("urls"),
        uids=joined("uids"),
        langs=joined("langs"),
    )
