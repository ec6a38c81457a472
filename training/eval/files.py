"""Folders and tars of evaluation sets, local or behind an fsspec URL."""

import tarfile
from collections.abc import Iterator
from itertools import groupby

from curate.errors import InputError
from curate.files.storage import filesystem_of, join, open_read

__all__ = ["IMAGE_SUFFIXES", "find", "folders", "read_tar", "whole_members"]

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")


def folders(path: str) -> list[str]:
    """Return the names of the folders in a folder, sorted."""
    filesystem, inside = filesystem_of(path)
    if not filesystem.isdir(inside):
        return []
    found = filesystem.ls(inside, detail=True)
    return sorted(_name(f["name"]) for f in found if f["type"] == "directory")


def find(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files below a folder whose names end in one of `suffixes`, sorted.

    Numbers sort by value: ``2.tar`` comes before ``10.tar``. The path may also be such a file, or
    a pattern.
    """
    filesystem, inside = filesystem_of(path)
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
                members = (m for m in whole_members(tar, size) if m.isfile())
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


def whole_members(tar: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
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
