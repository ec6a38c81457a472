"""A list of classes and a balanced set in, how well the set covers them out."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import InputError, UsageError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.pipelines.store import artifacts

__all__ = ["ClassList", "class_coverage", "read_class_list"]

MOST_SHOWN = 1500


def read_classes(path: str) -> list[list[str]]:
    """Return the names of each class of a file: a class per line, its names separated by tabs.

    Raises:
        InputError: it is missing, empty, or not UTF-8.
    """
    with storage.open_read(path, decompress=True) as file:
        data = file.read()
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8; expected a text file with a class per line"
        ) from error
    classes = [[name.strip() for name in line.split("\t") if name.strip()] for line in lines]
    found = [names for names in classes if names]
    if not found:
        raise InputError(f"{path}: there is nothing in it; expected a class per line")
    return found


class ClassList(NamedTuple):
    """Classes whose coverage is to be shown: the file, its sha256, the language, the names."""

    path: str
    sha256: str
    lang: str
    classes: list[list[str]]


def read_class_list(path: str, lang: str, known: Collection[str]) -> ClassList:
    """Read a list of classes.

    Args:
        path: file of classes.
        lang: language of their names.
        known: languages that there is metadata of.

    Raises:
        InputError: the file cannot be used.
        UsageError: there is no metadata of that language.
    """
    if lang not in known:
        raise UsageError(
            f"--classes-lang is {lang!r}, which nothing was matched in; "
            f"expected one of {', '.join(sorted(known))}"
        )
    return ClassList(path, storage.file_sha256(path), lang, read_classes(path))


def class_coverage(
    listed: ClassList,
    count: NDArray[np.int64],
    kept: NDArray[np.int64],
    t: int | None,
    counts_path: str,
) -> dict[str, Any]:
    """Return how many pairs match the names of each class before and after balancing.

    A name is covered by the entry that is spelled like it, or like it in lower case; of several,
    by the one with most pairs.

    Args:
        listed: the classes.
        count: pairs matched per entry of the language; shape (num_entries,).
        kept: kept pairs per entry; same shape.
        t: threshold of the language; None if nothing matched.
        counts_path: of the language's counts, where its entries stand.

    Returns:
        path, sha256, lang; classes in all, among the entries, matched, in the head, kept;
        ``rows``: name, entry, count, slots and kept pairs of each, the rarest first.
    """
    classes, t = listed.classes, t or 0
    best = _best_entries(classes, artifacts.read_table(counts_path, ["entry"])["entry"], count)
    rows = [
        _row(names[0], entry, int(count[at]), int(kept[at]), t)
        if entry is not None
        else _row(names[0], None, 0, 0, t)
        for names, (at, entry) in zip(classes, best, strict=True)
    ]
    rows.sort(key=lambda row: (row["entry"] is not None, row["count"], row["class"]))
    return {
        "path": without_secrets(listed.path),
        "sha256": listed.sha256,
        "lang": listed.lang,
        "classes": len(rows),
        "entries": sum(row["entry"] is not None for row in rows),
        "matched": sum(row["count"] > 0 for row in rows),
        "head": sum(bool(t) and row["count"] >= t for row in rows),
        "kept": sum(row["kept"] > 0 for row in rows),
        "rows": rows[:MOST_SHOWN],
    }


def _row(name: str, entry: str | None, count: int, kept: int, t: int) -> dict[str, Any]:
    return {"class": name, "entry": entry, "count": count, "slots": min(count, t), "kept": kept}


def _best_entries(
    classes: list[list[str]], entries: pa.ChunkedArray, count: NDArray[np.int64]
) -> list[tuple[int, str | None]]:
    """Return the most frequent entry of each class, and its id; (0, None) where there is none."""
    spellings = [list(dict.fromkeys([*names, *(n.lower() for n in names)])) for names in classes]
    flat = artifacts.strings(name for names in spellings for name in names)
    ids = pc.index_in(flat, value_set=entries.combine_chunks()).to_pylist()
    found, at = [], 0
    for names in spellings:
        known = [(int(count[i]), -i, i, name) for i, name in
                 zip(ids[at : at + len(names)], names, strict=True) if i is not None]  # fmt: skip
        at += len(names)
        _, _, best, name = max(known, default=(0, 0, 0, None))
        found.append((best, name))
    return found
