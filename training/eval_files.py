"""Files of evaluation sets, local or behind an fsspec URL."""

import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import IO, Any

import fsspec

from metadata.errors import InputError, UsageError

__all__ = ["IMAGE_SUFFIXES", "exists", "find", "folders", "join", "open_read", "read_tar",
           "read_text"]  # fmt: skip

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")


def _filesystem(path: str) -> tuple[Any, str]:
    try:
        filesystem, inside = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{path}: no file system for this URL: {error}") from error
    return filesystem, inside


def join(folder: str, name: str) -> str:
    """Return the path of something in a folder.

    >>> join("s3://sets/a/", "test")
    's3://sets/a/test'
    """
    return f"{folder.rstrip('/')}/{name}"


def exists(path: str) -> bool:
    """Tell whether a file or folder is there."""
    filesystem, inside = _filesystem(path)
    return bool(filesystem.exists(inside))


def open_read(path: str) -> IO[bytes]:
    """Open a file for reading bytes.

    Raises:
        InputError: there is no such file.
    """
    filesystem, inside = _filesystem(path)
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


def folders(path: str) -> list[str]:
    """Return the names of the folders in a folder, sorted."""
    filesystem, inside = _filesystem(path)
    if not filesystem.isdir(inside):
        return []
    found = filesystem.ls(inside, detail=True)
    return sorted(_name(f["name"]) for f in found if f["type"] == "directory")


def find(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files below a folder whose names end in one of `suffixes`, sorted.

    Numbers sort by value: ``2.tar`` comes before ``10.tar``. The path may also be such a file, or
    a pattern.
    """
    filesystem, inside = _filesystem(path)
    if filesystem.isfile(inside):
        return [path] if path.lower().endswith(tuple(f".{s}" for s in suffixes)) else []
    if any(c in inside for c in "*?["):
        found, base = filesystem.glob(inside), ""
    else:
        found, base = filesystem.find(inside), inside.rstrip("/")
    names = [f for f in found if f.lower().endswith(tuple(f".{s}" for s in suffixes))]
    as_given = [join(path, f[len(base) + 1 :]) if base else filesystem.unstrip_protocol(f)
                for f in names]  # fmt: skip
    return sorted((p.removeprefix("file://") for p in as_given), key=_by_number)


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _by_number(path: str) -> tuple[str, int, str]:
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return folder, int(stem) if stem.isdigit() else -1, name


def read_tar(path: str, rank: int, world: int) -> Iterator[tuple[int, str, dict[str, bytes]]]:
    """Yield every `world`-th sample of a WebDataset tar, beginning with the `rank`-th.

    The bytes of the others are passed over.

    Args:
        path: of the tar.
        rank: the first sample to yield.
        world: the step.

    Returns:
        Number, key and the files of each sample by suffix, in lower case.

    Raises:
        InputError: the file is not there, no tar, or cut off.
    """
    with open_read(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                members = (m for m in _whole_members(tar, size) if m.isfile())
                groups = groupby(members, lambda m: _key_and_suffix(m.name)[0])
                for number, (key, group) in enumerate(groups):
                    if number % world == rank:
                        yield (
                            number,
                            key,
                            {_key_and_suffix(m.name)[1]: _read(tar, m) for m in group},
                        )
        except (tarfile.TarError, EOFError) as error:
            raise InputError(
                f"{path}: not a whole tar ({error}). A figure over a part of the set would "
                "mislead; get the file again."
            ) from error


def _whole_members(tar: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """Yield members; a cut-off tar, which tarfile takes for one that just ends, is an error."""
    stop = 0
    for member in tar:
        blocks = -(-member.size // tarfile.BLOCKSIZE) if member.isfile() else 0
        stop = member.offset_data + blocks * tarfile.BLOCKSIZE
        if stop > size:
            raise tarfile.ReadError(f"cut off inside {member.name}")
        yield member
    if stop + tarfile.BLOCKSIZE > size:
        raise tarfile.ReadError("cut off: there is no end-of-archive block")


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _key_and_suffix(name: str) -> tuple[str, str]:
    """Split as WebDataset does: at the first point of the file name.

    >>> _key_and_suffix("a.b/s01.JPG")
    ('a.b/s01', 'jpg')
    """
    folder, _, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), suffix.lower()
