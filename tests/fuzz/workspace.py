"""A small workspace with every kind of file that a command reads from one, and who reads it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.files.sealed_json import write_json
from curate.files.sums import add_sums, check_listed, check_shard, file_sum
from curate.metadata.corpus.part import read_counted
from curate.metadata.fetch.notes import RemoteFile, publish_json, read_source
from curate.metadata.wikipedia.dump_list import Dump, read_dump
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.build_metadata.pageview_sample import _read as read_sample
from curate.pipelines.build_metadata.stage import reindex
from curate.pipelines.card.stage import make_card
from curate.pipelines.diff.stage import compare_folders
from curate.pipelines.download.plan import BalancedPairs
from curate.pipelines.executor.lease import holder
from curate.pipelines.explain.stage import explain_text
from curate.pipelines.extract.plan import plan_inputs
from curate.pipelines.extract.purge import purge_extracted
from curate.pipelines.extract.summary import ExtractSummary
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.retract.check import stale_cards
from curate.pipelines.status.stage import StatusReader
from curate.pipelines.status.verify import verify_workspace
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import finish_swap
from curate.pipelines.yields.stage import measure_yields
from tests.pipelines.helpers import WORDS, match, png, texts, write_metadata, write_pairs

__all__ = ["READERS", "STAMPED", "changed", "changed_stamp", "write_workspace"]

REQUEST = {"days": 1}
Reader = Callable[[Path], object]


def write_workspace(folder: Path) -> Path:
    """Write entries, matches, two balanced sets, and notes as downloads and runs leave them."""
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    images = [png((i, 90, 20)) for i in range(60)]
    a = write_pairs(folder / "a.parquet", texts(60), image=images)
    match([a], metadata, folder / "matched")
    for name, kind in (("balanced", "parquet"), ("tars", "shards")):
        balance(folder, name, kind)
    _write_extracted(folder)
    _write_sources(folder / "sources")
    run = folder / "runs/a"
    (run / "checkpoints").mkdir(parents=True)
    names = ("tokenizer.json", "checkpoints/step-000000002.pt")
    (run / names[0]).write_text('{"model": {"vocab": {"a": 1}}}')
    (run / names[1]).write_bytes(np.random.default_rng(0).bytes(9000))
    add_sums(str(run), {name: file_sum(str(run / name)) for name in names})
    lease = {"token": "t", "machine": "m", "pid": 1, "started": "5", "time": 1.0, "beat": 0,
             "command": "match", "host": "h"}  # fmt: skip
    (folder / ".curate/other").mkdir()
    (folder / ".curate/other/lease.json").write_text(json.dumps(lease))
    (folder / "swapped/.next").mkdir(parents=True)
    (folder / "swapped/.next/new.txt").write_text("x")
    values = {"sign": "new.txt", "moves": ["new.txt"], "gone": ["new.txt"]}
    write_json(str(folder / "swapped/.next/swap.json"), values)
    return folder


def balance(folder: Path, name: str, kind: str) -> object:
    """Balance the matches of a workspace, or find that it is done."""
    options = BalanceOptions(t=10, pairs_per_shard=40, output_format=kind)
    return balance_pairs(matched=str(folder / "matched"), output=str(folder / name),
                         options=options, quiet=True)  # fmt: skip


def _write_extracted(folder: Path) -> None:
    crawl = folder / "crawl.warc.gz"
    crawl.write_bytes(b"")
    plan = plan_inputs(
        {str(crawl): str(crawl)}, str(folder / "pairs"), {"dedup": "none"}, anew=False
    )
    summary = ExtractSummary()
    summary.pairs["pairs"] = 3
    stamp = {**plan.stamp(plan.part(0)), "summary": summary.as_dict()}
    table = pa.table({"url": ["a", "b", "c"], "text": ["a dog", "a cat", "a tree"]})
    artifacts.write_table(plan.pairs_path(0), table, stamp, "")
    artifacts.write_json(str(folder / "pairs/_extract/plan.json"), plan.as_dict())
    artifacts.write_json(str(folder / "pairs/_extract/summary.json"),
                         {"plan": plan.digest(), "inputs": 1, **summary.as_dict()})  # fmt: skip


def _write_sources(folder: Path) -> None:
    file = RemoteFile(name="a.bz2", url="https://example.org/a.bz2", date="20260101", size_bytes=3)
    Dump(mirror="https://example.org", wiki="de", date="20260101", job="j", files=(file,)).write(
        folder
    )
    values = {"name": "a.bz2", "url": file.url, "date": "20260101", "size_bytes": 3, "sha1": "a",
              "sha256": "b"}  # fmt: skip
    publish_json(folder / "a.bz2.source.json", values)
    publish_json(folder / "part-1.json",
                 {"tally": {"article": 3}, "num_tokens": 9, "num_pair_tokens": 8})  # fmt: skip
    sample = {"request": REQUEST, "mirror": "https://example.org", "files": [values],
              "missing": ["x"], "damaged": []}  # fmt: skip
    publish_json(folder / f"pageviews-{artifacts.digest(REQUEST)[:12]}.sample.json",
                 {**sample, "files": [vars_of(file)]})  # fmt: skip


def vars_of(file: RemoteFile) -> dict[str, Any]:
    """Return the fields of a file that is listed."""
    return {name: getattr(file, name) for name in file.__dataclass_fields__}


def _extracted(folder: Path) -> object:
    crawl = str(folder / "crawl.warc.gz")
    plan = plan_inputs({crawl: crawl}, str(folder / "pairs"), {"dedup": "none"}, anew=False)
    return plan.may_replace(0)


def _explained(folder: Path) -> object:
    places = {name: str(folder / name) for name in ("metadata", "matched", "balanced")}
    return explain_text("a red dog", **places)


def _card(folder: Path) -> object:
    return make_card(matched=str(folder / "matched"), balanced=str(folder / "balanced"), quiet=True,
                     dry_run=True)  # fmt: skip


def status(folder: Path) -> object:
    """Read what `status` shows."""
    return StatusReader(str(folder)).read()


def counts(folder: Path) -> object:
    """Read what `balance` begins with."""
    return load_counts(MatchedPlan.read(str(folder / "matched")))


def differences(folder: Path) -> object:
    """Compare two sets and two folders of entries, as `diff` does."""
    compare_folders(str(folder / "metadata"), str(folder / "metadata"))
    return compare_folders(str(folder / "balanced"), str(folder / "tars"))


_OF_PLAN: tuple[Reader, ...] = (status, counts, _explained, _card)
_OF_SET: tuple[Reader, ...] = (
    status, _explained, _card, differences,
    lambda w: BalancedPairs.open(str(w / "balanced"), ColumnNames()),
    lambda w: balance(w, "balanced", "parquet"),
    lambda w: stale_cards([str(w)]),
    lambda w: measure_yields(matched=str(w / "matched"), grid="5", quiet=True),
    lambda w: verify_workspace(str(w)),
)  # fmt: skip
_OF_SHARD: tuple[Reader, ...] = (
    lambda w: check_shard(str(w / "tars/shards/00000.tar")),
    lambda w: balance(w, "tars", "shards"),
    lambda w: make_card(matched=str(w / "matched"), balanced=str(w / "tars"), quiet=True),
    differences,
)
_OF_NOTE: tuple[Reader, ...] = (
    status, lambda w: measure_yields(matched=str(w / "matched"), grid="5", quiet=True), _explained,
)  # fmt: skip

# Of each file those that look into it, by the path in the workspace.
READERS: dict[str, tuple[Reader, ...]] = {
    "matched/plan.json": (
        *_OF_PLAN, lambda w: match([w / "a.parquet"], w / "metadata", w / "matched")),
    "matched/summary.json": _OF_PLAN,
    "balanced/plan.json": _OF_SET,
    "balanced/datacard.json": _OF_SET,
    "tars/shards/00000.json": _OF_SHARD,
    "metadata/manifest.json": (*_OF_PLAN, differences, lambda w: reindex(str(w / "metadata"))),
    "pairs/_extract/plan.json": (_extracted, status),
    "pairs/_extract/summary.json": (
        _extracted, lambda w: purge_extracted(str(w / "pairs"), Tombstones())),
    ".curate/other/lease.json": (lambda w: holder(str(w / "other")),),
    ".curate/matched/metadata.json": _OF_NOTE,
    ".curate/matched/inputs.json": _OF_NOTE,
    ".curate/matched/balanced/*.json": _OF_NOTE,
    "sources/a.bz2.source.json": (lambda w: read_source(w / "sources/a.bz2"),),
    "sources/dewiki-20260101.dump.json": (lambda w: read_dump(w / "sources", "de"),),
    "sources/part-1.json": (lambda w: read_counted(w / "sources/part-1"),),
    "sources/pageviews-*.sample.json": (lambda w: read_sample(str(w / "sources"), REQUEST, None),),
    "runs/a/sums.json": (lambda w: check_listed(str(w / "runs/a"), "tokenizer.json"),),
    "swapped/.next/swap.json": (lambda w: finish_swap(str(w / "swapped")),),
}  # fmt: skip


# Of each Parquet file those that look at its stamp.
STAMPED: dict[str, tuple[Reader, ...]] = {
    "metadata/en.parquet": (
        lambda w: match([w / "a.parquet"], w / "metadata", w / "matched"),
        differences, lambda w: reindex(str(w / "metadata"))),
    "matched/pairs/00000.parquet": (
        lambda w: match([w / "a.parquet"], w / "metadata", w / "matched"),
        counts, _card, lambda w: verify_workspace(str(w))),
    "matched/counts/en.parquet": (counts, _card, lambda w: balance(w, "balanced", "parquet")),
    "matched/parts.parquet": (
        lambda w: match([w / "a.parquet"], w / "metadata", w / "matched"),
        counts, lambda w: verify_workspace(str(w))),
    "balanced/pairs/00000.parquet": (*_OF_SET, lambda w: verify_workspace(str(w))),
    "balanced/probabilities/en.parquet": _OF_SET,
    "pairs/*.parquet": (_extracted, lambda w: purge_extracted(str(w / "pairs"), Tombstones())),
}  # fmt: skip


@contextmanager
def changed_stamp(folder: Path, name: str, stamp: dict[str, Any]) -> Iterator[Path]:
    """Have another stamp in a Parquet file, whose checksums are right, and the old one after it."""
    path = min(folder.glob(name))
    content = path.read_bytes()
    try:
        artifacts.write_table(str(path), artifacts.read_table(str(path)), stamp, "")
        yield path
    finally:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


@contextmanager
def changed(folder: Path, name: str, value: Any, *, sealed: bool) -> Iterator[Path]:
    """Have another value in a JSON file, and everything as it was afterwards."""
    path = min(folder.glob(name))
    content = path.read_bytes()
    try:
        if sealed and isinstance(value, dict):
            write_json(str(path), value)
        else:
            path.write_text(json.dumps(value))
        yield path
    finally:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
