"""One shard of downloaded images: its pairs in, its four files out.

    NNNNN.tar         `<key>.jpg|png|webp`, `.txt`, `.json` of each pair whose image came
    NNNNN.idx         where they are
    NNNNN.parquet     all pairs, with `status`, `reason`, `error_message` and the images' sizes
    NNNNN_stats.json  counts, and the sha256 of the tar; written last

A shard is done if its statistics fit its tar. In one that is not, or whose failures are to be tried
again, the images that are there stay, and the others are asked for.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curate.files import storage
from curate.files.sums import check_shard, has_right_size
from curate.pipelines.download.fetch import Fetched, ImageFetcher
from curate.pipelines.download.plan import SourcePairs, rows_of
from curate.pipelines.shards.images import image_suffix
from curate.pipelines.shards.samples import encode_json, sample_fields, unique_key
from curate.pipelines.shards.spool import Spool
from curate.pipelines.shards.stats import statistics
from curate.pipelines.shards.tar import shard_writer
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["Outcome", "ShardFiles", "download_shard"]

# Not asked for again: nothing can have changed, or the server does not want to be asked.
LASTING = ("bad_url", "no_url", "opted_out")
# Reasons of images that came and could not be used, which img2dataset calls failed_to_resize.
UNUSABLE = ("not_an_image", "corrupt_image", "decompression_bomb")
_SIZES = ("width", "height", "original_width", "original_height")
_KNOWN = ("key", "reason", "error_message", "opt_outs")
_ADDED = pa.schema(
    {
        "key": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "error_message": pa.string(),
        **dict.fromkeys(_SIZES, pa.int32()),
        "sha256": pa.string(),
        "opt_outs": pa.list_(pa.string()),
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a pair's URL.

    Attributes:
        place: of the image in the spool; None without one.
        suffix: of the image.
        sizes: in pixels, now and originally.
        sha256: of what the server sent.
        reason: why there is no image, or "".
        detail: a sentence.
        opt_outs: what server and host say of its use, as words.
    """

    place: tuple[int, int] | None = None
    suffix: str = ""
    sizes: tuple[int | None, ...] = (None,) * 4
    sha256: str = ""
    reason: str = ""
    detail: str = ""
    opt_outs: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """As img2dataset calls it."""
        if not self.reason:
            return "success"
        return "failed_to_resize" if self.reason in UNUSABLE else "failed_to_download"

    def described(self) -> dict[str, Any]:
        """Return what the sample's JSON says of the image."""
        sizes = dict(zip(_SIZES, self.sizes, strict=True))
        said = {"opt_outs": list(self.opt_outs)} if self.opt_outs else {}
        return {"status": self.status, **sizes, "sha256": self.sha256, **said}


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files of a shard, and what they were made with.

    Attributes:
        folder: of the shards.
        number: of this one.
        parameters: hash of what decides its content.
    """

    folder: str
    number: int
    parameters: str

    def path(self, suffix: str) -> str:
        """Return the path of one of the files."""
        return storage.join(self.folder, part_name(self.number, suffix))

    @property
    def stats_path(self) -> str:
        """The path of the statistics."""
        return storage.join(self.folder, f"{self.number:05d}_stats.json")

    def stats(self) -> dict[str, Any] | None:
        """Return the statistics, or None if the shard is not done."""
        files = [self.path(suffix) for suffix in ("tar", "idx", "parquet")]
        if not all(storage.exists(path) for path in (*files, self.stats_path)):
            return None
        stats: dict[str, Any] = artifacts.read_json(self.stats_path)
        found = {"parameters": stats["parameters"]}
        artifacts.require_same(self.path("tar"), found, {"parameters": self.parameters})
        return stats if has_right_size(self.path("tar"), stats) else None

    def earlier(self, spool: Spool) -> dict[str, Outcome]:
        """Return what is known from an earlier run, by key; its images go into the spool."""
        known: dict[str, Outcome] = {}
        if storage.exists(self.path("parquet")):
            table = artifacts.read_table(self.path("parquet"), list(_KNOWN))
            known = {
                row["key"]: Outcome(
                    reason=row["reason"],
                    detail=row["error_message"],
                    opt_outs=tuple(row["opt_outs"] or ()),
                )  # fmt: skip
                for row in rows_of(table)
                if row["reason"] in LASTING
            }
        if storage.exists(self.path("tar")):
            if storage.exists(self.stats_path):  # else nobody has noted yet what it should be
                check_shard(self.path("tar"))
            known |= dict(_images_of(self.path("tar"), spool))
        return known


def _images_of(path: str, spool: Spool) -> Iterator[tuple[str, Outcome]]:
    import tarfile

    with storage.open_read(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        image = b""
        for member in tar:
            content = tar.extractfile(member)
            key, _, suffix = member.name.rpartition(".")
            if content is None or suffix == "txt":
                continue
            if suffix != "json":
                image = content.read()
                continue
            about = json.loads(content.read())
            sizes = tuple(about[name] for name in _SIZES)
            yield key, Outcome(
                spool.add(image), image_suffix(image), sizes, about["sha256"],
                opt_outs=tuple(about.get("opt_outs") or ()),
            )  # fmt: skip


async def download_shard(
    files: ShardFiles, pairs: SourcePairs, table: pa.Table, fetcher: ImageFetcher
) -> dict[str, Any]:
    """Make a shard.

    Args:
        files: of the shard.
        pairs: that its rows are of.
        table: its rows, in order.
        fetcher: of the images.

    Returns:
        Its statistics.
    """
    rows = list(rows_of(table))
    seen: set[str] = set()
    keys = [unique_key(row["pair_id"], seen) for row in rows]
    with Spool(files.folder) as spool:
        known = await asyncio.to_thread(files.earlier, spool)
        wanted = {r[pairs.url]: None for k, r in zip(keys, rows, strict=True) if k not in known}
        urls = list(wanted)  # a URL that stands in several rows is asked for once
        came = await asyncio.gather(*(_outcome(url, fetcher, spool) for url in urls))
        by_url = dict(zip(urls, came, strict=True))
        outcomes = [known.get(k) or by_url[r[pairs.url]] for k, r in zip(keys, rows, strict=True)]
        return await asyncio.to_thread(
            _write, files, pairs, table, list(zip(keys, rows, outcomes, strict=True)), spool
        )


async def _outcome(url: str | None, fetcher: ImageFetcher, spool: Spool) -> Outcome:
    if not url:
        return Outcome(reason="no_url", detail="the pair has no URL")
    return _stored(await fetcher.fetch(url), spool)


def _stored(fetched: Fetched, spool: Spool) -> Outcome:
    image = fetched.image
    if image is None:
        return Outcome(
            sha256=fetched.sha256, reason=fetched.reason, detail=fetched.detail,
            opt_outs=fetched.opt_outs,
        )  # fmt: skip
    sizes = (image.width, image.height, image.original_width, image.original_height)
    place = spool.add(image.content)
    return Outcome(place, image.suffix, sizes, fetched.sha256, opt_outs=fetched.opt_outs)


def _write(
    files: ShardFiles,
    pairs: SourcePairs,
    table: pa.Table,
    samples: list[tuple[str, dict[str, Any], Outcome]],
    spool: Spool,
) -> dict[str, Any]:
    # The size of a tar, which is rounded up, does not tell it from the one of an earlier run.
    storage.remove(files.stats_path)
    with shard_writer(files.path("tar")) as writer:
        for key, row, outcome in samples:
            if outcome.place is not None:
                about = {name: v for name, v in row.items() if name not in (pairs.text, "pair_id")}
                if isinstance(about.get("json"), bytes):  # of a tar
                    about = {**sample_fields(about.pop("json")), **about}
                about |= {"url": row[pairs.url], "pair_id": row["pair_id"], **outcome.described()}
                members = {outcome.suffix: spool.get(outcome.place),
                           "txt": row[pairs.text].encode(), "json": encode_json(about)}  # fmt: skip
                writer.add(key, members)
    stamp = {"parameters": files.parameters, "shard": files.number, "sha256": writer.sha256}
    stated = _stated(table, [(key, outcome) for key, _, outcome in samples])
    artifacts.write_table(files.path("parquet"), stated, stamp, pairs.metadata_hash)
    stats = statistics(files.parameters, stated, writer)
    artifacts.write_json(files.stats_path, stats)
    return stats


def _stated(table: pa.Table, outcomes: list[tuple[str, Outcome]]) -> pa.Table:
    """Return the pairs with what came of each; columns of the input that are named so give way."""
    added = [
        {"key": key, **outcome.described(), "sha256": outcome.sha256 or None,
         "reason": outcome.reason or None, "error_message": outcome.detail or None}
        for key, outcome in outcomes
    ]  # fmt: skip
    columns = pa.Table.from_pylist(added, _ADDED)
    for name in set(_ADDED.names) & set(table.schema.names):
        table = table.drop_columns([name])
    for name in _ADDED.names:
        table = table.append_column(name, columns.column(name))
    return table
