"""Take retracted pairs out of shards of downloaded images; all others stay where they are.

A shard's `NNNNN.parquet` lists its pairs, and is written last: while it names a retracted pair, the
shard is to be done, also if a run was killed in it.
"""

import tarfile
from collections import Counter
from collections.abc import Container

import pyarrow as pa

from curate.files import storage
from curate.files.sums import check_shard
from curate.pipelines.executor.lease import driven
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.shards.matched_images import SUMMARY
from curate.pipelines.shards.stats import ordered, statistics
from curate.pipelines.shards.tar import ShardWriter, shard_writer
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["purge_shards"]

_IDS = ["pair_id", "image_id"]
_SUFFIXES = (".tar", ".idx", "_stats.json")


@driven("retract")
def purge_shards(*, output: str, tombstones: Tombstones, quiet: bool = False) -> int:
    """Rewrite the shards that hold retracted pairs.

    A shard that was not finished when its download was killed, so that no list of its pairs is
    there, goes as a whole.

    Args:
        output: folder that `download` wrote.
        tombstones: what is retracted.
        quiet: no progress.

    Returns:
        How many pairs were taken out, with or without an image.
    """
    storage.remove_leftovers(output)
    listed = storage.list_files(output, ".parquet")
    finished = {path.removesuffix(".parquet") for path in listed}
    for path in storage.list_files(output, ".tar"):
        if path.removesuffix(".tar") not in finished:
            for suffix in _SUFFIXES:
                storage.remove(path.removesuffix(".tar") + suffix)
    shown = progress(listed, total=len(listed), label="shards", unit="shard", quiet=quiet)
    num = sum(_purge(path, tombstones) for path in shown)
    _sum_again(output, listed)
    return num


def _sum_again(output: str, listed: list[str]) -> None:
    """Have the summary of all matched pairs' images, if there is one, count those left."""
    path = storage.join(output, SUMMARY)
    if not storage.exists(path):
        return
    counts, size = Counter[str](), 0
    for one in listed:
        stats = artifacts.read_json(f"{one.removesuffix('.parquet')}_stats.json")
        counts.update(stats["status_dict"])
        size += stats["size_bytes"]
    downloaded = counts.pop("success", 0)
    now = {"read": downloaded + counts.total(), "downloaded": downloaded, "bytes": size,
           "failed": ordered(counts)}  # fmt: skip
    artifacts.write_json(path, {**artifacts.read_json(path), **now})


def _purge(path: str, tombstones: Tombstones) -> int:
    hits = tombstones.hits(artifacts.read_table(path, _IDS))
    if not hits.any():
        return 0
    with artifacts.open_parquet(path) as file:
        table = file.read()
        metadata_hash = file.metadata.metadata[b"metadata_hash"].decode()
    stamp, stem = artifacts.read_stamp(path), path.removesuffix(".parquet")
    if storage.exists(f"{stem}_stats.json"):  # a retraction that was cut short removed them
        check_shard(f"{stem}.tar")
    left = table.filter(pa.array(~hits))
    gone = set(table.filter(pa.array(hits)).column("key").to_pylist())
    with storage.open_read(f"{stem}.tar") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        storage.remove(f"{stem}_stats.json")
        with shard_writer(f"{stem}.tar") as writer:
            _copy(tar, writer, gone)
    artifacts.write_json(f"{stem}_stats.json", statistics(stamp["parameters"], left, writer))
    artifacts.write_table(path, left, {**stamp, "sha256": writer.sha256}, metadata_hash)
    return int(hits.sum())


def _copy(tar: tarfile.TarFile, writer: ShardWriter, gone: Container[str]) -> None:
    """Copy the samples of a tar whose keys are not among those that go."""
    files: dict[str, bytes] = {}
    for member in tar:
        key, _, suffix = member.name.rpartition(".")
        content = tar.extractfile(member)
        if content is None or key in gone:
            continue
        files[suffix] = content.read()
        if suffix == "json":  # the last of a sample's
            writer.add(key, files)
            files = {}
