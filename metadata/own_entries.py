"""Entries of somebody's own: a list of strings in, added to what the sources of a language gave.

They stand at the end, under the source `title`, the one for names, with a score of 0, which no
title of a wiki has. So the ids of all other entries stay, and the own ones can be taken out again.
"""

import lzma
import re
import unicodedata
import zlib
from collections import Counter
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import InputError
from curate.files.parquet.guard import PARQUET_ERRORS, open_guarded
from curate.metadata.entries import SCHEMA, SOURCES, entry_table, problem_with

__all__ = ["add_own_entries", "clean_entry", "read_own_entries", "without_own_entries"]

_COLUMN = "entry"
_SOURCE = "title"
_SPACES = re.compile(r"[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")


def read_own_entries(path: str) -> list[str]:
    """Read a list of entries.

    Args:
        path: UTF-8 text, one entry a line, plain or compressed; or Parquet with a column `entry`.

    Returns:
        The lines or values as they are, empty ones too; null is empty.

    Raises:
        InputError: the file cannot be read as one or the other.
    """
    try:
        if path.endswith(".parquet"):
            with open_guarded(path) as file:
                return _column(path, file)
        with fsspec.open(path, "rb", compression="infer") as opened:
            text: bytes = opened.read().removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n")
    except (*PARQUET_ERRORS, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(
            f"{path}: not readable as a list of entries ({error}). --entries takes UTF-8 text, one "
            f"entry a line, or Parquet with a column {_COLUMN}."
        ) from error
    return [_text(path, number, line) for number, line in enumerate(text.split(b"\n"), start=1)]


def _column(path: str, file: pq.ParquetFile) -> list[str]:
    names = file.schema_arrow.names
    if _COLUMN not in names:
        raise InputError(
            f"{path}: no column {_COLUMN}; it has {', '.join(names) or 'none'}. Rename the one "
            f"that holds the entries to {_COLUMN}."
        )
    values = file.read([_COLUMN]).column(0)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise InputError(f"{path}: column {_COLUMN} is of {values.type}; expected strings")
    return [value or "" for value in values.to_pylist()]


def _text(path: str, number: int, line: bytes) -> str:
    try:
        return line.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: line {number} is not UTF-8 ({error.reason}). Convert the file, such as with: "
            "iconv -f LATIN1 -t UTF-8"
        ) from error


def clean_entry(text: str) -> str:
    r"""Return an entry as those of the other sources are written: NFC, words parted by one space.

    >>> clean_entry("  St.\u00a0 Cafe\u0301 ")
    'St. Café'
    """
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")


def without_own_entries(table: pa.Table) -> pa.Table:
    """Return the entries of a language without somebody's own: those that its sources gave."""
    names = pc.equal(pc.cast(table.column("source"), pa.string()), _SOURCE)
    built = table.filter(pc.invert(pc.and_(names, pc.equal(table.column("score"), 0.0))))
    return entry_table([tuple(row.values()) for row in built.to_pylist()])


def add_own_entries(
    table: pa.Table, entries: list[str], max_characters: int
) -> tuple[pa.Table, dict[str, Any]]:
    """Add entries of somebody's own to those of a language's sources.

    Args:
        table: entry, source, score.
        entries: in any order; they are cleaned here.
        max_characters: longer entries are left out.

    Returns:
        The table with the new entries at its end, in code point order; and how many were read and
        added, and how many left out by reason: empty, duplicate (also of an entry that the table
        has), too_long, control_character, punctuation_only.

    Raises:
        InputError: none of them can be an entry.
    """
    seen = set(table.column("entry").to_pylist())
    added: list[str] = []
    left_out: Counter[str] = Counter()
    for entry in map(clean_entry, entries):
        problem = problem_with(entry, max_characters) if entry else "empty"
        problem = problem or ("duplicate" if entry in seen else None)
        if problem:
            left_out[problem] += 1
            continue
        seen.add(entry)
        added.append(entry)
    if not added and not left_out["duplicate"]:
        reasons = ", ".join(f"{reason} {num:,}" for reason, num in (+left_out).items())
        raise InputError(f"no usable entry among {len(entries)}; left out: {reasons or 'none'}")
    report = {"read": len(entries), "added": len(added), "left_out": dict(sorted(left_out.items()))}
    columns = (table.column(name).to_pylist() for name in SCHEMA.names)
    rows = [*zip(*columns, strict=True), *((entry, _SOURCE, 0.0) for entry in sorted(added))]
    return entry_table(rows), report


assert _SOURCE == SOURCES[-1], "own entries stand at the end, so theirs has to be the last source"
