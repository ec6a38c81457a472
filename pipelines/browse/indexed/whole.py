"""The files of an index in, whether they are those that were written out.

How long they have to be is compared when an index is opened, which takes no time. What they hold is
compared with checksums while its first page is looked at: of 30 million entries it is 2 GB.
"""

import os
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.files.sealed_json import read_json, write_json
from curate.files.sums import file_sum, has_sums

__all__ = ["forget", "is_whole", "read_about", "write_about"]

_ABOUT = "index.json"


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Note what has to be known to read an index, and the checksums of its files."""
    files = {path.name: file_sum(str(path)) for path in sorted(folder.iterdir())}
    write_json(str(folder / _ABOUT), {**about, "files": files})


def read_about(folder: Path) -> dict[str, Any] | None:
    """Return what was noted; None where there is no index, or one that is not whole."""
    try:
        about = read_json(str(folder / _ABOUT))
        is_long = all(
            os.stat(folder / name).st_size == one["size_bytes"]
            for name, one in about["files"].items()
        )
    except (CurateError, OSError):
        return None
    return about if is_long else None


def is_whole(folder: Path, about: dict[str, Any]) -> bool:
    """Tell whether the files of an index hold what was written; it reads them all.

    An index that was taken away, as one of other matches is, is not damaged: who has opened it
    reads on.
    """
    sums = {name: one["xxh3_128"] for name, one in about["files"].items()}
    return has_sums(str(folder), sums) or not folder.exists()


def forget(folder: Path) -> None:
    """Have an index made anew by the next who opens it."""
    (folder / _ABOUT).unlink(missing_ok=True)
