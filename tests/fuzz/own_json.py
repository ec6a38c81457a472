"""JSON files of a workspace with other values in them: `python -m tests.fuzz.own_json --files 300`.

Whoever reads one says in one line which file is not what it should be, or does not need what was
changed. Each value is tried twice: as somebody's text editor would leave the file, and with the
right checksum, as a program that means it would.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from curate.errors import CurateError
from curate.pipelines.store import artifacts
from tests.fuzz.mutations import mutated_json
from tests.fuzz.workspace import READERS, STAMPED, changed, changed_stamp, write_workspace

__all__ = ["try_stamps", "try_values"]

Reader = Callable[[Path], object]

_REMEDY = re.compile(
    "[Rr]emove|[Rr]un |again|anew|--overwrite|--output|[Cc]hoose|[Gg]ive|backup|expected a folder"
    "|curate build-metadata"
)


def try_values(folder: Path, name: str, numbers: range) -> int:
    """Read a file with other values in it; return how often that was refused.

    Raises:
        AssertionError: by something else than an error of ours, or by one that does not say where.
    """
    path = min(folder.glob(name))
    whole = json.loads(path.read_bytes())
    whole.pop("checksum", None)
    refused = 0
    for number in numbers:
        value = mutated_json(whole, number // 2)
        with changed(folder, name, value, sealed=bool(number % 2)):
            refused += _try(folder, READERS[name], f"{name}, number {number}", value)
    return refused


def try_stamps(folder: Path, name: str, numbers: range) -> int:
    """Read a Parquet file with other values in its stamp; return how often that was refused.

    Raises:
        AssertionError: as for `try_values`.
    """
    whole = artifacts.read_stamp(str(min(folder.glob(name))))
    refused = 0
    for number in numbers:
        value = mutated_json(whole, number)
        if not isinstance(value, dict):
            continue
        with changed_stamp(folder, name, value):
            refused += _try(folder, STAMPED[name], f"{name}, number {number}", value)
    return refused


def _try(folder: Path, readers: Iterable[Reader], where: str, value: Any) -> int:
    refused = 0
    for at, read in enumerate(readers):
        try:
            read(folder)
        except CurateError as error:
            refused += 1
            _require_told(str(error), folder, f"{where}, reader {at}")
        except Exception as error:
            error.add_note(f"{where}, reader {at}: {value!r:.600}")
            raise
    return refused


def _require_told(message: str, folder: Path, where: str) -> None:
    told = message.split(" was made with something else:", 1)[0]  # what differs is a list
    told = told.split("\nOf an earlier run", 1)[0]  # and which inputs that are not named are there
    assert "\n" not in told.rstrip() or ": not what was written, of" in told, (where, message)
    assert str(folder) in message and _REMEDY.search(message), (where, message)


def main() -> None:
    """Try values in every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100, help="values of each file, each twice")
    parser.add_argument("--first", type=int, default=0, help="number of the first value")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as whole:
        write_workspace(Path(whole, "w"))
        for name in READERS:
            folder = Path(whole, "copy")
            shutil.copytree(Path(whole, "w"), folder)
            begin = time.monotonic()
            refused = try_values(
                folder, name, range(2 * options.first, 2 * (options.first + options.files))
            )
            sys.stdout.write(f"{name:40} refused {refused:6} in {time.monotonic() - begin:.1f} s\n")
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
