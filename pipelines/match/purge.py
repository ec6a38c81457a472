"""Take retracted pairs out of a part of `matched/`: as if they had been left out from the start."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curate.pipelines.match.summary import PartSummary
from curate.pipelines.matched.counting import split_by_language
from curate.pipelines.matched.tombstones import RETRACTED, Tombstones
from curate.pipelines.store import artifacts

__all__ = ["PurgeJob", "purge_part"]

_COLUMNS = ["pair_id", "image_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeJob:
    """What every part has to know."""

    paths: list[str]
    tombstones: Tombstones
    metadata_hash: str


def purge_part(job: PurgeJob, index: int) -> int:
    """Rewrite a part without the retracted pairs, if it has any; return how many it had."""
    path = job.paths[index]
    with artifacts.open_parquet(path) as file:
        batches = file.iter_batches(columns=_COLUMNS)
        if not any(job.tombstones.hits(batch).any() for batch in batches):
            return 0
    stamp = artifacts.read_stamp(path)
    removed: Counter[str] = Counter()
    with artifacts.open_parquet(path) as file:
        with artifacts.parquet_writer(path, file.schema_arrow) as writer:
            for batch in file.iter_batches():
                hits = job.tombstones.hits(batch)
                for lang, rows in split_by_language(batch):
                    removed[lang] += int(np.count_nonzero(hits[rows]))
                writer.write(batch.filter(pa.array(~hits)))
            stamp["summary"] = _without(PartSummary.from_dict(stamp["summary"]), removed)
            writer.close(stamp, job.metadata_hash)
    return removed.total()


def _without(summary: PartSummary, removed: Counter[str]) -> dict[str, object]:
    for lang, num in removed.items():
        if num:
            summary.by_lang[lang]["matched"] -= num
            summary.by_lang[lang][RETRACTED] += num
    return summary.as_dict()
