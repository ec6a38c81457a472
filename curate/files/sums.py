"""Checksums of files that cannot hold their own: `sums.json` in a folder, by path from there.

Weights, tokenizers and pages for people are written as other programs read them; what they are is
listed beside them, before they appear under their names. A shard is noted beside itself.
"""

from collections.abc import Iterable, Mapping
from typing import IO, Any

import xxhash

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.paths import join
from curate.files.remedies import damaged
from curate.files.sealed_json import CHECKSUM, read_json, read_json_of_anyone, write_json

__all__ = [
    "SUMS",
    "SummedFile",
    "add_sums",
    "check_file",
    "check_listed",
    "check_shard",
    "check_sum",
    "file_sum",
    "has_right_size",
    "has_sums",
    "read_sums",
    "shard_record",
    "shard_sum",
]

SUMS = "sums.json"
_BESIDE = (".json", "_stats.json")  # of a shard: the note of `balance`, or of `download`
_CHUNK_BYTES = 4 << 20

Sum = Mapping[str, Any]


class SummedFile:
    """A file for writing that sums what goes through it, from the beginning to the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = xxhash.xxh3_128()
        self._size = 0

    def write(self, data: Any) -> int:
        """Take bytes."""
        self._file.write(data)
        self._digest.update(data)
        self._size += memoryview(data).nbytes
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Do nothing: whoever publishes the file does."""

    @property
    def sum(self) -> dict[str, Any]:
        """Size and checksum of all that was written."""
        return {"size_bytes": self._size, "xxh3_128": self._digest.hexdigest()}


def file_sum(path: str) -> dict[str, Any]:
    """Return the size and the checksum of a file.

    Raises:
        InputError: there is no such file.
    """
    digest, size = xxhash.xxh3_128(), 0
    with storage.open_read(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return {"size_bytes": size, "xxh3_128": digest.hexdigest()}


def has_sums(folder: str, sums: Mapping[str, str]) -> bool:
    """Tell whether files are those that were written; not so if one is missing or unreadable.

    Args:
        folder: of the files.
        sums: xxh3_128 of each, by name.
    """
    try:
        return all(file_sum(join(folder, n))["xxh3_128"] == one for n, one in sums.items())
    except (InputError, OSError):
        return False


def check_sum(path: str, expected: Sum) -> None:
    """Compare a file with what was written.

    Raises:
        ArtifactError: it is not that, or not there.
    """
    if not storage.exists(path):
        damaged(path, "it is not there")
    found = file_sum(path)
    if found["size_bytes"] != expected["size_bytes"]:
        damaged(path, f"it has {found['size_bytes']} bytes, expected {expected['size_bytes']}")
    if found["xxh3_128"] != expected["xxh3_128"]:
        damaged(path, "its checksum differs")


def read_sums(folder: str) -> dict[str, dict[str, Any]]:
    """Return the sums of a folder, by path from there; {} where there are none."""
    path = join(folder, SUMS)
    if not storage.exists(path):
        return {}
    found = read_json(path)["files"]
    with of_ours(path):
        sums = {str(name): _as_sum(one) for name, one in found.items()}
    for name in sums:
        if name.startswith("/") or ".." in name.split("/") or "\0" in name or "://" in name:
            damaged(path, f"{name!r} leads out of the folder")
    return sums


def _as_sum(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"size_bytes": int(values["size_bytes"]), "xxh3_128": str(values["xxh3_128"])}


def add_sums(folder: str, sums: Mapping[str, Sum], *, keep: Iterable[str] | None = None) -> None:
    """Add sums to those of a folder.

    Args:
        folder: that `sums.json` is in.
        sums: by path from there.
        keep: of those that are there, the ones that stay; None for all.
    """
    known = read_sums(folder)
    wanted = set(known if keep is None else keep)
    files = {name: one for name, one in known.items() if name in wanted} | dict(sums)
    write_json(join(folder, SUMS), {"files": dict(sorted(files.items()))})


def check_file(path: str) -> None:
    """Compare a file with the sum that is listed beside it, or beside its folder of checkpoints.

    Raises:
        ArtifactError: it is not what was written.
    """
    folder, _, name = path.rpartition("/")
    if folder.endswith("/checkpoints"):
        folder, name = folder.rpartition("/")[0], f"checkpoints/{name}"
    check_listed(folder or ".", name)


def check_listed(folder: str, name: str, *, must: bool = False) -> None:
    """Compare a file of a folder with its sum.

    Args:
        folder: that `sums.json` is in, or is not.
        name: of the file, by path from there.
        must: whether a file that has none is refused; else it may be somebody else's.

    Raises:
        ArtifactError: it is not what was written.
    """
    expected = read_sums(folder).get(name)
    if expected is not None:
        check_sum(join(folder, name), expected)
    elif must:
        damaged(join(folder, name), f"{SUMS} has no checksum of it")


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
                with of_ours(path):
                    return {**found, **{name: _as_sum(found[name]) for name in ("tar", "index")}}
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
