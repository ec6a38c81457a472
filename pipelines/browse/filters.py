"""What pairs are asked for, as an address says it: checked, and as masks over rows of a table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import UsageError
from curate.pipelines.browse.indexed.pair_index import DROPPED, FILTERED, KEPT, NOT_SAMPLED
from curate.pipelines.browse.pair_sets import PairSet, Roles

__all__ = ["FATES", "PairFilter", "ValueFilter", "as_text"]

FATES = {"kept": KEPT, "not_sampled": NOT_SAMPLED, "filtered": FILTERED, "dropped": DROPPED}
_HOST = re.compile(r"[\w.-]{1,253}(:\d{1,5})?", re.UNICODE)
_MOST_TEXT = 400
_DIGITS = 15


@dataclass(frozen=True, slots=True)
class ValueFilter:
    """Values of a column that are wanted: one text, or a range of numbers.

    Attributes:
        column: its name.
        text: that a value has to be; None for any.
        low: least number; None for any. So for the next.
        high: largest number.
    """

    column: str
    text: str | None = None
    low: float | None = None
    high: float | None = None

    def mask(self, column: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Tell which values are wanted."""
        if self.text is not None:
            found = pc.equal(_as_text(column), self.text)
        else:
            numbers = _as_numbers(column)
            found = pc.is_valid(numbers)
            if self.low is not None:
                found = pc.and_(found, pc.greater_equal(numbers, self.low))
            if self.high is not None:
                found = pc.and_(found, pc.less_equal(numbers, self.high))
        return _bools(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFilter:
    """Pairs that are wanted.

    Attributes:
        lang: of this language; None for all. So for all others.
        entry: that match this entry of the language.
        fate: kept, not_sampled, filtered or dropped.
        text: whose text holds this, in any case.
        domain: whose URL is of this host, or of one below it.
        values: of columns.
    """

    lang: str | None = None
    entry: int | None = None
    fate: str | None = None
    text: str | None = None
    domain: str | None = None
    values: tuple[ValueFilter, ...] = ()

    @classmethod
    def of(cls, asked: Mapping[str, str], pairs: PairSet) -> "PairFilter":
        """Return what an address asks for.

        Raises:
            UsageError: it cannot be meant.
        """
        lang, entry, fate = (asked.get(name) or None for name in ("lang", "entry", "fate"))
        is_id = entry is not None and entry.isascii() and entry.isdigit() and len(entry) <= _DIGITS
        if entry is not None and (not is_id or lang is None):
            raise UsageError("an entry is asked for by its language and its number")
        if fate is not None and fate not in FATES:
            raise UsageError(f"{fate!r}: expected one of {', '.join(FATES)}")
        text, domain = asked.get("text") or None, asked.get("domain") or None
        if text is not None and len(text) > _MOST_TEXT:
            raise UsageError(f"a text to look for has at most {_MOST_TEXT} characters")
        if domain is not None:
            domain = domain.strip().lower().removeprefix("*.")
            if not _HOST.fullmatch(domain):
                raise UsageError(f"{domain!r} is no name of a host, such as example.org")
        values = [_score(asked)] if asked.get("score_from") or asked.get("score_to") else []
        if column := asked.get("column"):
            values.append(_value(column, asked, pairs))
        return cls(lang=lang, entry=int(entry) if entry else None, fate=fate, text=text,
                   domain=domain, values=tuple(values))  # fmt: skip

    def columns(self, roles: Roles, *, has_index: bool) -> list[str]:
        """Return the columns that rows are chosen by."""
        names = [v.column for v in self.values]
        names += [n for n, wanted in ((roles.text, self.text), (roles.url, self.domain)) if wanted
                  and n]  # fmt: skip
        if not has_index:
            names += ["lang"] if self.lang else []
            names += ["entry_ids"] if self.entry is not None else []
        return list(dict.fromkeys(names))

    def mask(self, table: pa.Table, roles: Roles, *, has_index: bool) -> NDArray[np.bool_]:
        """Tell which rows are wanted; those that lack a column are not."""
        there = set(table.column_names)
        found = np.ones(table.num_rows, dtype=bool)
        if any(c not in there for c in self.columns(roles, has_index=has_index)) or (
            self.domain and not roles.url
        ):
            return np.zeros(table.num_rows, dtype=bool)
        if not has_index and self.lang:
            found &= _bools(pc.equal(_as_text(table["lang"]), self.lang))
        if not has_index and self.entry is not None:
            found &= _holds(table["entry_ids"], self.entry)
        if self.text and roles.text:
            texts = _as_text(table[roles.text])
            found &= _bools(pc.match_substring(texts, self.text, ignore_case=True))
        if self.domain and roles.url:
            pattern = (r"(?i)^[a-z][a-z0-9+.-]*://([^/?#@]*@)?([^/?#:@]*\.)?"
                       + re.escape(self.domain) + r"(:[0-9]*)?([/?#]|$)")  # fmt: skip
            found &= _bools(pc.match_substring_regex(_as_text(table[roles.url]), pattern))
        for one in self.values:
            found &= one.mask(table[one.column])
        return found


def as_text(value: Any) -> str | None:
    """Return a value as a text that every answer can hold; None for none."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    # Halves of surrogate pairs, which JSON may hold, are in no answer: they stand as escapes.
    return str(value).encode("utf-8", "backslashreplace").decode()


def _score(asked: Mapping[str, str]) -> ValueFilter:
    return ValueFilter("lang_score", None, _number(asked.get("score_from")),
                       _number(asked.get("score_to")))  # fmt: skip


def _value(column: str, asked: Mapping[str, str], pairs: PairSet) -> ValueFilter:
    if column not in pairs.columns:
        raise UsageError(
            f"there is no column {unquote(column)!r}; it has {', '.join(pairs.columns) or 'none'}"
        )
    if asked.get("from") or asked.get("to"):
        if pairs.columns[column] != "number":
            raise UsageError(f"column {column!r} holds no numbers; give the text that it is to be")
        return ValueFilter(column, None, _number(asked.get("from")), _number(asked.get("to")))
    return ValueFilter(column, asked.get("is", ""))


def _number(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number") from None


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return pc.cast(column, column.type.value_type)
    return column


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return values as texts, whatever they are: bytes that are no UTF-8, lists, structures."""
    column = _decoded(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    try:
        return pc.cast(column, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([as_text(value) for value in column.to_pylist()], pa.string())


def _as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return values as numbers; null for what is none."""
    column = _decoded(column)
    try:
        return pc.cast(column, pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([_float(value) for value in column.to_pylist()], pa.float64())


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _bools(found: Any) -> NDArray[np.bool_]:
    filled = pc.fill_null(found, False)
    if isinstance(filled, pa.ChunkedArray):
        filled = filled.combine_chunks()
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool)


def _holds(column: pa.ChunkedArray, entry: int) -> NDArray[np.bool_]:
    """Tell which lists hold a number."""
    found = np.zeros(len(column), dtype=bool)
    rows = pc.list_parent_indices(column)
    if isinstance(rows, pa.ChunkedArray):
        rows = rows.combine_chunks()
    flat = pc.list_flatten(column).to_numpy()
    found[rows.to_numpy()[flat == entry]] = True
    return found
