"""`curate download`: URLs of `balanced/` → `balanced/shards/`, of `matched/` → `downloaded/`: tars.

One process asks, with many connections; threads resize. A shard is the unit of restart: its files
appear when it is complete, and a rerun skips it, or with `retry_failed` asks again for what failed
in it and leaves the rest.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from curate.errors import ArtifactError, MissingExtraError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.pipelines.download.from_matched import (
    LIST,
    MatchedPairs,
    begin_downloaded,
    enter_failed,
    finish_downloaded,
    planned_shards,
)
from curate.pipelines.download.plan import BalancedPairs, SourcePairs
from curate.pipelines.download.tasks import Place, ShardTasks, layout_of, layout_of_parts
from curate.pipelines.executor.lease import driven
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.match import remove_drops
from curate.pipelines.shards.images import require_pillow
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.shards.stats import ordered
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import NEXT, folder_to_fill
from curate.pipelines.store.workspace import refuse_foreign
from curate.pipelines.views.progress import progress

if TYPE_CHECKING:
    from curate.pipelines.download.options import FetchOptions
    from curate.pipelines.download.part import ShardFiles

__all__ = ["download_images", "undo_download"]

PLAN = artifacts.PLAN
# So that the slowest servers of a shard do not keep the others waiting.
_SHARDS_AT_ONCE = 3


def require_packages() -> None:
    """Check that what downloading needs is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("aiohttp") is None:
        raise MissingExtraError("Downloading images", "download")
    require_pillow("Downloading images")


@driven("download")
def download_images(
    *,
    balanced: str | None = None,
    matched: str | None = None,
    output: str,
    columns: ColumnNames,
    fetch: "FetchOptions",
    shards: ShardOptions,
    per_shard: int,
    metadata: str | None = None,
    retry_failed: bool = False,
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Fetch the images of the kept pairs, or of all matched ones, and write them as shards.

    Args:
        balanced: folder that `balance` wrote, as Parquet; or
        matched: folder that `match` wrote; pairs whose image cannot be had do not count then.
        output: folder of the shards.
        columns: names of the columns of the pairs.
        fetch: how images are asked for.
        shards: how shards are ordered and filled.
        per_shard: pairs in every shard but the last, images or not.
        metadata: folder that it was matched with; None for the one that is noted.
        retry_failed: ask again for what failed in shards that are done.
        workers: threads that resize.
        overwrite: replace what the folder holds.
        dry_run: only tell what there is to do.
        quiet: no progress.

    Returns:
        ``read``, ``downloaded``, ``failed`` by reason, ``opt_outs``, ``shards``, ``bytes`` and
        ``output``; read = downloaded + Σ failed. ``opt_outs``: pairs that each signal of servers
        and hosts touches; a pair may be touched by several. With `matched` also ``matched``: pairs
        that count now.

    Raises:
        ArtifactError: there are no such pairs, or the folder holds something else.
        MissingExtraError: packages are not installed.
    """
    require_packages()
    pairs: SourcePairs
    if matched is not None:
        pairs = MatchedPairs.open(matched, columns)
    else:
        pairs = BalancedPairs.open(balanced or "", columns)
    parameters = {
        "pairs" if matched is None else "pool": pairs.made_from, "pairs_per_shard": per_shard,
        "columns": [pairs.url, pairs.text], "shards": shards.as_dict(),
        "honour_opt_outs": fetch.honour_opt_outs, "host_rules": fetch.host_rules,
    }  # fmt: skip
    digest = artifacts.digest(parameters)
    parts: list[dict[str, Any]] = []
    if isinstance(pairs, MatchedPairs):
        parts = planned_shards(output, parameters, pairs, per_shard, anew=overwrite)
        layout = layout_of_parts(parts)
    else:
        assert isinstance(pairs, BalancedPairs)
        layout = layout_of(pairs, per_shard, shards)
    if dry_run:
        files = _shard_files(output, layout, digest)
        missing = _missing(files, retry_failed=retry_failed)[1]
        return {"pairs": sum(pairs.num_rows), "shards": len(files), "to_do": len(missing)}
    refuse_foreign(output, PLAN)
    gone = [path.rsplit("/", 1)[-1] for path in storage.list_files(output, "")]
    gone = [name for name in gone if name != NEXT]
    with folder_to_fill(output, overwrite=overwrite, marker=PLAN, sign=PLAN, gone=gone) as folder:
        if matched is None:
            artifacts.begin_output(folder, parameters, anew=folder != output)
        else:
            begin_downloaded(folder, parameters, parts, anew=folder != output)
        files = _shard_files(folder, layout, digest)
        done, missing = _missing(files, retry_failed=retry_failed)
        tasks = ShardTasks(
            pairs, layout, files, missing, per_shard, shuffle=shards.window_shards != 0
        )
        with ThreadPoolExecutor(workers) as pool, closing(tasks):
            results = _results(tasks, fetch, shards, pool)
            shown = progress(
                results, total=len(missing), label="download", unit="shard", quiet=quiet
            )
            done.update(shown)
        pairs.require_unchanged()
        found = _summary([done[n] for n in sorted(done)], sum(pairs.num_rows), output)
        # Where not one image came, something is wrong with the network, not with all pairs.
        is_to_count = matched is not None and (found["downloaded"] or not found["read"])
        if is_to_count:
            finish_downloaded(folder, parameters, parts, found)
    if matched is not None and is_to_count:
        found["matched"] = enter_failed(
            output, matched, metadata=metadata, workers=workers, quiet=quiet
        )
    return found


def undo_download(
    *, matched: str, metadata: str | None, workers: int, quiet: bool
) -> dict[str, Any]:
    """Have pairs whose image could not be had count again.

    Returns:
        counted_again: pairs; matched: pairs that count now.
    """
    return remove_drops(matched, LIST, metadata=metadata, workers=workers, quiet=quiet)


def _shard_files(folder: str, layout: list[Place], parameters: str) -> "dict[int, ShardFiles]":
    """Return the files of each shard, by its number."""
    from curate.pipelines.download.part import ShardFiles

    return {number: ShardFiles(folder, number, parameters) for number, *_ in layout}


def _missing(
    files: "dict[int, ShardFiles]", *, retry_failed: bool
) -> tuple[dict[int, dict[str, Any]], list[int]]:
    """Return the statistics of the shards that are done, and the numbers of those to make."""
    done = {n: stats for n, file in files.items() if (stats := file.stats()) is not None}
    again = {n for n, stats in done.items() if retry_failed and _may_come(stats)}
    return done, [n for n in files if n not in done or n in again]


def _may_come(stats: dict[str, Any]) -> bool:
    """Tell whether a shard has failures that are worth another try."""
    from curate.pipelines.download.part import LASTING

    return any(reason not in ("success", *LASTING) for reason in stats["status_dict"])


def _results(
    tasks: ShardTasks, fetch: "FetchOptions", shards: ShardOptions, pool: ThreadPoolExecutor
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the statistics of each shard as it is done."""
    from curate.pipelines.download.fetch import ImageFetcher

    with asyncio.Runner() as runner:
        run = _Run(tasks, ImageFetcher(fetch, shards.resize, pool, shards.image_format))
        try:
            while (result := runner.run(run.next())) is not None:
                yield result
        finally:
            runner.run(run.close())


class _Run:
    """Some shards at once, each a task of the event loop."""

    def __init__(self, tasks: ShardTasks, fetcher: Any) -> None:
        self._tasks, self._fetcher = tasks, fetcher
        self._stack = AsyncExitStack()
        self._running: dict[asyncio.Task[dict[str, Any]], int] = {}
        self._is_begun = False

    async def next(self) -> tuple[int, dict[str, Any]] | None:
        """Wait until a shard is done; None if all are."""
        if not self._is_begun:
            self._is_begun = True
            await self._stack.enter_async_context(self._fetcher)
        await self._begin()
        if not self._running:
            return None
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        task = min(done, key=self._running.__getitem__)
        return self._running.pop(task), task.result()

    async def _begin(self) -> None:
        from curate.pipelines.download.part import download_shard

        while len(self._running) < _SHARDS_AT_ONCE:
            found = await asyncio.to_thread(self._tasks.next)
            if found is None:
                return
            files, rows = found
            making = download_shard(files, self._tasks.pairs, rows, self._fetcher)
            self._running[asyncio.create_task(making)] = files.number

    async def close(self) -> None:
        """Stop what is under way and close the connections."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._stack.aclose()


def _summary(stats: list[dict[str, Any]], num_pairs: int, output: str) -> dict[str, Any]:
    counts, said = Counter[str](), Counter[str]()
    for of_shard in stats:
        counts.update(of_shard["status_dict"])
        said.update(of_shard["opt_outs"])
    downloaded = counts.pop("success", 0)
    if num_pairs != downloaded + counts.total():
        raise ArtifactError(
            f"{output}: of {num_pairs:,} pairs its shards' statistics count {downloaded:,} as "
            f"downloaded and {counts.total():,} as failed. `curate status --verify` says which "
            "shard is not what was written; remove it and run the same command again."
        )
    return {
        "read": num_pairs,
        "downloaded": downloaded,
        "failed": ordered(counts),
        "opt_outs": dict(sorted(said.items())),
        "shards": len(stats),
        "bytes": sum(of_shard["size_bytes"] for of_shard in stats),
        "output": without_secrets(output),
    }
