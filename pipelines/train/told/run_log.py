"""The log of a run, `log.jsonl`: it grows by lines, each with its checksum."""

import json
from pathlib import Path
from typing import Any

import xxhash

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.sealed_json import CHECKSUM, read_json
from curate.pipelines.train.files import RunFiles

__all__ = ["RunLog", "log_of_run", "progress_of_run"]


class RunLog:
    """`log.jsonl`: a line of figures now and then, there as soon as it is known.

    Args:
        path: of the file.
        last_step: lines of later steps are dropped: a run that goes on computes them again.
    """

    def __init__(self, path: str, last_step: int) -> None:
        self._path = path
        with of_ours(path):
            self.lines = [line for line in _read_lines(path) if int(line["step"]) <= last_step]
        self.publish()

    def add(self, line: dict[str, Any]) -> None:
        """Add a line; behind a URL, where nothing can be appended, it appears at `publish`."""
        self.lines.append(line)
        if storage.is_local(self._path):
            with Path(storage.local_path(self._path)).open("ab") as file:
                file.write(_as_line(line))

    def publish(self) -> None:
        """Write all lines."""
        with storage.publish(self._path) as file:
            file.write(b"".join(_as_line(line) for line in self.lines))


def progress_of_run(folder: str) -> tuple[int, int, bool] | None:
    """Return a run's steps that are done, those asked for, and if it is whole; None of no run.

    Raises:
        ArtifactError: what it is made of, or its log, is damaged.
    """
    files = RunFiles(folder)
    if not storage.exists(files.config):
        return None
    with of_ours(files.config):
        total = int(read_json(files.config)["train"]["steps"])
    if storage.exists(files.card):
        return total, total, True
    lines = _read_lines(files.log)
    with of_ours(files.log):
        return (int(lines[-1]["step"]) if lines else 0), total, False


def log_of_run(folder: str) -> list[dict[str, Any]]:
    """Return the lines of a run's log, each with its step; [] where there is none yet.

    Raises:
        ArtifactError: it is damaged.
    """
    return _read_lines(RunFiles(folder).log)


def _as_line(line: dict[str, Any]) -> bytes:
    """Return a line with its checksum as the last key: what is read again, cards are made of."""
    text = json.dumps(line, allow_nan=False)
    return json.dumps({**line, CHECKSUM: _checksum(text)}, allow_nan=False).encode() + b"\n"


def _checksum(text: str) -> str:
    return xxhash.xxh3_64_hexdigest(text.encode())


def _read_lines(path: str) -> list[dict[str, Any]]:
    if not storage.exists(path):
        return []
    with storage.open_read(path) as file:
        content = file.read()
    *lines, rest = content.split(b"\n")
    found = []
    for number, text in enumerate(lines, start=1):
        line = _line(text)
        if line is None:
            raise ArtifactError(
                f"{path}, line {number}: not what was written. Remove the line to go on; the curve "
                "of the loss then lacks a point."
            )
        found.append(line)
    # A killed run leaves its last line cut off; one that lacks but its end is whole.
    line = _line(rest) or _line(rest[:-1])
    return found if line is None else [*found, line]


def _line(text: bytes) -> dict[str, Any] | None:
    """Return the values of a line; None if they are not what was written."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    expected = values.pop(CHECKSUM, None)
    return values if expected == _checksum(json.dumps(values)) else None
