"""What a folder, and what stands beside tars in it, says of them: which there are, how large."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from curate.files.storage import filesystem_of

__all__ = ["Listing", "by_name", "missing_tars", "promised_samples", "samples_of_index"]

Listing = Mapping[str, Mapping[str, Any]]  # what a file system says of files, by their names

_INDEX, _STATISTICS = ".idx", "_stats.json"
_FIRST_LINE = 64  # bytes; DALI's index begins with its version and the number of samples


def by_name(found: Iterable[Mapping[str, Any]]) -> Listing:
    """Return what a file system says of the files of a folder, by their names.

    >>> by_name([{"name": "set/0.tar", "size": 3}])
    {'0.tar': {'name': 'set/0.tar', 'size': 3}}
    """
    return {one["name"].rstrip("/").rpartition("/")[2]: one for one in found}


def missing_tars(names: Iterable[str]) -> list[str]:
    """Return the tars whose index or statistics are in a folder, while they are not.

    >>> missing_tars(["0.tar", "0.idx", "1.idx", "2_stats.json"])
    ['1.tar', '2.tar']
    """
    there = set(names)
    promised = {name.removesuffix(suffix) + ".tar"
                for name in there for suffix in (_INDEX, _STATISTICS)
                if name.endswith(suffix) and name != suffix}  # fmt: skip
    return sorted(promised - there)


def promised_samples(path: str) -> int | None:
    """Return how many samples a tar is to have; None where nothing beside it says so.

    Args:
        path: of the tar, local or an fsspec URL.
    """
    if not path.endswith(".tar"):  # an address with a query has nothing beside it
        return None
    base = path.removesuffix(".tar")
    if (content := _content(base + _INDEX, _FIRST_LINE)) is not None:
        if (num := samples_of_index(content)) is not None:
            return num
    if (content := _content(base + _STATISTICS, None)) is not None:
        try:
            successes = json.loads(content)["successes"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None  # statistics of another tool
        return successes if type(successes) is int and successes >= 0 else None
    return None


def samples_of_index(content: bytes) -> int | None:
    r"""Return how many samples DALI's index says that its tar has; None if its head does not.

    >>> samples_of_index(b"v1.2 3\njpg 512 9 a.jpg\n")
    3
    """
    words = content.partition(b"\n")[0].split()
    is_known = len(words) == 2 and words[0].startswith(b"v1.") and words[1].isdigit()
    return int(words[1]) if is_known else None


def _content(path: str, num_bytes: int | None) -> bytes | None:
    """Return the first bytes of a file, None if it is not there."""
    filesystem, inside = filesystem_of(path)
    try:
        return bytes(filesystem.cat_file(inside, start=0, end=num_bytes))
    except OSError:
        return None
