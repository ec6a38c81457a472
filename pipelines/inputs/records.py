"""Rows of any input in, checked records out: the columns we need, found by name and validated.

A row with a value that cannot be used (null or non-string text, invalid UTF-8) becomes a
`Reject`; everything else goes on with its columns untouched.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import InputError
from curate.pipelines.inputs.columns.images import image_column
from curate.pipelines.inputs.columns.values import id_strings, is_text
from curate.pipelines.inputs.rows import MAX_TEXT_BYTES, Problem, Rows
from curate.pipelines.inputs.text import invalid_utf8

__all__ = [
    "ColumnNames",
    "Records",
    "Reject",
    "check_columns",
    "find_column",
    "text_column",
    "to_records",
]

_CANDIDATES = {
    "url": ("url", "URL", "image_url"),
    "text": ("text", "TEXT", "caption", "alt", "alt_text"),
    "uid": ("uid", "key", "uuid", "id"),
    "lang": ("lang",),
}
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """Names of the input's columns; None to look for the usual ones, "" for an uid to have none."""

    url: str | None = None
    text: str | None = None
    uid: str | None = None
    lang: str | None = None
    image: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the names as JSON-able values."""
        values = asdict(self)
        if self.image is None:  # as plans had it before there was this one
            del values["image"]
        return values


@dataclass(frozen=True, slots=True)
class Reject:
    """A row, or `num_rows` rows, that cannot be used, as it stands in ``rejected/``."""

    row: int | None
    num_rows: int
    reason: str
    text: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Records:
    """Usable rows.

    Attributes:
        batch: the input's columns; shape (num_records, …).
        rows: position of each record in its file; shape (num_records,).
        texts: alt-texts; string, no nulls.
        urls: string, with nulls; None if the input has no such column. So for the next two.
        uids: the input's own ids.
        langs: the input's own language labels.
        columns: names of the columns that texts, urls, uids and langs are.
        image: name of the column of encoded images, None without one.
    """

    batch: pa.RecordBatch
    rows: NDArray[np.int64]
    texts: pa.StringArray
    urls: pa.StringArray | None
    uids: pa.StringArray | None
    langs: pa.StringArray | None
    columns: frozenset[str]
    image: str | None

    def select(self, keep: NDArray[np.bool_]) -> "Records":
        """Return the records that a mask of shape (num_records,) keeps."""
        mask = pa.array(keep)

        def chosen(column: pa.Array | None) -> pa.Array | None:
            return None if column is None else column.filter(mask)

        return replace(
            self,
            batch=self.batch.filter(mask),
            rows=self.rows[keep],
            texts=self.texts.filter(mask),
            urls=chosen(self.urls),
            uids=chosen(self.uids),
            langs=chosen(self.langs),
        )


def find_column(schema: pa.Schema, role: str, names: ColumnNames, path: str) -> str | None:
    """Return the name of the column that plays a role, or None.

    Raises:
        InputError: the user named a column that is not there.
    """
    chosen: str | None = getattr(names, role)
    if chosen == "" and role == "uid":
        return None
    if chosen is not None and chosen not in schema.names:
        raise InputError(
            f"{path}: there is no column {chosen!r}; it has {', '.join(schema.names)}. "
            f"Name the right one with --{role}-column."
        )
    if chosen is not None:
        return chosen
    found = next((c for c in _CANDIDATES[role] if c in schema.names), None)
    if found is not None or role not in ("text", "url"):
        return found
    # `Caption`, `Url`: of ids, another case may be another thing.
    by_lower = {name.lower(): name for name in reversed(schema.names)}
    return next((by_lower[c] for c in _CANDIDATES[role] if c in by_lower), None)


def text_column(schema: pa.Schema, names: ColumnNames, path: str) -> str:
    """Return the name of the alt-text column.

    Raises:
        InputError: there is none, or it does not hold strings.
    """
    name = find_column(schema, "text", names, path)
    if name is None:
        raise InputError(
            f"{path}: no text column; expected one of {', '.join(_CANDIDATES['text'])}, it has "
            f"{', '.join(schema.names) or 'no columns'}. {_header_hint(path)}Name it with "
            "--text-column."
        )
    kind = schema.field(name).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (is_text(kind) or pa.types.is_null(kind)):
        raise InputError(
            f"{path}: column {name!r} is {kind}, expected string. "
            "Name another one with --text-column, or convert it."
        )
    return name


def _header_hint(path: str) -> str:
    """Ask of a table of delimited text whether its first line is a header, as it has to be."""
    is_delimited = {".csv", ".tsv"} & set(PurePosixPath(path).suffixes[-2:])
    return "Is the first line a header, with the names of the columns? " if is_delimited else ""


def check_columns(schema: pa.Schema, names: ColumnNames, path: str) -> dict[str, str]:
    """Return the names of the columns that we need, by what they are: text, url, uid, lang, image.

    Args:
        schema: of the input.
        names: that the user chose.
        path: of the input, for messages.

    Raises:
        InputError: there is no text, a column cannot be used, or a name is there twice.
    """
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise InputError(
            f"{path}: {', '.join(map(repr, twice))} occurs twice among its columns; rename one"
        )
    roles = {"text": text_column(schema, names, path)}
    for role in ("url", "uid", "lang"):
        found = find_column(schema, role, names, path)
        if found is not None:
            roles[role] = _check_scalar(schema, found, role, path)
    image = image_column(schema, names.image, path)
    return roles if image is None else {**roles, "image": image}


def _check_scalar(schema: pa.Schema, name: str, role: str, path: str) -> str:
    """Return the name of a column that holds strings or numbers.

    Raises:
        InputError: it holds something else.
    """
    kind = schema.field(name).type
    if pa.types.is_nested(kind):
        raise InputError(
            f"{path}: column {name!r} is {kind}, expected strings or numbers. Name another one "
            f"with --{role}-column, or convert it."
        )
    return name


def to_records(rows: Rows, names: ColumnNames, path: str) -> tuple[Records, list[Reject]]:
    """Split rows into usable records and rejects.

    Raises:
        InputError: the input lacks the columns; no row of it could ever be used.
    """
    roles = check_columns(rows.batch.schema, names, path)
    rows = replace(rows, batch=_without_views(rows.batch))
    batch = rows.batch
    image = roles.pop("image", None)
    columns = {
        role: id_strings(batch.column(name), name)
        if role == "uid"
        else _decoded(batch.column(name))
        for role, name in roles.items()
    }
    reasons: dict[int, Problem] = {i: Problem(r, "") for i, r in _reasons(columns).items()}
    for i in rows.misfits.get(roles["text"], ()):
        reasons[i] = Problem("wrong_type", f"column {roles['text']!r} holds no string here")
    reasons |= rows.problems
    rejects = [
        _reject(rows.first_row + i, problem, columns["text"][i].as_buffer())
        for i, problem in sorted(reasons.items())
    ]
    keep = np.ones(batch.num_rows, dtype=bool)
    keep[list(reasons)] = False
    return _records(rows, roles, columns, keep, image), rejects


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with plain strings and bytes instead of views, which few kernels know."""
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    for i, field in enumerate(batch.schema):
        if field.type in plain:
            column = pc.cast(batch.column(i), plain[field.type])
            batch = batch.set_column(i, field.name, column)
        elif pa.types.is_dictionary(field.type) and field.type.value_type in plain:
            kind = pa.dictionary(field.type.index_type, plain[field.type.value_type])
            batch = batch.set_column(i, field.name, pc.cast(batch.column(i), kind))
    return batch


def _decoded(column: pa.Array) -> pa.Array:
    """Return a column as strings or bytes: dictionaries decoded, numbers spelled out."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if is_text(column.type) else pc.cast(column, pa.string())


def _reasons(columns: dict[str, pa.Array]) -> dict[int, str]:
    """Return the reason of each row that cannot be used, by its position in the batch."""
    reasons = {i: "invalid_utf8" for column in columns.values() for i in invalid_utf8(column)}
    nulls = np.flatnonzero(pc.is_null(columns["text"]).to_numpy(zero_copy_only=False))
    lengths = pc.fill_null(pc.binary_length(columns["text"]), 0)
    long = np.flatnonzero(lengths.to_numpy(zero_copy_only=False) > MAX_TEXT_BYTES)
    reasons |= dict.fromkeys(nulls.tolist(), "null_text")
    return reasons | dict.fromkeys(long.tolist(), "text_too_long")


def _reject(row: int, problem: Problem, text: pa.Buffer | None) -> Reject:
    shown = None
    if text is not None:
        shown = text.to_pybytes()[: 4 * _SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
        shown = shown[:_SHOWN_CHARACTERS]
    return Reject(row, 1, problem.reason, shown, problem.detail)


def _records(
    rows: Rows,
    roles: dict[str, str],
    columns: dict[str, pa.Array],
    keep: NDArray[np.bool_],
    image: str | None,
) -> Records:
    batch = rows.batch
    if not keep.all():
        mask = pa.array(keep)
        batch = batch.filter(mask)
        columns = {role: column.filter(mask) for role, column in columns.items()}
    strings = {role: pc.cast(column, pa.string()) for role, column in columns.items()}
    text_at = batch.schema.get_field_index(roles["text"])
    if not pa.types.is_string(batch.schema.field(text_at).type):
        batch = batch.set_column(text_at, roles["text"], strings["text"])
    return Records(
        batch=batch,
        rows=rows.first_row + np.flatnonzero(keep),
        texts=strings["text"],
        urls=strings.get("url"),
        uids=strings.get("uid"),
        langs=strings.get("lang"),
        columns=frozenset(roles.values()),
        image=image,
    )
