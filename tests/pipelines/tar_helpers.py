"""WebDataset tars with given members, for tests."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_tar(path: Path, members: Mapping[str, Any]) -> Path:
    """Write a tar; bytes stand as they are, text as UTF-8, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, value in members.items():
            data = value.encode() if isinstance(value, str) else value
            data = data if isinstance(data, bytes) else json.dumps(data).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def read_samples(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return the files of each sample of the tars of a folder, by caption and suffix."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                found.setdefault(f"{path.name}/{key}", {})[suffix] = file.read()
    return {sample["txt"].decode(): sample for sample in found.values()}
