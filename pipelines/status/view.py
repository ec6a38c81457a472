"""The state of a workspace as text."""

from collections.abc import Mapping
from typing import Any

from curate.files.remedies import suggest
from curate.files.sizes import several
from curate.pipelines.views.tables import cell, render_table

__all__ = ["status_table"]


# What is done by the functions that work on parts.
_WORK = {
    "_look_at": "looking at the inputs",
    "match_part": "matching",
    "purge_part": "taking out what is retracted",
    "_count_group": "counting entries",
    "balance_part": "sampling",
    "_write_window": "writing shards",
    "_write_run": "sorting pairs into shards",
    "_write_shard": "writing shards",
    "_part_yields": "counting yields",
    "_count_keys": "counting draws",
    "_tally_part": "counting for the card",
    "embed_part": "embedding",
    "_share_out": "sharing vectors out to clusters",
    "_compare": "comparing vectors",
    "score_part": "scoring",
    "assign_part": "putting vectors into clusters",
    "find_in_part": "looking for what is evaluated on",
    "caption_part": "captioning",
    "extract_part": "extracting",
    "_write_unique": "writing each pair once",
    "_build": "building languages",
    "_count": "counting articles",
    "_count_file": "counting page views",
}


def status_table(status: Mapping[str, Any]) -> str:
    """Return a table of the stages, why they are stale, and what is going on."""
    rows, notes = [], []
    for name, stage in status["stages"].items():
        rows.append([name, stage["state"], _progress(stage)])
        notes += [f"{name}: {why}" for why in stage["why"]]
        if "elsewhere" in stage:
            notes.append(f"{name}: {stage['elsewhere']}")
        if stage["run"] is not None and (stage["state"] == "running" or stage["run"]["failed"]):
            notes += [f"{name}: {line}" for line in _run_lines(stage["run"])]
    if all(stage["state"] == "absent" for stage in status["stages"].values()):
        first = suggest("build-metadata", "--lang", "en")
        notes.append(f"nothing is in {status['workspace']} yet: begin with `{first}`")
    if "verified" in status:
        notes.append(f"what was written: {several(status['verified']['files'], 'file')}")
    return "\n".join([render_table(["stage", "state", "done"], rows), *notes])


def _progress(stage: Mapping[str, Any]) -> str:
    if "done" not in stage:
        return "-"
    total = f" of {stage['total']:,}" if stage["total"] is not None else ""
    of = stage["done"] if stage["total"] is None else stage["total"]
    unit = stage["unit"].removesuffix("s") if of == 1 else stage["unit"]
    return f"{stage['done']:,}{total} {unit}"


def _run_lines(run: Mapping[str, Any]) -> list[str]:
    """Say of a run what a person wants to know who waits for it."""
    driver = run["driver"]
    who = f"process {driver['pid']} on {driver['host']}" if driver else "its command has ended"
    lines = [
        f"{_work(run['stage'])} ({run['executor']}, {who}): "
        f"{run['done']:,} of {run['parts']:,} done, "
        f"{run['running']} running, {run['failed']} failed, {run['retries']} tried again"
    ]
    if run["parts_per_s"]:
        eta = f", {_duration(run['eta_s'])} to go" if run["eta_s"] is not None else ""
        lines.append(
            f"{cell(run['parts_per_s'])} parts/s, {run['records_per_s']:,.0f} records/s, "
            f"a part takes {cell(run['median_part_s'])} s{eta}"
        )
    lines += [
        f"running longest: part {one['part']} for {one['seconds']:.0f} s "
        f"({one['host']}, process {one['pid']})"
        for one in run["slowest_running"]
    ]
    lines += [f"part {one['part']} failed on {one['host']}: {one['error']}"
              for one in run["errors"]]  # fmt: skip
    if run["dropped"]:
        reasons = ", ".join(f"{reason} {num:,}" for reason, num in run["dropped"].items())
        lines.append(f"dropped of {run['read']:,}: {reasons}")
    return lines


def _work(function: str) -> str:
    """Say in words what workers do, of the function that does it.

    >>> _work("_look_at"), _work("match_part"), _work("some_new_part")
    ('looking at the inputs', 'matching', 'some new part')
    """
    return _WORK.get(function, function.strip("_").replace("_", " "))


def _duration(seconds: float) -> str:
    """Return a time in words.

    >>> _duration(59.6), _duration(3700), _duration(200_000)
    ('1 min', '1 h 2 min', '55 h 33 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
