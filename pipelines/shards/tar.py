"""Write a WebDataset tar, and beside it where each file of each sample begins.

A shard is `NNNNN.tar`; `NNNNN.idx` lists its samples, a line each, in the format that NVIDIA DALI
calls v1.2 (`fn.readers.webdataset(index_paths=…)`), so that a reader can jump:

    v1.2 <number of samples>
    <suffix> <offset of its bytes> <size> <name> <suffix> <offset> <size> <name> …

The same samples are the same bytes: owner, mode and time are fixed.
"""

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import IO, Any

import xxhash

from curate.files import storage
from curate.files.sums import SummedFile

__all__ = ["INDEX_VERSION", "ShardWriter", "read_index", "shard_writer"]

INDEX_VERSION = "v1.2"
_BLOCK, _RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
_NAME_BYTES = 100


def _tar_info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.uname, info.gname = size, 0o444, "curate", "curate"
    return info


# A header is that of an empty file of no name, with name, size and checksum put in.
_EMPTY = _tar_info("", 0).tobuf(tarfile.USTAR_FORMAT)
_BEFORE_SIZE, _AFTER_SIZE = _EMPTY[_NAME_BYTES:124], _EMPTY[135:148]
_AFTER_SUM = _EMPTY[156:]
# The checksum's own eight bytes count as spaces.
_CHECKSUM = sum(_BEFORE_SIZE) + sum(_AFTER_SIZE) + 8 * ord(" ") + sum(_AFTER_SUM)


def member_header(name: str, size: int) -> bytes:
    """Return the header of a file: what tarfile writes, several times as fast.

    Args:
        name: of the file; with more than 100 bytes it takes an extended header.
        size: in bytes; less than 8 GiB.

    Source: POSIX.1-2017, pax, "ustar Interchange Format".
    """
    raw = name.encode()
    if len(raw) > _NAME_BYTES:
        return _tar_info(name, size).tobuf(tarfile.PAX_FORMAT)
    digits = b"%011o" % size
    checksum = b"%06o\0 " % (_CHECKSUM + sum(raw) + sum(digits))
    padded = raw.ljust(_NAME_BYTES, b"\0")
    return b"".join((padded, _BEFORE_SIZE, digits, _AFTER_SIZE, checksum, _AFTER_SUM))


@dataclass(slots=True)
class ShardWriter:
    """Writes samples one after the other; hashes them and notes their places on the way.

    Attributes:
        file: takes the bytes.
        size_bytes: written so far.
        index_sum: size and checksum of the index, once it is written.
        num_samples: written so far.
    """

    file: IO[bytes]
    size_bytes: int = 0
    index_sum: dict[str, Any] = field(default_factory=dict)
    num_samples: int = 0
    _digest: Any = field(default_factory=sha256)
    _sum: Any = field(default_factory=xxhash.xxh3_128)
    _places: list[str] = field(default_factory=list)

    def add(self, key: str, members: Mapping[str, bytes]) -> None:
        """Write a sample.

        Args:
            key: without points and slashes.
            members: the content of each of its files, by suffix; in this order.
        """
        pieces, places, at = [], [], self.size_bytes
        for suffix, content in members.items():
            name = f"{key}.{suffix}"
            header = member_header(name, len(content))
            places.append(f"{suffix} {at + len(header)} {len(content)} {name}")
            pieces += [header, content, bytes(-len(content) % _BLOCK)]
            at += len(header) + len(content) + len(pieces[-1])
        self._write(b"".join(pieces))
        self._places.append(" ".join(places))
        self.num_samples += 1

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._sum.update(data)
        self.file.write(data)
        self.size_bytes += len(data)

    def close(self) -> None:
        """Write the end of the archive."""
        end = 2 * _BLOCK
        self._write(bytes(end + -(self.size_bytes + end) % _RECORD))

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return str(self._digest.hexdigest())

    @property
    def sums(self) -> dict[str, Any]:
        """Size and quick checksum of the tar and of its index, once both are written."""
        own = {"size_bytes": self.size_bytes, "xxh3_128": self._sum.hexdigest()}
        return {"tar": own, "index": self.index_sum}

    @property
    def index(self) -> str:
        """The content of the index."""
        return "\n".join([f"{INDEX_VERSION} {self.num_samples}", *self._places, ""])


@contextmanager
def shard_writer(path: str) -> Iterator[ShardWriter]:
    """Open a tar for writing; it and its index appear only if the block succeeds.

    Args:
        path: of the tar; its index has the suffix ``.idx`` instead.
    """
    with storage.publish(path) as file:
        writer = ShardWriter(file)
        yield writer
        writer.close()
    with storage.publish(path.removesuffix(".tar") + ".idx") as file:
        summed = SummedFile(file)
        summed.write(writer.index.encode())
        writer.index_sum = summed.sum


def read_index(text: str) -> list[dict[str, tuple[int, int]]]:
    r"""Return the offset and size of each file of each sample, by suffix.

    >>> read_index("v1.2 1\njpg 512 9 a.jpg txt 1536 3 a.txt\n")
    [{'jpg': (512, 9), 'txt': (1536, 3)}]
    """
    samples = []
    for line in text.splitlines()[1:]:
        words = line.split(" ")
        samples.append(
            {words[i]: (int(words[i + 1]), int(words[i + 2])) for i in range(0, len(words), 4)}
        )
    return samples
