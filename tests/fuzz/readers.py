"""Damaged files through the readers: `python -m tests.fuzz.readers --files 20000 --seconds 60`.

What has to hold, whatever the bytes: nothing is raised but errors of ours; every row has a place or
is counted as unreadable; nothing but the file itself is opened; a file takes bounded time.
An input that fails is told by its number and never written down.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from curate.errors import CurateError
from curate.pipelines.inputs.readers import input_schema, plan_parts, read_part
from curate.pipelines.inputs.records import ColumnNames, to_records
from curate.pipelines.inputs.rows import Rows, Unreadable
from tests.fuzz.kinds import KINDS, Reader
from tests.fuzz.mutations import mutated
from tests.fuzz.outcome import Outcome
from tests.fuzz.seeds import SEEDS

__all__ = ["EVERY", "read_all", "run"]

_MOST_SECONDS = 5.0  # of one file
_MOST_BYTES = 3 << 30
_FINDABLE = ("/proc/", "/sys/", "/usr/", "/dev/", "/etc/localtime")  # the interpreter's own


def read_all(path: str, outcome: Outcome) -> None:
    """Read a file as `match` does, and check that no row is lost without a count.

    Raises:
        AssertionError: one is.
    """
    input_schema(path)
    for part in plan_parts(path, ""):
        seen = part.first_row
        for item in read_part(part):
            if isinstance(item, Unreadable):
                assert item.num_rows >= 1 and item.reason
                outcome.bad += item.num_rows
                seen = max(seen, (item.row or 0) + (0 if item.is_file else item.num_rows))
                continue
            assert isinstance(item, Rows) and item.first_row >= 0
            records, rejects = to_records(item, ColumnNames(), path)
            assert len(records.texts) + len(rejects) == item.batch.num_rows
            outcome.rows += len(records.texts)
            outcome.bad += len(rejects)
            seen = max(seen, item.first_row + item.batch.num_rows)
        if part.kind == "parquet" and part.num_rows is not None:
            assert seen == part.first_row + part.num_rows


# Of every kind: the name of a file, what is in a whole one, and who reads it.
EVERY = {name: (*seed, read_all) for name, seed in SEEDS.items()} | KINDS


def run(kind: str, numbers: Iterator[int], seconds: float, folder: str) -> Outcome:
    """Read damaged files of a kind for a time; fail with the number of one that is not right.

    The time begins when a whole one is read: for the first of its kind, code is compiled.
    """
    name, seed, read = EVERY[kind]
    outcome = Outcome()
    path = os.path.join(folder, name)
    Path(path).write_bytes(seed)
    read(path, Outcome())  # artifacts are compared with what this gave; imports are done
    watch, until = _OpenedFiles(folder), time.monotonic() + seconds
    for number in numbers:
        if time.monotonic() > until:
            break
        Path(path).write_bytes(mutated(seed, number))
        outcome.files += 1
        took = _seconds(read, path, outcome, watch, f"{kind}, number {number}")
        if took > _MOST_SECONDS:  # the first one of its kind has code compiled for it
            took = _seconds(read, path, Outcome(), watch, f"{kind}, number {number}")
        assert took < _MOST_SECONDS, f"{kind}, number {number}: {took:.1f} s"
        assert not watch.strange, f"{kind}, number {number}: opened {watch.strange}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak < _MOST_BYTES, f"{kind}: {peak >> 20} MB"
    return outcome


def _seconds(read: Reader, path: str, outcome: Outcome, watch: "_OpenedFiles", where: str) -> float:
    """Read a file; return the processor time that it took."""
    begin = time.process_time()
    try:
        with watch:
            read(path, outcome)
    except CurateError:
        outcome.refused += 1
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
    return time.process_time() - begin


class _OpenedFiles:
    """Notes files that Python opens outside of a folder, while it is entered."""

    def __init__(self, folder: str) -> None:
        self._folder, self._is_on = os.path.realpath(folder), False
        self.strange: list[str] = []
        sys.addaudithook(self._hear)

    def __enter__(self) -> None:
        self._is_on = True

    def __exit__(self, *_: object) -> None:
        self._is_on = False

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._is_on or event != "open" or not isinstance(arguments[0], str):
            return
        path = os.path.realpath(arguments[0])
        known = (self._folder, sys.prefix, sys.base_prefix, tempfile.gettempdir(), *_FINDABLE)
        if not path.startswith(known) and not path.endswith((".py", ".pyc", ".so", ".nbi", ".nbc")):
            self.strange.append(path)


def main() -> None:
    """Fuzz every kind for its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="of each kind, at most")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each kind, at most")
    parser.add_argument("--first", type=int, default=0, help="number of the first damage")
    parser.add_argument("--kinds", nargs="*", choices=EVERY, help="all unless given")
    options = parser.parse_args()
    for kind in options.kinds or EVERY:
        with tempfile.TemporaryDirectory() as folder:
            numbers = iter(range(options.first, options.first + options.files))
            begin = time.monotonic()
            outcome = run(kind, numbers, options.seconds, folder)
            took = time.monotonic() - begin
        sys.stdout.write(f"{kind:16} {outcome} in {took:.1f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
