"""Files of the user's, local or behind an fsspec URL."""

from typing import IO, Any

import fsspec

from metadata.errors import InputError, UsageError

__all__ = [
    "exists", "filesystem_of", "is_file", "is_folder", "is_remote", "join", "local_path",
    "open_read", "read_text",
]  # fmt: skip

_LOCAL = ("file://", "local://")


def filesystem_of(path: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path inside of it.

    Raises:
        UsageError: there is none for such a URL.
    """
    try:
        filesystem, inside = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{path}: no file system for this URL: {error}") from error
    return filesystem, inside


def is_remote(path: str) -> bool:
    """Tell whether a path is a URL of something that is not on a disk of this machine.

    >>> is_remote("s3://bucket/a.tar"), is_remote("file:///a.tar"), is_remote("a.tar")
    (True, False, False)
    """
    return "://" in path and not path.startswith(_LOCAL)


def local_path(path: str) -> str:
    """Return a local path as the operating system takes it.

    >>> local_path("file:///data/a.tar")
    '/data/a.tar'
    """
    for protocol in _LOCAL:
        path = path.removeprefix(protocol)
    return path


def join(folder: str, *names: str) -> str:
    """Return the path of something in a folder.

    >>> join("s3://sets/a/", "test")
    's3://sets/a/test'
    """
    return "/".join([folder.rstrip("/"), *names])


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


def open_read(path: str) -> IO[bytes]:
    """Open a file for reading bytes.

    Raises:
        InputError: there is no such file.
    """
    filesystem, inside = filesystem_of(path)
    try:
        opened: IO[bytes] = filesystem.open(inside, "rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path}: there is no such file") from error
    return opened


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
