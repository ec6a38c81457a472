"""What a source file is and where it came from: the note beside every file that was downloaded.

The note (``<file>.source.json``) is written before the file gets its name and stays when the file
is dropped, so whoever needs the file's date, size and checksum never has to have it.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from curate.errors import InputError
from curate.files.addresses import without_secrets
from curate.files.sealed_json import CHECKSUM, value_sum

__all__ = ["NOTE_SUFFIX", "RemoteFile", "Source", "hash_file", "publish_json", "read_note",
           "read_source", "remote_file"]  # fmt: skip

Made = TypeVar("Made")

NOTE_SUFFIX = ".source.json"
_CHUNK_BYTES = 1 << 20
_NOT_OURS = (AttributeError, KeyError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        name: what it is called here.
        url: where it is.
        date: what it is of, such as the day of the dump: ``20260101``.
        size_bytes: as listed by the server; None if it says nothing.
        sha1: hexadecimal, as listed by the server; None if it says nothing.
        sha256: as `sha1`.
    """

    name: str
    url: str
    date: str
    size_bytes: int | None = None
    sha1: str | None = None
    sha256: str | None = None

    @property
    def is_summed(self) -> bool:
        """Whether the server lists a checksum, which tells in the end whether it is this file."""
        return self.sha1 is not None or self.sha256 is not None

    def __post_init__(self) -> None:
        """Refuse a name that leads out of a folder: lists of servers and notes are not ours.

        Raises:
            InputError: it does.
        """
        if self.name in ("", ".", "..") or "/" in self.name or "\0" in self.name:
            raise InputError(f"{self.url}: a file called {self.name!r}; expected a name")

    def at(self, old: str, new: str) -> "RemoteFile":
        """Return the same file on another server.

        Args:
            old: address of the server that it was listed by, as it was written down.
            new: of the other one.

        Raises:
            InputError: it was not listed there.
        """
        if not self.url.startswith(old.rstrip("/") + "/"):
            raise InputError(
                f"{self.url}: noted as a file of {old}, and not there. Remove the note and run the "
                "same command again."
            )
        return replace(self, url=new.rstrip("/") + self.url.removeprefix(old.rstrip("/")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that was downloaded; size and hashes are those of the bytes on the disk."""

    name: str
    url: str
    date: str
    size_bytes: int
    sha1: str
    sha256: str

    def write_note(self, folder: Path) -> None:
        """Write the note of this file into its folder."""
        publish_json(folder / (self.name + NOTE_SUFFIX), asdict(self))


def read_source(path: Path) -> Source | None:
    """Read the note of a file, there or dropped; None if it was not downloaded by us.

    Raises:
        InputError: the note is damaged.
    """
    note = path.with_name(path.name + NOTE_SUFFIX)
    if not note.is_file():
        return None
    remedy = "Remove it and the file beside it; both are made again."
    return read_note(note, lambda values: _typed(Source, values), "the note of a download", remedy)


def remote_file(values: Any) -> RemoteFile:
    """Return the file that a note tells of.

    Raises:
        TypeError: it is not told so.
        InputError: its name leads out of a folder.
    """
    return _typed(RemoteFile, values)


def _typed(kind: type[Made], values: Any) -> Made:
    made = kind(**values)
    for name, value in values.items():
        is_number = name == "size_bytes"
        may_lack = kind is RemoteFile and name in ("size_bytes", "sha1", "sha256")
        if type(value) is not (int if is_number else str) and not (may_lack and value is None):
            raise TypeError(f"{name} is a {type(value).__name__}")
    return made


def read_note(
    path: Path, make: Callable[[Any], Made], what: str, remedy: str, *, must: bool = False
) -> Made:
    """Read a note that `publish_json` wrote.

    Args:
        path: of the note.
        make: makes of its values what is returned.
        what: it is, for the message.
        remedy: likewise.
        must: refuse one without a checksum, as earlier versions wrote.

    Raises:
        InputError: it is damaged, or not what it should be.
    """
    try:
        values = json.loads(path.read_bytes())
        found = values.pop(CHECKSUM, None) if isinstance(values, dict) else None
        if (must or found is not None) and found != value_sum(values):
            raise ValueError("its checksum differs, or is not there")
        return make(values)
    except _NOT_OURS as error:
        raise InputError(
            f"{path}: not readable as {what} ({type(error).__name__}: {error}). {remedy}"
        ) from error


def hash_file(path: Path) -> tuple[int, str, str]:
    """Return a file's size in bytes, its sha1 and its sha256, in hexadecimal."""
    size, sha1, sha256 = 0, hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            sha1.update(chunk)
            sha256.update(chunk)
    return size, sha1.hexdigest(), sha256.hexdigest()


def publish_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all; addresses in it lose their secrets.

    An object gets the checksum of its values as its last key, which `read_note` compares.
    """
    value = json.loads(json.dumps(_without_secrets(value), ensure_ascii=False))
    if isinstance(value, dict):
        value[CHECKSUM] = value_sum(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(inside) for inside in value]
    return without_secrets(value) if isinstance(value, str) else value
