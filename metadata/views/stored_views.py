"""Page views of all wikis, on disk: a day is too much to hold.

`filter_views` turns a page-view file into Parquet that has nothing but (wiki, title, views);
`StoredViews` reads one language out of such files. Together they do what
`curate.metadata.views.pageviews.count_views` does in memory.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from curate.files.parquet.sealed import open_sealed, sealed_writer
from curate.metadata.views.pageviews import DEVICES, is_daily, open_views, projects_of, title_of

__all__ = ["StoredViews", "filter_views", "num_bad_lines"]

_SCHEMA = pa.schema([("wiki", pa.string()), ("title", pa.string()), ("views", pa.int64())])
_BAD_LINES = "bad_lines"
_REMEDY = "It holds counted page views: remove it, and it is made again."
_BLOCK_BYTES = 16 << 20
_COLUMNS = {
    False: ("project", "title", "count", "bytes"),
    True: ("project", "title", "page_id", "device", "count", "hours"),
}


# What is looked at; the rest is not even copied.
_USED = {False: ["project", "title", "count"], True: ["project", "title", "device", "count"]}


def filter_views(path: str, wikis: Collection[str], sink: IO[bytes]) -> int:
    """Write the views of some wikis in a page-view file as Parquet, in bounded memory.

    Args:
        path: hourly or daily file, gzip, bzip2 or plain; one format in a file.
        wikis: codes of the Wikipedias wanted.
        sink: what to write to; columns wiki, title and views. A title may come more than once.

    Returns:
        The number of lines that are none.

    Raises:
        InputError: the file is missing or cut off; what was written is of no use then.
    """
    projects, daily, num_bad = projects_of(wikis), None, 0
    notes = {_BAD_LINES: 0}
    with (
        open_views(path) as file,
        sealed_writer(sink, _SCHEMA, notes, compression="zstd") as writer,
    ):
        for block in _blocks(file):
            daily = is_daily(block) if daily is None else daily
            table, bad = _count_block(block, projects, daily=daily)
            num_bad += bad
            if table.num_rows:
                writer.write_table(table)
            notes[_BAD_LINES] = num_bad
    return num_bad


def num_bad_lines(path: str) -> int:
    """Return how many lines were none in the file that a file of stored views was made of.

    Raises:
        InputError: the file cannot be read.
    """
    with open_sealed(path, _REMEDY) as file:
        return int(file.metadata.metadata[_BAD_LINES.encode()])


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield whole lines of about a block's size."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = b""
        rest += block[cut:]
    if rest:
        yield rest


def _count_block(
    block: bytes, projects: dict[bytes, tuple[str, bool]], *, daily: bool
) -> tuple[pa.Table, int]:
    """Return the views in a block by wiki and title, and the number of lines that are none."""
    table, num_bad = _parse(block, daily=daily)
    num_bad += _num_blank(table)
    names = [name for name, (_, of_daily) in projects.items() if of_daily == daily]
    table = table.filter(pc.is_in(table.column("project"), pa.array(names, pa.binary())))
    good = pc.match_substring_regex(table.column("count"), "^[0-9]{1,12}$")
    if daily:
        known = pc.is_in(table.column("device"), pa.array(sorted(DEVICES), pa.binary()))
        good = pc.and_(good, known)
    num_bad += table.num_rows - (pc.sum(good).as_py() or 0)
    return _sums(table.filter(good), projects), num_bad


def _parse(block: bytes, *, daily: bool) -> tuple[pa.Table, int]:
    bad = []
    # pyarrow cannot show a line of other fields that is no UTF-8, and gives up on the block.
    block, num_bad = _without_odd_lines(block, len(_COLUMNS[daily]) - 1)

    if not block:  # Arrow takes an empty file for none
        return _table_of_nothing(daily), num_bad

    def skip(row: Any) -> str:
        bad.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(block),
        pyarrow.csv.ReadOptions(column_names=_COLUMNS[daily], use_threads=False),
        pyarrow.csv.ParseOptions(
            delimiter=" ", quote_char=False, ignore_empty_lines=False, invalid_row_handler=skip
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(_COLUMNS[daily], pa.binary()), include_columns=_USED[daily]
        ),
    )
    return table, num_bad + len(bad)


def _table_of_nothing(daily: bool) -> pa.Table:
    return pa.table({name: pa.array([], pa.binary()) for name in _USED[daily]})


def _without_odd_lines(block: bytes, num_spaces: int) -> tuple[bytes, int]:
    r"""Return a block that is not UTF-8 without the lines of more or fewer fields, and how many.

    >>> _without_odd_lines(b"a b\n\xff\nc d\n", 1)
    (b'a b\nc d\n', 1)
    >>> _without_odd_lines(b"a b\n\n\xff", 1)
    (b'a b\n\n', 1)
    """
    try:
        block.decode()
    except UnicodeDecodeError:
        data = np.frombuffer(block, np.uint8)
    else:
        return block, 0
    ends = np.flatnonzero(data == ord("\n"))
    if not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data) - 1)
    starts = np.r_[0, ends[:-1] + 1]
    spaces = np.cumsum(data == ord(" "))[ends]
    is_odd = (np.diff(spaces, prepend=0) != num_spaces) & (data[starts] != ord("\n"))
    keep = np.ones(len(data), bool)
    for at in np.flatnonzero(is_odd).tolist():
        keep[starts[at] : ends[at] + 1] = False
    return data[keep].tobytes(), int(is_odd.sum())


def _num_blank(table: pa.Table) -> int:
    """Count the empty lines, which the reader takes for rows of nothing."""
    empty = pa.scalar(b"", pa.binary())
    parts = [pc.equal(table.column(name), empty) for name in ("project", "title")]
    return pc.sum(pc.and_(*parts)).as_py() or 0


def _sums(table: pa.Table, projects: dict[bytes, tuple[str, bool]]) -> pa.Table:
    """Sum over devices and sites, sorted by wiki and title."""
    wikis = table.column("project").combine_chunks().dictionary_encode()
    codes = [projects[name][0] for name in wikis.dictionary.to_pylist()]
    named = pa.table(
        [
            pa.array(codes, pa.string()).take(wikis.indices),
            _titles(table.column("title").combine_chunks()),
            table.column("count").cast(pa.string()).cast(pa.int64()),
        ],
        schema=_SCHEMA,
    )
    summed = named.group_by(["wiki", "title"], use_threads=False).aggregate([("views", "sum")])
    summed = summed.rename_columns(["wiki", "title", "views"])
    return summed.sort_by([("wiki", "ascending"), ("title", "ascending")])


def _titles(raw: pa.Array) -> pa.Array:
    plain = pc.replace_substring(raw, "_", " ")
    odd = pc.match_substring(raw, "%")
    try:
        titles = plain.cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8: so many of these that each title is looked at
        return pa.array([title_of(title) for title in raw.to_pylist()], pa.string())
    if not pc.any(odd).as_py():
        return titles
    mended = [title_of(title) for title in raw.filter(odd).to_pylist()]
    return pc.replace_with_mask(titles, odd, pa.array(mended, pa.string()))


@dataclass(frozen=True, slots=True)
class StoredViews:
    """The views of the wikis of a language, in files that `filter_views` wrote; picklable.

    Attributes:
        paths: the files.
        wikis: codes of the Wikipedias.
    """

    paths: tuple[str, ...]
    wikis: tuple[str, ...]

    def items(self) -> Iterator[tuple[str, int]]:
        """Yield titles with views; a title comes as often as it stands in the files.

        Raises:
            InputError: a file cannot be read.
        """
        for table in self.tables():
            for batch in table.to_batches(10_000):
                yield from zip(batch[0].to_pylist(), batch[1].to_pylist(), strict=True)

    def tables(self) -> Iterator[pa.Table]:
        """Yield tables of title and views, as `items` does rows.

        Raises:
            InputError: a file cannot be read.
        """
        for path in self.paths:
            with open_sealed(path, _REMEDY) as file:
                for index in range(file.num_row_groups):
                    yield from self._group(file, index)

    def _group(self, file: pq.ParquetFile, index: int) -> Iterator[pa.Table]:
        bounds = file.metadata.row_group(index).column(0).statistics
        if bounds is not None and bounds.has_min_max:
            # Each block is sorted by wiki, so most parts of a file are of others. The footer was
            # compared with its checksum, so that its bounds are those that were written.
            if not any(bounds.min <= wiki <= bounds.max for wiki in self.wikis):
                return
        table = file.read_row_group(index)
        mine = pc.is_in(table.column("wiki"), pa.array(self.wikis, pa.string()))
        yield table.filter(mine).select(["title", "views"])
