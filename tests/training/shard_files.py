"""Small tars to load, written member by member."""

import io
import json
import tarfile
import zlib

from tests.pipelines.helpers import png

IMAGE = png((9, 9, 9))


def colour(key):
    """An image that its key decides."""
    value = zlib.crc32(key.encode())
    return png((value % 251, value // 251 % 251, 0))


def sample(key, *, image=None, text="caption", **about):
    """Members of a sample: suffix -> bytes; None leaves one out."""
    members = {
        "png": colour(key) if image is None else image,
        "txt": None if text is None else f"{text} {key}".encode(),
        "json": json.dumps(about).encode() if about else None,
    }
    return key, {suffix: content for suffix, content in members.items() if content is not None}


def write_tar(path, samples, *, format=tarfile.USTAR_FORMAT):
    """Write samples, each (key, {suffix: bytes}); return the path as a string."""
    with tarfile.open(path, "w", format=format) as tar:
        for key, members in samples:
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return str(path)


def write_shard(path, keys):
    """Write a shard of plain samples."""
    return write_tar(path, [sample(key) for key in keys])
