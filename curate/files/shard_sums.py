"""The note beside a shard: `NNNNN.json` of `balance`, `NNNNN_stats.json` of `download`."""

from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.remedies import damaged
from curate.files.sealed_json import CHECKSUM, read_json_of_anyone
from curate.files.sums import check_sum

__all__ = ["check_shard", "has_right_size", "shard_record", "shard_sum"]

_BESIDE = (".json", "_stats.json")


def shard_record(tar: str) -> dict[str, Any] | None:
    """Return what is noted beside a shard of ours; None beside one of somebody else's.

    Raises:
        ArtifactError: the note is damaged.
    """
    for suffix in _BESIDE:
        path = tar.removesuffix(".tar") + suffix
        if storage.exists(path):
            found = read_json_of_anyone(path)
            if isinstance(found, dict) and CHECKSUM in found and "tar" in found:
                return found
    return None


def shard_sum(tar: str) -> str | None:
    """Return the checksum that a shard of ours has to have; None for somebody else's."""
    record = shard_record(tar)
    return None if record is None else str(record["tar"]["xxh3_128"])


def has_right_size(tar: str, record: dict[str, Any]) -> bool:
    """Tell whether a shard and its index are there, as long as they were when they were written."""
    index = tar.removesuffix(".tar") + ".idx"
    return all(
        storage.exists(path) and storage.size_and_time(path)[0] == record[name]["size_bytes"]
        for path, name in ((tar, "tar"), (index, "index"))
    )


def check_shard(tar: str) -> None:
    """Compare a shard of ours and its index with what was written.

    Raises:
        ArtifactError: they are not that, or nothing says what they should be.
    """
    try:
        record = shard_record(tar)
    except ArtifactError as error:
        raise ArtifactError(f"{tar}: {error}") from error
    if record is None:
        damaged(tar, "there is no note of its checksum beside it, so it was not finished")
    check_sum(tar, record["tar"])
    check_sum(tar.removesuffix(".tar") + ".idx", record["index"])
