"""Tars in, places of samples out; and the bytes of a sample whenever they are asked for.

A shard's headers are read once, from its beginning to its end, which also brings its pages into
the page cache; of its samples, 8 numbers each are kept. Bytes are read by place, so that any
process can read any sample, and nothing but the samples in work is in the process's memory.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.errors import InputError
from curate.files.remedies import damaged
from curate.files.storage import filesystem_of, is_remote, join, local_path
from curate.training.tars import kernels as k
from curate.training.tars.headers import read_header
from curate.training.tars.members import MappedTar, map_descriptor, scan
from curate.training.tars.names import IMAGE_SUFFIXES
from curate.training.tars.promised import Listing, by_name, missing_tars, promised_samples
from curate.training.tars.samples import TarSamples, find_samples

__all__ = [
    "IMAGE_KEYS",
    "OpenFile",
    "OpenShards",
    "ShardIndex",
    "gather_strings",
    "index_shard",
    "list_shards",
    "lost_shard",
    "open_local",
]

IMAGE_KEYS = IMAGE_SUFFIXES
_PLACES = 8
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
        num_missing: samples that its index or statistics promise and that are not there.
    """

    path: str
    places: NDArray[np.int64]
    is_whole: bool
    num_missing: int = 0

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


def list_shards(path: str, listings: dict[str, Listing] | None = None) -> list[str]:
    """Return the tars of a folder in order, or those that a pattern or the path itself names.

    Of a folder, also those that are not there but whose index or statistics are: `index_shard`
    then tells how many samples are missing with them.

    Args:
        path: local, or an fsspec URL.
        listings: gets what a store has said of all files of the folder, so that it need not be
            asked again, which takes seconds where there are many.

    Raises:
        InputError: there is none.
    """
    filesystem, inside = filesystem_of(path)
    if filesystem.isdir(inside):
        if is_remote(path):
            listing = by_name(filesystem.ls(inside, detail=True))
        else:  # names alone: on a disk, all that is said beside them costs
            listing = by_name({"name": name} for name in filesystem.ls(inside, detail=False))
        names = [name for name in listing if not name.startswith((".", "_"))]
        tars = [name for name in names if name.endswith(".tar")]
        shards = sorted(join(path, name) for name in [*tars, *missing_tars(names)] if tars)
        if listings is not None and shards and is_remote(path):
            listings[shards[0].rpartition("/")[0]] = listing
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


def index_shard(
    path: str, open_file: OpenFile = open_local, expected: str | None = None
) -> ShardIndex:
    """Read the headers of a tar.

    Args:
        path: of the tar.
        open_file: opens it.
        expected: xxh3_128 of the tar, which is compared; None where nobody knows it.

    Raises:
        InputError: it cannot be opened, and nothing beside it says that it should be there.
        ArtifactError: it is not what was written.
    """
    promised = promised_samples(path)
    try:
        with _opened(path, open_file) as descriptor:
            data = map_descriptor(descriptor)
    except InputError as error:
        if promised is None or not _is_missing(error):
            raise
        return ShardIndex(path, np.empty((0, _PLACES), np.int64), not promised, promised)
    if expected is not None and xxhash.xxh3_128_hexdigest(data.data) != expected:
        damaged(path, "its checksum differs, or it was replaced since the run began")
    members = scan(MappedTar(data))
    found = find_samples(members)
    num_missing = max(0, (promised or 0) - len(found))
    is_whole = members.problem is None and not num_missing
    return ShardIndex(path, _places(found), is_whole, num_missing)


def lost_shard(path: str, num_samples: int) -> ShardIndex:
    """Return the index of a shard that is not there: no samples, and so many are missing."""
    return ShardIndex(path, np.empty((0, _PLACES), np.int64), True, num_samples)


def _is_missing(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, FileNotFoundError):
        error = error.__cause__
    return error is not None


def _places(samples: TarSamples) -> NDArray[np.int64]:
    """Return where key, image, text and JSON of each sample are; int64, shape (num_samples, 8)."""
    table = samples.members.table
    first = samples.order[samples.starts[:-1]]
    places = np.empty((len(samples), _PLACES), np.int64)
    has_plain_name = table[first, k.NAME] >= 0
    places[:, 0] = np.where(has_plain_name, table[first, k.KEY], table[first, k.HEADER])
    places[:, 1] = np.where(has_plain_name, table[first, k.KEY_LENGTH], -1)
    parts = (samples.image, samples.text, samples.json)
    for column, part in zip((2, 4, 6), parts, strict=True):
        is_there = part >= 0
        places[:, column] = np.where(is_there, table[part, k.CONTENT] if len(table) else -1, -1)
        places[:, column + 1] = np.where(is_there, table[part, k.SIZE] if len(table) else 0, 0)
    return places


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
        data = map_descriptor(descriptor)
        k.gather(data, np.ascontiguousarray(places), np.frombuffer(filler, np.uint8), out, offsets)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(out)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(places), buffers)


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
        self._open_file = open_file
        self._identities: dict[str, tuple[int, ...]] = {}
        self._files: OrderedDict[str, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def open_file(self, path: str) -> int:
        """Open a shard; return its descriptor, which the caller closes.

        Raises:
            OSError: it cannot be opened.
            InputError: another file has taken its place since it was opened first.
        """
        descriptor = self._open_file(path)
        found = os.fstat(descriptor)
        identity: tuple[int, ...] = (found.st_size,)
        if not is_remote(path):  # copies of remote ones come and go, named by version and size
            identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if self._identities.setdefault(path, identity) != identity:
            os.close(descriptor)
            raise InputError(
                f"{path} was replaced while it was read. Run the same command again once nothing "
                "writes there."
            )
        return descriptor

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
        """Return the key of a sample, with the folders in front of it.

        Raises:
            OSError: the shard cannot be read.
        """
        offset, size = index.places[number, :2].tolist()
        if size >= 0:
            return self.read(index.path, offset, size).decode("utf-8", "backslashreplace")
        descriptor = self._open(index.path).descriptor
        end = os.fstat(descriptor).st_size
        header = read_header(lambda at, num: os.pread(descriptor, num, at), offset, end, {})
        name = header.name if header else b""
        about = np.zeros(k.FIELDS, np.int64)
        k.describe_name(np.frombuffer(name, np.uint8), 0, len(name), about)
        key = name[about[k.KEY] : about[k.KEY] + about[k.KEY_LENGTH]]
        return key.decode("utf-8", "backslashreplace")

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
