"""`curate.download`: the URLs of a balanced set in, shards with their images out."""

import os

from curate.api.calls.command import command
from curate.api.calls.options import Folder, Size, num_workers, path_of, place_of, shard_options
from curate.api.results import DownloadResult

__all__ = ["download"]


@command
def download(
    balanced: Folder = None,
    *,
    from_: str = "balanced",
    undo: bool = False,
    retry_failed: bool = False,
    pairs_per_shard: int = 10_000,
    shuffle_shards: int | str = "all",
    image_format: str = "jpg",
    resize: str = "no",
    image_size: int = 256,
    quality: int = 95,
    resize_only_if_bigger: bool = False,
    connections: int = 256,
    per_host: int = 8,
    timeout: float = 30.0,
    retries: int = 2,
    max_image_bytes: Size = "20MB",
    max_redirects: int = 5,
    user_agent: str | None = None,
    ignore_opt_outs: bool = False,
    host_rules: bool = False,
    allow_private_addresses: bool = False,
    url_column: str | None = None,
    text_column: str | None = None,
    matched: Folder = None,
    metadata: Folder = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> DownloadResult:
    """Download the images of the balanced pairs, or of all matched ones, into shards.

    Of all matched ones, those whose image cannot be had count no more: balance what is left then.

    Example: curate download --from matched --resize keep_ratio --image-size 256

    Args:
        from_: balanced; matched, into the workspace's downloaded/, for embed and balance.
        undo: have matched pairs whose image could not be had count again.
        retry_failed: ask again for what failed in done shards.
        connections: requests at once.
        per_host: requests to one host at once.
        timeout: seconds that a request may take.
        retries: after what may pass: 429, 503, timeouts.
        max_image_bytes: larger ones are left out.
        max_redirects: that are followed for one image.
        user_agent: sent to servers; say who you are; default: CURATE_USER_AGENT.
        ignore_opt_outs: take images whose server says no to training, too.
        host_rules: ask each host for robots.txt and tdmrep.json as well, and keep to them.
        allow_private_addresses: fetch from your own network too.
        workers: threads that resize; default: all cores. The result is the same.

    Returns:
        read = downloaded + failed by reason; matched: pairs that count now, if they are all
        matched ones; with dry_run, how many shards there are to do.

    Raises:
        MissingExtraError: the extra `download` is not installed.
        ArtifactError: nothing is balanced or matched, or the folder holds something else.
        InputError: not one image could be had; what failed, and why, is kept in the shards.
        UsageError: an option is out of range.
    """
    from curate.errors import InputError, UsageError
    from curate.files.remedies import suggest
    from curate.files.sizes import parse_size
    from curate.pipelines.download import (
        FetchOptions,
        download_images,
        require_packages,
        undo_download,
    )
    from curate.pipelines.inputs.records import ColumnNames

    require_packages()
    from curate.distribution import USER_AGENT

    place = place_of(workspace)
    if from_ not in ("balanced", "matched"):
        raise UsageError(f"--from is {from_!r}; expected balanced or matched")
    all_matched = from_ == "matched" or undo
    if not all_matched and (matched is not None or metadata is not None):
        raise UsageError("--matched and --metadata go with --from matched")
    if all_matched and balanced is not None:
        raise UsageError("--balanced goes with --from balanced, which is the default")
    folder = path_of(balanced) or place.balanced
    of = (path_of(matched) or place.matched) if all_matched else None
    target = path_of(output) or (f"{folder}/shards" if of is None else place.folder("downloaded"))
    if undo:
        undone = undo_download(
            matched=of or "", metadata=path_of(metadata), workers=num_workers(workers), quiet=quiet
        )
        return DownloadResult(undone, of or "")
    found = download_images(
        balanced=folder if of is None else None,
        matched=of,
        metadata=path_of(metadata),
        output=target,
        columns=ColumnNames(url=url_column, text=text_column),
        fetch=FetchOptions(
            at_once=connections,
            per_host=per_host,
            timeout_s=timeout,
            retries=retries,
            max_bytes=parse_size(str(max_image_bytes), "--max-image-bytes"),
            max_redirects=max_redirects,
            honour_opt_outs=not ignore_opt_outs,
            host_rules=host_rules,
            allow_private=allow_private_addresses,
            user_agent=user_agent or os.environ.get("CURATE_USER_AGENT") or USER_AGENT,
        ),
        shards=shard_options(
            None, shuffle_shards, resize, image_size, quality, resize_only_if_bigger, image_format
        ),
        per_shard=pairs_per_shard,
        retry_failed=retry_failed,
        workers=num_workers(workers),
        overwrite=overwrite,
        dry_run=dry_run,
        quiet=quiet,
    )
    if found.get("failed") and not found["downloaded"]:
        reasons = ", ".join(f"{reason} {num}" for reason, num in found["failed"].items())
        again = ["--retry-failed"]
        why = ""
        if "private_address" in found["failed"] and not allow_private_addresses:
            again.append("--allow-private-addresses")
            why = (
                ". Addresses of your own network are not asked unless --allow-private-addresses "
                "is given, which lets a list of URLs reach every machine of it"
            )
        raise InputError(
            f"{target}: none of {found['read']} images could be had ({reasons}){why}. Its shards "
            f"hold no image; `{suggest('download', *again)}` asks for them again."
        )
    return DownloadResult(found, target)
