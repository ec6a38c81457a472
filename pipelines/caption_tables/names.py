"""Which tables of captions are meant, what their sources are called, and what is in them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from curate.errors import InputError, UsageError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.patterns import expand
from curate.files.storage import join
from curate.pipelines.store import artifacts
from curate.training.captions.mix import ALT

__all__ = ["CaptionTable", "find_tables", "parse_weights", "tables_digest"]

_KINDS = ("parquet", "jsonl", "csv", "tsv")
_HASH_THREADS = 8


class CaptionTable(NamedTuple):
    """A file of captions.

    Attributes:
        path: of the file.
        source: of captions that do not say theirs.
    """

    path: str
    source: str


def find_tables(words: Sequence[str]) -> list[CaptionTable]:
    """Return the files that `--captions` names, each once.

    Args:
        words: a file, a folder, a pattern, or the folder of `curate caption`; with ``NAME=`` before
            it, NAME is the source of captions that do not say theirs.

    Raises:
        InputError: there is no such file, or it is no table.
        UsageError: a name is `alt`, or empty.
    """
    found: dict[str, CaptionTable] = {}
    for word in words:
        name, path = _split(word)
        name = name or _stem(path)
        if name == ALT:
            raise UsageError(
                f"--captions {word}: {ALT} is what the pairs' own texts are called; give another "
                f"name: --captions NAME={path}"
            )
        for one in _files(path):
            found.setdefault(one, CaptionTable(one, name))
    return list(found.values())


def _split(word: str) -> tuple[str | None, str]:
    """Return name and path; a `=` behind the first `/` belongs to the path (partitions, queries).

    >>> _split("a=b.parquet"), _split("x/lang=en/b.parquet"), _split("b.parquet")
    (('a', 'b.parquet'), (None, 'x/lang=en/b.parquet'), (None, 'b.parquet'))
    """
    name, mark, path = word.partition("=")
    if not mark or "/" in name:
        return None, word
    if not name or not path:
        raise UsageError(f"--captions is {word!r}; expected TABLE or NAME=TABLE")
    return name, path


def _stem(path: str) -> str:
    name = without_secrets(path).partition("?")[0].rstrip("/").rpartition("/")[2]
    return name.partition(".")[0].strip("*") or "captions"


def _files(path: str) -> list[str]:
    """Return the tables of a path: of a folder that `curate caption` wrote, its captions alone."""
    from curate.pipelines.inputs.readers import kind_of  # only here: it compiles

    ours = join(path, "pairs")
    if storage.exists(join(path, artifacts.PLAN)) and storage.list_files(ours, ".parquet"):
        path = ours
    found = [one for one in expand([path]) if kind_of(one) in _KINDS]
    if not found:
        raise InputError(
            f"{path}: there is no table of captions; expected names that end in .parquet, .jsonl, "
            ".csv or .tsv"
        )
    return found


def tables_digest(tables: Sequence[CaptionTable]) -> str:
    """Return a hash of what is in the tables and of their names, wherever they lie.

    A remote table is not read for this: its size and time stand for it.
    """
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        found = list(pool.map(_identity, [table.path for table in tables]))
    return artifacts.digest(sorted(zip(found, [table.source for table in tables], strict=True)))


def _identity(path: str) -> str:
    if storage.is_local(path):
        return storage.file_sha256(path)
    return "{} bytes of {}".format(*storage.size_and_time(path))


def parse_weights(text: str | None) -> dict[str, float]:
    """Return weights by source, written such as ``alt=0.85,altogether=0.15``.

    Raises:
        UsageError: it is not written so.

    >>> parse_weights("alt=0.85, altogether=0.15")
    {'alt': 0.85, 'altogether': 0.15}
    """
    found: dict[str, float] = {}
    for part in filter(None, (text or "").split(",")):
        name, mark, value = (word.strip() for word in part.rpartition("="))
        try:
            weight: Any = float(value)
        except ValueError:
            weight = None
        if not mark or not name or weight is None or name in found:
            raise UsageError(
                f"--caption-weights has {part!r}; expected each source once with a number, such "
                f"as {ALT}=0.85,altogether=0.15"
            )
        found[name] = weight
    return found
