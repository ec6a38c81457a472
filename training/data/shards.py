"""Tars in, places of samples out; and the bytes of a sample whenever they are asked for.

A shard's headers are read once, from its beginning to its end, which also brings its pages into
the page cache; of its samples, 8 numbers each are kept. Bytes are read by place, so that any
process can read any sample, and nothing but the samples in work is in the process's memory.
"""

import io
import mmap
import os
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import InputError
from curate.files.storage import filesystem_of, is_remote, join, local_path
from curate.training.data.captions import TEXT_SUFFIXES
from curate.training.data.tar_kernels import FIELDS, UNUSUAL, WHOLE, find_samples, gather

__all__ = [
    "IMAGE_KEYS",
    "OpenFile",
    "OpenShards",
    "ShardIndex",
    "gather_strings",
    "index_shard",
    "list_shards",
    "open_local",
]

IMAGE_KEYS = ("jpg", "jpeg", "png", "webp")
_MAX_OPEN = 64
OpenFile = Callable[[str], int]  # from the path of a shard to a file descriptor


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the samples of a tar are.

    Attributes:
        path: of the tar.
        places: offset and size of key, image, text and JSON; -1 and 0 for what is missing; a key
            of size -1 stands in several headers, of which the first begins there; int64, shape
            (num_samples, 8).
        is_whole: it is neither damaged nor cut off.
    """

    path: str
    places: NDArray[np.int64]
    is_whole: bool

    @property
    def image(self) -> NDArray[np.int64]:
        """Offset and size of each image, (num_samples, 2)."""
        return self.places[:, 2:4]

    @property
    def text(self) -> NDArray[np.int64]:
        """Offset and size of each text, (num_samples, 2)."""
        return self.places[:, 4:6]

    @property
    def json(self) -> NDArray[np.int64]:
        """Offset and size of each JSON, (num_samples, 2)."""
        return self.places[:, 6:8]


def list_shards(path: str) -> list[str]:
    """Return the tars of a folder in order, or those that a pattern or the path itself names.

    Args:
        path: local, or an fsspec URL.

    Raises:
        InputError: there is none.
    """
    filesystem, inside = filesystem_of(path)
    if filesystem.isdir(inside):
        names = (found.rstrip("/").rpartition("/")[2] for found in filesystem.ls(inside, False))
        shards = sorted(join(path, name) for name in names if name.endswith(".tar"))
    elif any(c in inside for c in "*?[") and not filesystem.exists(inside):
        shards = sorted(filesystem.glob(inside))
        shards = [filesystem.unstrip_protocol(s) if is_remote(path) else s for s in shards]
    else:
        shards = [path] if filesystem.isfile(inside) else []
    if not shards:
        raise InputError(
            f"{path}: there are no shards (*.tar) here. `curate balance` writes them from pairs "
            "that have images; where they have URLs, `curate download` fetches the images."
        )
    return [local_path(shard) for shard in shards]


def open_local(path: str) -> int:
    """Open a file for reading; return its descriptor, which the caller closes."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))


@contextmanager
def _opened(path: str, open_file: OpenFile) -> Iterator[int]:
    try:
        descriptor = open_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}). Check its disk.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _mapped(descriptor: int) -> NDArray[np.uint8]:
    """Map a file into memory, to be read from its beginning to its end."""
    if not os.fstat(descriptor).st_size:
        return np.zeros(0, np.uint8)
    data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    data.madvise(mmap.MADV_SEQUENTIAL)
    return np.frombuffer(data, np.uint8)  # unmapped when nobody looks into it any more


def index_shard(path: str, open_file: OpenFile = open_local) -> ShardIndex:
    """Read the headers of a tar.

    Args:
        path: of the tar.
        open_file: opens it.

    Raises:
        InputError: it cannot be opened.
    """
    with _opened(path, open_file) as descriptor:
        data = _mapped(descriptor)
        samples = np.empty((len(data) // 1024 + 1, FIELDS), np.int64)
        num, state = find_samples(data, samples)
        if state == UNUSUAL:
            return _index_with_tarfile(path, descriptor)
    return ShardIndex(path, samples[:num].copy(), is_whole=state == WHOLE)


def gather_strings(
    path: str, places: NDArray[np.int64], filler: bytes, open_file: OpenFile = open_local
) -> pa.BinaryArray:
    """Read pieces of a shard, all at once.

    Args:
        path: of the tar.
        places: offset and size of each piece, inside of the tar; shape (n, 2).
        filler: what stands for a piece of no size.
        open_file: opens the tar.

    Returns:
        binary, shape (n,).

    Raises:
        InputError: the shard cannot be opened, or what is asked for is too much for one array.
    """
    room = int(np.where(places[:, 1] > 0, places[:, 1], len(filler)).sum())
    if room >= 1 << 31:
        raise InputError(f"{path}: JSON of {room:,} bytes; expected less than 2 GiB in a shard")
    out, offsets = np.empty(room, np.uint8), np.empty(len(places) + 1, np.int32)
    with _opened(path, open_file) as descriptor:
        data = _mapped(descriptor)
        gather(data, np.ascontiguousarray(places), np.frombuffer(filler, np.uint8), out, offsets)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(out)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(places), buffers)


def _index_with_tarfile(path: str, descriptor: int) -> ShardIndex:
    """Read a tar with long names and the like; slower by far."""
    size = os.fstat(descriptor).st_size
    rows: list[list[int]] = []
    is_whole = True
    try:
        with (
            os.fdopen(os.dup(descriptor), "rb") as file,
            tarfile.open(fileobj=file, mode="r:") as tar,
        ):
            files = (member for member in tar if member.isfile())
            for _, members in groupby(files, lambda member: _key_and_suffix(member.name)[0]):
                found = [m for m in members if m.offset_data + m.size <= size]
                if not found:
                    break
                rows.append(_row(found))
            is_whole = tar.offset + tarfile.BLOCKSIZE <= size
    except tarfile.TarError:
        is_whole = False
    return ShardIndex(path, np.array(rows, np.int64).reshape(-1, FIELDS), is_whole=is_whole)


def _row(members: Sequence[tarfile.TarInfo]) -> list[int]:
    found = {_key_and_suffix(m.name)[1]: (m.offset_data, m.size) for m in members}
    image = next((found[k] for k in IMAGE_KEYS if k in found), (-1, 0))
    texts = (found[k] for k in TEXT_SUFFIXES if k in found)
    text = next((place for place in texts if place[1]), (-1, 0))
    # A key that does not stand in one header is read with tarfile when it is asked for.
    return [
        *(members[0].offset, -1),
        *image,
        *text,
        *found.get("json", (-1, 0)),
    ]


def _key_and_suffix(name: str) -> tuple[str, str]:
    folder, _, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), suffix.lower()


class _OpenFile:
    """A file that is closed when the last thread lets go of it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class OpenShards:
    """Reads bytes of shards by place, from any thread; the files used last stay open.

    Args:
        open_file: opens a shard.
    """

    def __init__(self, open_file: OpenFile = open_local) -> None:
        self.open_file = open_file
        self._files: OrderedDict[str, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Return bytes of a shard.

        Raises:
            OSError: it cannot be read, or ends before.
        """
        file = self._open(path)
        content = os.pread(file.descriptor, size, offset)
        if len(content) != size:
            raise OSError(f"{path}: ends at byte {offset + len(content)}, expected {offset + size}")
        return content

    def key(self, index: ShardIndex, number: int) -> str:
        """Return the key of a sample, without the folders in front of it.

        Raises:
            OSError: the shard cannot be read.
        """
        offset, size = index.places[number, :2].tolist()
        if size >= 0:
            return self.read(index.path, offset, size).decode("utf-8", "replace")
        first = min(at for at in index.places[number, 2::2].tolist() if at >= 0)
        content = self.read(index.path, offset, first - offset)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            member = next(iter(tar))
        return _key_and_suffix(member.name)[0].rpartition("/")[2]

    def _open(self, path: str) -> _OpenFile:
        with self._lock:
            if path in self._files:
                self._files.move_to_end(path)
                return self._files[path]
        # Outside of the lock: a shard from afar takes its time, and others are read meanwhile.
        file = _OpenFile(self.open_file(path))
        with self._lock:
            self._files[path] = file
            if len(self._files) > _MAX_OPEN:
                self._files.popitem(last=False)
        return file
