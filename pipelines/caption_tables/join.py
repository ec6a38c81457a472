"""The captions of a run, sorted for the loader: made once for each machine, then opened by all.

tables ─► checked rows ─► files sorted by hash in the user's cache ─► mapped by every rank
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import CurateError, InputError, UsageError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.files.paths import cache_folder
from curate.files.processes import locked
from curate.pipelines.caption_tables.names import CaptionTable, find_tables, tables_digest
from curate.pipelines.views.progress import log
from curate.training.captions.lookup import CaptionIndex, is_whole
from curate.training.captions.mix import ALT, TextMix
from curate.training.captions.write import Captions, make_room, touch, write_index

__all__ = ["CaptionOptions", "caption_identity", "joined_captions"]

_MAX_SOURCES = 1000
_MAX_LANGS = 10_000
_EXPANSION = 20  # of compressed texts, for the number of piles
_NOT_SMALL = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionOptions:
    """Which captions a run mixes with the alt-texts, and how.

    Attributes:
        tables: as `--captions` names them.
        json_keys: fields of the samples' JSON.
        syn_ratio: chance of a caption.
        weights: of sources, instead.
        cache: local folder for sorted captions; None: in the user's cache.
        cache_bytes: of all that is there.
    """

    tables: Sequence[str] = ()
    json_keys: Sequence[str] = ()
    syn_ratio: float | None = None
    weights: dict[str, float] | None = None
    cache: str | None = None
    cache_bytes: int = 50_000_000_000

    def __post_init__(self) -> None:
        """Check that there are captions where they are weighed.

        Raises:
            UsageError: there are none.
        """
        is_weighed = self.syn_ratio is not None or self.weights
        if is_weighed and not self.is_any:
            raise UsageError(
                "--syn-ratio and --caption-weights are of captions: name some with --captions "
                "TABLE or --json-captions FIELD"
            )
        if ALT in self.json_keys:
            raise UsageError(f"--json-captions has {ALT!r}, which is what alt-texts are called")

    @property
    def is_any(self) -> bool:
        """Whether there are captions at all."""
        return bool(self.tables or self.json_keys)

    def mix(self, seed: int, index: CaptionIndex | None) -> TextMix:
        """Return what draws the texts.

        Raises:
            UsageError: a share is missing, out of range, or of a source that there is not.
        """
        return TextMix(
            seed=seed, syn_ratio=self.syn_ratio, weights=self.weights or {}, index=index,
            json_keys=tuple(self.json_keys),
        )  # fmt: skip


def caption_identity(options: CaptionOptions) -> dict[str, Any] | None:
    """Return what decides which captions a run is trained on; None without any.

    Raises:
        InputError: there is no such table, or it lacks a column.
    """
    if not options.is_any:
        return None
    from curate.pipelines.caption_tables.read import check_tables  # only here: it compiles

    tables = find_tables(options.tables)
    check_tables(tables)
    return {
        "tables": tables_digest(tables) if tables else None,
        "json": sorted(options.json_keys),
        "syn_ratio": options.syn_ratio,
        "weights": options.weights or None,
    }


def joined_captions(options: CaptionOptions, digest: str, *, quiet: bool) -> CaptionIndex | None:
    """Return the captions of tables, sorted; whoever of a machine comes first sorts them.

    Args:
        options: of the run.
        digest: of the tables, as `caption_identity` has it.
        quiet: no messages.

    Returns:
        None without tables.

    Raises:
        CurateError: the disk is full.
        InputError: no caption can be used, or the tables are others than the digest is of.
    """
    if not options.tables:
        return None
    base = Path(options.cache or cache_folder("captions"))
    folder = base / digest[:16]
    with locked(base / f"{digest[:16]}.lock"), told_when_full(str(base)):
        if not is_whole(str(folder)):
            _build(str(folder), find_tables(options.tables), digest, quiet=quiet)
        touch(str(folder))
        make_room(str(base), options.cache_bytes, str(folder))
        return CaptionIndex(str(folder))


def _build(folder: str, tables: Sequence[CaptionTable], digest: str, *, quiet: bool) -> None:
    log(f"sorting the captions of {len(tables)} files into {folder}", quiet=quiet)
    dropped: Counter[str] = Counter()
    sources: list[str] = []
    langs: list[str] = []
    note: dict[str, Any] = {}
    batches = _numbered(tables, sources, langs, dropped, note)
    size = sum(storage.size_and_time(table.path)[0] for table in tables)
    # Texts of one form may be compressed to nearly nothing.
    size = max(_EXPANSION * size, _NOT_SMALL if size > 1 << 20 else 0)
    found = write_index(folder, batches, sources, langs, size_bytes=size, note=note)
    if tables_digest(tables) != digest:
        shutil.rmtree(folder)
        raise InputError(
            f"{tables[0].path} or a table with it is not the one that this run began with: it was "
            "written to meanwhile, or is another one on this machine. Run the same command again."
        )
    reasons = ", ".join(f"{reason} {num:,}" for reason, num in found["dropped"].items())
    if not found["captions"]:
        raise InputError(
            f"{tables[0].path}: no caption can be used of {found['rows']:,} rows "
            f"({reasons or 'there are none'})"
        )
    log(f"{found['captions']:,} captions of {found['pairs']:,} pairs, "
        f"{found['repeated']:,} repeated, left out: {reasons or 'none'}", quiet=quiet)  # fmt: skip


def _numbered(
    tables: Sequence[CaptionTable],
    sources: list[str],
    langs: list[str],
    dropped: Counter[str],
    note: dict[str, Any],
) -> Iterator[Captions]:
    """Yield captions with the numbers of what is listed: sources, languages; fill in the note."""
    from curate.pipelines.caption_tables.read import read_captions  # only here: it compiles

    rows = 0
    for found in read_captions(tables, dropped):
        rows += len(found.texts)
        source, lang = _numbers(found.sources, sources), _numbers(found.langs, langs) + 1
        if ALT in sources:
            raise InputError(
                f"{tables[0].path} or a table with it has the source {ALT!r}, which is what "
                "the pairs' own texts are called; rename it"
            )
        for names, most, what in ((sources, _MAX_SOURCES, "sources"),
                                  (langs, _MAX_LANGS, "languages")):  # fmt: skip
            if len(names) > most:
                raise CurateError(
                    f"the captions have more than {most:,} {what}, such as {names[-1]!r}; "
                    "expected a few, each the name of a captioner, or the code of a language"
                )
        yield Captions(found.pair_ids, found.texts, source.astype(np.uint16),
                       lang.astype(np.uint16))  # fmt: skip
    note["dropped"] = {reason: num for reason, num in sorted(dropped.items()) if num}
    note["rows"] = rows + dropped.total()


def _numbers(values: pa.StringArray, names: list[str]) -> NDArray[np.int64]:
    """Return the place of each value among names, -1 for null; names that are new are added."""
    codes = pc.dictionary_encode(values)
    found = codes.dictionary.to_pylist()
    known = {name: number for number, name in enumerate(names)}
    for name in found:
        known.setdefault(name, len(known))
    names[:] = known
    numbers = np.array([*(known[name] for name in found), -1], np.int64)
    at = pc.fill_null(codes.indices, len(found)).to_numpy(zero_copy_only=False)
    return np.asarray(numbers[at], np.int64)
