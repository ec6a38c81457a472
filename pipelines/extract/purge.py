"""Take retracted pairs out of extracted ones: as if a filter had dropped them."""

from typing import Any

import pyarrow as pa

from curate.files import storage
from curate.pipelines.executor.lease import driving
from curate.pipelines.extract.summary import ExtractSummary
from curate.pipelines.matched.tombstones import RETRACTED, Tombstones
from curate.pipelines.store import artifacts

__all__ = ["purge_extracted"]

_SUMMARY = "_extract/summary.json"


def purge_extracted(folder: str, tombstones: Tombstones) -> tuple[int, list[str]]:
    """Rewrite the files of a folder of `extract` that hold retracted pairs.

    Args:
        folder: that `extract` wrote; nothing happens where it is not one.
        tombstones: what is retracted.

    Returns:
        How many pairs were taken out, and the files that pairs were taken out of, now or before.
    """
    if not storage.exists(storage.join(folder, _SUMMARY)):
        return 0, []
    total, files = 0, []
    with driving(folder, "retract"):
        for path in storage.list_files(folder, ".parquet"):
            total += _purge(path, tombstones)
            if RETRACTED in artifacts.read_stamp(path)["summary"]["dropped"]:
                files.append(path)
        _sum_up(folder)
    return total, files


def _purge(path: str, tombstones: Tombstones) -> int:
    with artifacts.open_parquet(path) as file:
        if not any(tombstones.hits_in_rows(b, path).any() for b in file.iter_batches()):
            return 0
    stamp, num = artifacts.read_stamp(path), 0
    with artifacts.open_parquet(path) as file:
        with artifacts.parquet_writer(path, file.schema_arrow) as writer:
            for batch in file.iter_batches():
                hits = tombstones.hits_in_rows(batch, path)
                num += int(hits.sum())
                writer.write(batch.filter(pa.array(~hits)))
            summary = ExtractSummary.from_dict(stamp["summary"]).without(RETRACTED, num)
            writer.close({**stamp, "summary": summary.as_dict()}, "")
    return num


def _sum_up(folder: str) -> None:
    """Bring the summary of all files up to date; a retraction that was cut short did not."""
    path = storage.join(folder, _SUMMARY)
    found: dict[str, Any] = artifacts.read_json(path)
    files = storage.list_files(folder, ".parquet")
    summaries = (ExtractSummary.from_dict(artifacts.read_stamp(f)["summary"]) for f in files)
    now = {**found, **sum(summaries, ExtractSummary()).as_dict()}
    if now != found:
        artifacts.write_json(path, now)
