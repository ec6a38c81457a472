"""Whether there is room on the disks for what is about to be written."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import DiskSpaceError
from curate.files import storage
from curate.files.sizes import in_words

__all__ = ["require_space", "told_when_full"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told_when_full(folder: str) -> Iterator[None]:
    """Turn the system's error of a full disk into one that says what to do.

    Raises:
        DiskSpaceError: the disk that is written to in the block is full.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _is_full(error):
            raise
        raise DiskSpaceError(
            f"{folder}: the disk is full. What is done is kept: free some space and run the same "
            "command again."
        ) from error


def _is_full(error: BaseException) -> bool:
    """Tell whether a full disk is behind an error: torch raises another one while it closes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def require_space(needs: Iterable[tuple[str, int]], advice: str) -> None:
    """Refuse to begin what the disks have no room for.

    Args:
        needs: folders, and bytes to be written below each.
        advice: what else could be done.

    Raises:
        DiskSpaceError: the sum for one disk is more than it has free.
    """
    by_disk: dict[int, tuple[str, int]] = {}
    for folder, num_bytes in needs:
        if num_bytes and storage.is_local(folder):
            disk = os.stat(_existing(folder)).st_dev
            by_disk[disk] = (folder, by_disk.get(disk, (folder, 0))[1] + num_bytes)
    for folder, num_bytes in by_disk.values():
        free = shutil.disk_usage(_existing(folder)).free
        if num_bytes > free:
            raise DiskSpaceError(
                f"{folder}: {in_words(num_bytes)} are needed and {in_words(free)} are free. "
                f"Free some space, or name a folder on another disk. {advice}"
            )


def _existing(folder: str) -> Path:
    path = Path(storage.local_path(folder)).absolute()
    while not path.exists():
        path = path.parent
    return path
