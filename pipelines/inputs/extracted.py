"""An input that `curate extract` wrote: what its pages said of the use of their pairs."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from curate.pipelines.executor.faults import is_transient
from curate.pipelines.inputs.formats.parquet import PARQUET_ERRORS, open_parquet
from curate.pipelines.opt_outs.robots_words import WRITTEN

__all__ = ["extracted_opt_outs", "sum_opt_outs"]

# An input may be anybody's: what is no count of ours is not believed.
_NAMES = WRITTEN | {"ignored", "opted_out"}
_MOST = 1 << 40  # pairs of an input; the sum of thousands of them is a number that JSON holds


def extracted_opt_outs(path: str) -> dict[str, int]:
    """Return how many pairs each signal touched, from the stamp of a file that `extract` wrote.

    `opted_out` are those that were left out, `ignored` those taken although their page says no.
    Empty for all other files.
    """
    try:
        with open_parquet(path) as file:
            stamp = json.loads((file.metadata.metadata or {}).get(b"curate", b"null"))
    except (*PARQUET_ERRORS, RecursionError) as error:  # a damaged file is counted where it is read
        if is_transient(error):
            raise
        return {}
    summary = stamp.get("summary") if isinstance(stamp, Mapping) else None
    if not isinstance(summary, Mapping) or not isinstance(summary.get("opt_outs"), Mapping):
        return {}
    dropped = summary.get("dropped")
    left_out = dropped.get("opted_out") if isinstance(dropped, Mapping) else None
    found = {**summary["opt_outs"], **({"opted_out": left_out} if left_out else {})}
    return {
        name: num for name, num in sorted(found.items())
        if name in _NAMES and type(num) is int and 0 < num < _MOST
    }  # fmt: skip


def sum_opt_outs(inputs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Add up what stands of it in the inputs of a plan."""
    total = Counter[str]()
    for one in inputs:
        total.update(one.get("opt_outs", {}))
    return dict(sorted(total.items()))
