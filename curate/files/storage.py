"""Files, local or behind an fsspec URL: read them, list them, and publish them whole or not at all.

A local file is written under a temporary name in its own folder, synced and renamed. An object
store shows an object only once its upload has completed, which is the same guarantee; its size is
then compared with what was written. Credentials and endpoints come from the usual environment.
"""

import json
import mmap
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow as pa
from fsspec.utils import infer_compression

from curate.errors import ArtifactError, InputError, UsageError
from curate.files.decompression import decompressed
from curate.files.own_json import OwnObject, parse_own
from curate.files.paths import join

__all__ = [
    "create_json",
    "exists",
    "file_sha256",
    "filesystem_of",
    "is_file",
    "is_folder",
    "is_local",
    "is_remote",
    "join",
    "list_files",
    "local_path",
    "map_file",
    "move_or_copy",
    "open_arrow",
    "open_read",
    "publish",
    "read_bytes",
    "read_json",
    "read_text",
    "remove",
    "write_json",
]

_CHUNK_BYTES = 1 << 20
_TEMPORARY = ".tmp-"
_LOCAL = fsspec.filesystem("file")


def filesystem_of(path: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and its name for the path.

    Raises:
        UsageError: there is none of this protocol.
    """
    if "://" not in path and "::" not in path:  # as `url_to_fs` says, at a tenth of its time
        return _LOCAL, _LOCAL._strip_protocol(path)
    fresh = {} if is_local(path) or "::" in path else {"use_listings_cache": False}  # others write
    try:
        filesystem, inside = fsspec.core.url_to_fs(path, **fresh)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{path}: no file system for this URL: {error}") from error
    return filesystem, inside


def is_local(path: str) -> bool:
    """Tell whether a path names a local file."""
    return "://" not in path or path.startswith(("file://", "local://"))


def is_remote(path: str) -> bool:
    """Tell whether a path is a URL of something that is not on a disk of this machine.

    >>> is_remote("s3://bucket/a.tar"), is_remote("file:///a.tar"), is_remote("a.tar")
    (True, False, False)
    """
    return not is_local(path)


def exists(path: str) -> bool:
    """Tell whether a file or folder is there."""
    filesystem, inside = filesystem_of(path)
    return bool(filesystem.exists(inside))


def is_file(path: str) -> bool:
    """Tell whether a file is there."""
    filesystem, inside = filesystem_of(path)
    return bool(filesystem.isfile(inside))


def is_folder(path: str) -> bool:
    """Tell whether a folder is there."""
    filesystem, inside = filesystem_of(path)
    return bool(filesystem.isdir(inside))


def open_read(path: str, *, decompress: bool = False) -> IO[bytes]:
    """Open a file for reading bytes.

    Args:
        path: local path or fsspec URL.
        decompress: undo the compression that the file's name ends in (.gz, .bz2, .zst, …).

    Raises:
        InputError: there is no such file, or it is a pipe.
        OSError: while it is read: it is damaged.
    """
    filesystem, inside = filesystem_of(path)
    if is_local(path) and Path(local_path(path)).is_fifo():
        raise InputError(
            f"{path}: a pipe, which can be read only once; expected a file, since its checksum is "
            "taken too. Write it to a file first."
        )
    compression = infer_compression(path) if decompress else None
    try:
        opened: IO[bytes] = filesystem.open(inside, "rb", compression=compression)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path}: there is no such file") from error
    return decompressed(opened) if compression else opened


def read_text(path: str) -> str:
    """Read a UTF-8 file.

    Raises:
        InputError: there is no such file, or it is not UTF-8.
    """
    with open_read(path) as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error


def read_bytes(path: str, start: int = 0) -> bytes:
    """Return a file's bytes from `start` on.

    One request to a store: a file that is replaced meanwhile is seen as it was or as it is, where
    an opened one would be refused as another than the one that was looked up.

    Raises:
        InputError: there is no such file.
    """
    filesystem, inside = filesystem_of(path)
    try:
        return bytes(filesystem.cat_file(inside, start=start or None))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error


def open_arrow(path: str) -> Any:
    """Open a file for Arrow: a local one read by Arrow itself, without the interpreter's lock.

    Raises:
        InputError: there is no such file.
    """
    if not is_local(path):
        return open_read(path)
    try:
        return pa.OSFile(local_path(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error


def local_path(path: str) -> str:
    """Return a local path as the operating system takes it, without a protocol.

    >>> local_path("file:///data/a.tar")
    '/data/a.tar'
    """
    return path.removeprefix("file://").removeprefix("local://")


def map_file(path: str) -> Any:
    """Return a file's bytes: a local file mapped into memory and shared, a remote one read.

    Raises:
        ArtifactError: there is no such file.
    """
    if not exists(path):
        raise ArtifactError(f"{path}: there is no such file")
    if not is_local(path):
        with open_read(path) as file:
            return file.read()
    with Path(local_path(path)).open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def list_files(folder: str, suffix: str) -> list[str]:
    """Return the paths of a folder's files whose names end in `suffix`, sorted; [] without it."""
    filesystem, inside = filesystem_of(folder)
    if not filesystem.isdir(inside):
        return []
    names = sorted(os.path.basename(p.rstrip("/")) for p in filesystem.ls(inside, detail=False))
    return [join(folder, n) for n in names if n.endswith(suffix) and not n.startswith(_TEMPORARY)]


@contextmanager
def publish(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only if the block succeeds."""
    if not is_local(path):
        with _upload(path) as remote:
            yield remote
        return
    target = Path(local_path(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}-{target.name}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


@contextmanager
def _upload(path: str) -> Iterator[IO[bytes]]:
    """Upload to an object store, in several parts if it is much, and look that it is all there.

    Raises:
        ArtifactError: the store has another number of bytes than were written.
    """
    filesystem, inside = filesystem_of(path)
    remote = filesystem.open(inside, "wb", autocommit=False)
    try:
        yield remote
        num_bytes = remote.tell()
        remote.close()
    except BaseException:
        remote.discard()
        raise
    remote.commit()
    found = int(filesystem.info(inside)["size"])
    if found != num_bytes:
        raise ArtifactError(
            f"{path}: {num_bytes} bytes were uploaded and the store has {found}. "
            "Run the same command again."
        )


def create_json(path: str, value: Any) -> bool:
    """Write a JSON file unless one of that name is there; tell whether it was written.

    Of several that try at once one succeeds, where the file system or the store can do that.
    """
    content = json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
    if not is_local(path):
        filesystem, inside = filesystem_of(path)
        if filesystem.exists(inside):
            return False
        try:
            filesystem.pipe_file(inside, content, mode="create")
        except FileExistsError:
            return False
        return True
    target = Path(local_path(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}-{target.name}")
    try:
        temporary.write_bytes(content)
        os.link(temporary, target)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    """Remove a file, or a folder with all that is in it; nothing happens if it is not there."""
    filesystem, inside = filesystem_of(path)
    if filesystem.exists(inside):
        filesystem.rm(inside, recursive=True)


def move_or_copy(source: str, target: str) -> None:
    """Give a file or folder another name, where nothing is yet; in a store, copy it."""
    filesystem, inside = filesystem_of(source)
    if is_local(source):
        path = Path(local_path(target))
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(local_path(source)).rename(path)
        _sync_folder(path.parent)
        return
    filesystem.copy(inside, filesystem_of(target)[1], recursive=filesystem.isdir(inside))


def remove_leftovers(folder: str) -> None:
    """Remove the temporary files and folders that killed runs left in a local folder or below."""
    if is_local(folder) and Path(local_path(folder)).is_dir():
        for leftover in list(Path(local_path(folder)).rglob(f"{_TEMPORARY}*")):
            remove(str(leftover))


def file_sha256(path: str) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    digest = sha256()
    with open_read(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def size_and_time(path: str) -> tuple[int, str]:
    """Return a file's size in bytes and when it was last modified, as its file system tells it."""
    filesystem, inside = filesystem_of(path)
    return size_and_time_in(filesystem.info(inside))


def size_and_time_in(info: Any) -> tuple[int, str]:
    """Return size and time of the last change out of what a file system says of a file."""
    modified = next((info[k] for k in ("mtime", "LastModified", "created") if k in info), "")
    return int(info["size"]), str(modified)


def write_json(path: str, value: Any) -> None:
    """Publish a value as indented JSON."""
    with publish(path) as file:
        file.write(json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")


def read_json(path: str) -> OwnObject:
    """Read a JSON file of ours.

    Raises:
        ArtifactError: it is not JSON, or no object; also when a key is asked for that it lacks.
    """
    return parse_own(read_bytes(path), path)
