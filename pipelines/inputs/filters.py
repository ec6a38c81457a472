"""Filters: functions that look at a batch of pairs and say which to keep; built in or a user's.

A filter is named on the command line, `--filter NAME` or `--filter NAME=ARGUMENT`:

- a built-in one: `text-length=5:300` (characters), `url-length=2000` (bytes, at most),
  `blocklist=FILE` (a domain, which stands for its subdomains too, or a URL on each line);
- the name of an installed entry point of the group `curate.filters`;
- `package.module:function`, also from the current folder.

With an argument, the function is called with it and returns the filter; without, it is the filter.

A filter takes a `pyarrow.RecordBatch` with at least the columns `text` and `url` (string; `url` is
null where the input has none) beside all others of the stage, and returns either an array of
booleans, one a row, True to keep the row; or two arrays, that and one of strings, the reason why a
row is dropped (of rows that are kept it is not looked at). Arrays of Arrow and of numpy will do, a
null keeps nothing. Drops are counted as NAME, or NAME:REASON. It must give the same answer for a
row in whatever batch the row stands, since batches are cut differently from run to run; it may be
called from several threads at once; and each process imports it anew.
"""

import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import CurateError, UsageError
from curate.files.addresses import hide_secrets
from curate.files.remedies import suggest
from curate.pipelines.inputs.filters_builtin import BUILT_IN, OF_NUMBERS

__all__ = [
    "GROUP",
    "Filter",
    "Filters",
    "load_filters",
    "needs_nothing",
    "recorded_name",
    "with_usual_names",
]

GROUP = "curate.filters"

FilterFunction = Callable[[pa.RecordBatch], Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: what its drops are counted under, what it computes, and what it was made from."""

    name: str
    function: FilterFunction
    made_from: dict[str, str]


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a stage, in the order of the command line."""

    filters: tuple[Filter, ...]

    @property
    def made_from(self) -> list[dict[str, str]]:
        """What decides the answers, for stamps: names, arguments, hashes of code and files."""
        return [one.made_from for one in self.filters]

    def keep(self, batch: pa.RecordBatch) -> tuple[NDArray[np.bool_], Counter[str]]:
        """Return which rows every filter keeps, and how many each drops; the first one counts.

        A filter gets only the rows that those before it keep.

        Args:
            batch: with the columns `text` and `url`.

        Returns:
            Shape (num_rows,), and the drops under each name.

        Raises:
            CurateError: a filter raised an error or gave something else than an answer.
        """
        keep = np.ones(batch.num_rows, dtype=bool)
        dropped: Counter[str] = Counter()
        for one in self.filters:
            rows = np.flatnonzero(keep)
            if not len(rows):
                break
            left = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
            mask, reasons = _answer(one, left)
            keep[rows[~mask]] = False
            if reasons is None:
                dropped[one.name] += int((~mask).sum())
            else:
                given = reasons.filter(pa.array(~mask)).to_pylist()
                dropped.update(f"{one.name}:{r}" if r else one.name for r in given)
        return keep, +dropped


def with_usual_names(
    batch: pa.RecordBatch, texts: pa.Array, urls: pa.Array | None
) -> pa.RecordBatch:
    """Return a batch as filters get it: with its alt-texts as `text`, its URLs as `url`."""
    names = [name for name in batch.schema.names if name not in ("text", "url")]
    if urls is None:
        urls = pa.nulls(batch.num_rows, pa.string())
    arrays = [texts.cast(pa.string()), urls.cast(pa.string()), *(batch.column(n) for n in names)]
    return pa.RecordBatch.from_arrays(arrays, ["text", "url", *names])


def _answer(one: Filter, batch: pa.RecordBatch) -> tuple[NDArray[np.bool_], pa.Array | None]:
    try:
        answer = one.function(batch)
        if isinstance(answer, tuple) and len(answer) != 2:
            raise TypeError(f"it answered with {len(answer)} arrays, expected one or two")
        given, reasons = answer if isinstance(answer, tuple) else (answer, None)
        mask = _flat(given, pa.bool_()).fill_null(False).to_numpy(zero_copy_only=False)
        reasons = None if reasons is None else _flat(reasons, pa.string())
    except Exception as error:
        raise CurateError(
            f"filter {one.name} failed on a batch of {batch.num_rows} rows: "
            f"{type(error).__name__}: {error}. It was given {one.made_from['filter']!r}."
        ) from error
    for array in (mask, *([] if reasons is None else [reasons])):
        if len(array) != batch.num_rows:
            raise CurateError(
                f"filter {one.name} answered for {len(array)} rows; expected {batch.num_rows}, "
                "one answer for each row of the batch"
            )
    return np.asarray(mask, dtype=bool), reasons


def _flat(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise TypeError(f"it answered with {values!r}, expected an array of {kind}, one for a row")
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type) or pa.types.is_null(array.type):
        array = array.cast(kind)
    is_right = array.type == kind or (pa.types.is_large_string(array.type) and kind == pa.string())
    if not is_right:
        raise TypeError(f"it answered with {array.type}, expected {kind}")
    return array.cast(kind)


def load_filters(specs: Sequence[str]) -> Filters:
    """Return the filters that `--filter` options name.

    Raises:
        UsageError: there is no such filter, or its argument cannot be meant.
        InputError: a file that it names is missing.
    """
    filters = tuple(_load(spec) for spec in specs)
    twice = [name for name, num in Counter(one.name for one in filters).items() if num > 1]
    if twice:
        raise UsageError(
            f"two filters count their drops as {twice[0]!r}; give one of them another name, or "
            "put both into one function"
        )
    return Filters(filters)


def recorded_name(spec: str) -> str:
    """Return what is written of a filter: as it was named, without secrets in an address."""
    return hide_secrets(spec)


def needs_nothing(spec: str) -> bool:
    """Tell whether a filter needs no file, and no code but ours and what the user installed.

    Such a filter may be named by somebody else, a plan say. An argument is not handed to installed
    code for them: it could be a file or an address.

    >>> needs_nothing("text-length=5:"), needs_nothing("blocklist=a.txt"), needs_nothing("a.b:c")
    (True, False, False)
    """
    name, has_argument, _ = spec.partition("=")
    if name in BUILT_IN:
        return name in OF_NUMBERS
    return not has_argument and any(point.name == name for point in entry_points(group=GROUP))


def _load(spec: str) -> Filter:
    name, has_argument, argument = spec.partition("=")
    if name in BUILT_IN:
        function, extra = BUILT_IN[name](argument)
        return Filter(name, function, {"filter": recorded_name(spec), **extra})
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name in known:
        found, code = _from_entry_point(known[name])
    elif ":" in name:
        found, code = _from_module(name)
    elif set(spec) & set("<>"):
        raise UsageError(
            f"--filter {spec}: a condition on a score. Run `{suggest('score', '--filter', spec)}` "
            "before: pairs that miss it do not count then"
        )
    else:
        raise UsageError(
            f"--filter {spec}: there is no such filter; expected one of "
            f"{', '.join([*BUILT_IN, *sorted(known)])}, or package.module:function"
        )
    function = found(argument) if has_argument else found
    if not callable(function):
        raise UsageError(f"--filter {spec}: {name} is no function, and nothing that can be called")
    return Filter(name.rpartition(":")[2], function, {"filter": recorded_name(spec), "code": code})


def _from_entry_point(point: EntryPoint) -> tuple[Any, str]:
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"filter {point.name} ({point.value}) cannot be loaded: {error}"
        ) from error
    version = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    return found, _code_hash(found) or version


def _from_module(name: str) -> tuple[Any, str]:
    module_name, _, attribute = name.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"--filter {name}: {error}. Expected package.module:function, installed or in "
            "the current folder"
        ) from error
    return found, _code_hash(found)


def _code_hash(found: Any) -> str:
    """Return a hash of the file that a function stands in, or "" if there is none."""
    target = inspect.unwrap(found) if inspect.isroutine(found) else found
    if not (inspect.isroutine(target) or inspect.isclass(target)):
        target = type(target)
    try:
        path = inspect.getsourcefile(target)
    except TypeError:
        return ""
    return sha256(Path(path).read_bytes()).hexdigest() if path else ""
